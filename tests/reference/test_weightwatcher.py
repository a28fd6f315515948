"""Weight and flag maps against Debian's weightwatcher 1.12, bit for bit."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processing.areas import Area
from processing.flags import PixelFlag
from processing.weightwatcher.base import weight_map
from processing.weightwatcher.command import main

pytestmark = pytest.mark.reference

TRUE_SIZE = (4644, 2112)
SMALL = (61, 83)


@pytest.fixture(scope="module")
def peer(program: Callable[[str, str], str]) -> str:
    return program("weightwatcher", "weightwatcher")


def write(path: Path, images: list[NDArray[Any]]) -> Path:
    header = fits.Header([("OBJECT", "twilight"), ("CRVAL1", 1.5), ("DETSEC", "[1:2,3:4]")])
    hdus = [fits.ImageHDU(image, header, name=f"ccd{number:02d}") for number, image in enumerate(images)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path


def flat_of(shape: tuple[int, int], seed: int) -> NDArray[np.float32]:
    """Responses about 1 with values on, just below and just above every bound used here, and no numbers."""
    chance = np.random.default_rng(seed)
    flat = chance.normal(1, 0.3, shape).astype(np.float32)
    bounds = np.array([0.3, 0.7, 1.3, 0.5, 1.5], np.float32)
    edges = np.stack([np.nextafter(bounds, np.float32(-9)), bounds, np.nextafter(bounds, np.float32(9))]).ravel()
    flat[3, : edges.size] = edges
    flat[4, :6] = np.nan, np.inf, -np.inf, 0, -1, 1e-40
    return flat


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flats, masks and flags of three small CCDs, and one flat and mask of a true one."""
    place = tmp_path_factory.mktemp("maps")
    chance = np.random.default_rng(11)
    write(place / "flat.fits", [flat_of(SMALL, seed) for seed in range(3)])
    write(place / "other.fits", [flat_of(SMALL, seed + 9) for seed in range(3)])
    write(place / "wide.fits", [chance.integers(0, 3, SMALL).astype(np.float64) for _ in range(3)])
    write(place / "mask.fits", [chance.integers(0, 2, SMALL).astype(np.int16) for _ in range(3)])
    write(place / "bits.fits", [chance.integers(0, 300, SMALL).astype(np.int32) for _ in range(3)])
    write(place / "bytes.fits", [chance.integers(0, 256, SMALL).astype(np.uint8) for _ in range(3)])
    write(place / "minus.fits", [chance.integers(-9, 9, SMALL).astype(np.int16) for _ in range(3)])
    write(place / "unsigned.fits", [chance.integers(0, 65536, SMALL).astype(np.uint16) for _ in range(3)])
    write(place / "true_flat.fits", [flat_of(TRUE_SIZE, 5), flat_of(SMALL, 5)])
    write(place / "true_mask.fits", [chance.integers(0, 2, size).astype(np.int16) for size in (TRUE_SIZE, SMALL)])
    fits.PrimaryHDU(flat_of(SMALL, 1)).writeto(place / "single.fits")
    return place


def both(peer: str, place: Path, made: Path, settings: dict[str, str]) -> list[tuple[fits.HDUList, fits.HDUList]]:
    """Run the peer and ours with the same settings; return their maps, peer first."""
    outputs = {
        who: {"OUTWEIGHT_NAME": made / who / "weight.fits", "OUTFLAG_NAME": made / who / "flag.fits"}
        for who in ("peer", "ours")
    }
    for who, files in outputs.items():
        (made / who).mkdir(parents=True)
        arguments = {"WRITE_XML": "N", "VERBOSE_TYPE": "QUIET", "POLY_NAMES": "", **settings, **files}
        argv = [part for key, value in arguments.items() for part in (f"-{key}", inputs(key, str(value), place))]
        if who == "peer":
            subprocess.run([peer, *argv], check=True, capture_output=True, cwd=made)
        else:
            assert main(argv) == 0
    keys = ("OUTWEIGHT_NAME", "OUTFLAG_NAME")
    return [(fits.open(outputs["peer"][key]), fits.open(outputs["ours"][key])) for key in keys]


def inputs(key: str, value: str, place: Path) -> str:
    if key not in {"WEIGHT_NAMES", "FLAG_NAMES"}:
        return value
    return ",".join(str(place / name) for name in value.split(",") if name)


CASES = {
    "flat and mask as QualityFITS had them": {
        "WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "mask.fits", "FLAG_WMASKS": "0x01", "FLAG_MASKS": "0x01",
        "FLAG_OUTFLAGS": "2",
    },
    "a bound that float32 rounds down": {"WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "", "WEIGHT_MIN": "0.7"},
    "two weight maps": {
        "WEIGHT_NAMES": "flat.fits,other.fits", "FLAG_NAMES": "", "WEIGHT_MIN": "0.3,0.5", "WEIGHT_MAX": "1.3,1.5",
        "WEIGHT_OUTFLAGS": "1,4",
    },
    "an integer and a double map as weights": {
        "WEIGHT_NAMES": "mask.fits,wide.fits", "FLAG_NAMES": "", "WEIGHT_MIN": "0.5,0.5", "WEIGHT_MAX": "1.5,3",
        "WEIGHT_OUTFLAGS": "1,2",
    },
    "bits of two flag maps": {
        "WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "bits.fits,bytes.fits", "FLAG_WMASKS": "0x04,0x30",
        "FLAG_MASKS": "0x05,0x82", "FLAG_OUTFLAGS": "2,4,8,16",
    },
    "flags alone": {
        "WEIGHT_NAMES": "", "FLAG_NAMES": "bits.fits", "FLAG_WMASKS": "0x10", "FLAG_MASKS": "0x03",
        "FLAG_OUTFLAGS": "4,8",
    },
    "negative flags": {
        "WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "minus.fits", "FLAG_WMASKS": "0x04", "FLAG_MASKS": "0x8000",
        "FLAG_OUTFLAGS": "4",
    },
    "unsigned flags": {
        "WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "unsigned.fits", "FLAG_WMASKS": "0x4000", "FLAG_MASKS": "0x2001",
        "FLAG_OUTFLAGS": "4,8",
    },
    "flags of 16 bits": {"WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "", "WEIGHT_OUTFLAGS": "128"},
    "flags of 32 bits": {"WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "", "WEIGHT_OUTFLAGS": "70000"},
    "one image": {"WEIGHT_NAMES": "single.fits", "FLAG_NAMES": ""},
    "a CCD of true size": {
        "WEIGHT_NAMES": "true_flat.fits", "FLAG_NAMES": "true_mask.fits", "FLAG_WMASKS": "0x01", "FLAG_MASKS": "0x01",
        "FLAG_OUTFLAGS": "2",
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_maps_and_areas_are_the_peers(case: str, peer: str, maps: Path, tmp_path: Path) -> None:
    settings = {"GETAREA": "Y", "GETAREA_WEIGHT": "0.5", "GETAREA_FLAGS": "1,4", **CASES[case]}
    for theirs, ours in both(peer, maps, tmp_path, settings):
        with theirs, ours:
            assert [hdu.name for hdu in theirs] == [hdu.name for hdu in ours]
            for expected, found in zip(theirs, ours, strict=True):
                if expected.data is None:
                    continue
                assert (found.header["BITPIX"], found.data.dtype) == (expected.header["BITPIX"], expected.data.dtype)
                np.testing.assert_array_equal(found.data, expected.data)
                for keyword in ("OBJECT", "CRVAL1", "DETSEC", "WEIGAREA", "FLAGAREA"):
                    assert found.header.get(keyword) == expected.header.get(keyword)
                # The peer writes eight digits.
                assert found.header["EFF_AREA"] == pytest.approx(expected.header["EFF_AREA"], abs=5.1e-9)


def test_threads_never_change_a_bit(maps: Path, tmp_path: Path) -> None:
    contents = set()
    for threads in ("1", "2", "5"):
        out = {"OUTWEIGHT_NAME": tmp_path / "w.fits", "OUTFLAG_NAME": tmp_path / "f.fits", "NTHREADS": threads}
        names = {"WEIGHT_NAMES": maps / "true_flat.fits", "FLAG_NAMES": maps / "true_mask.fits", "WRITE_XML": "N"}
        assert main([part for key, value in {**out, **names}.items() for part in (f"-{key}", str(value))]) == 0
        contents.add(((tmp_path / "w.fits").read_bytes(), (tmp_path / "f.fits").read_bytes()))
    assert len(contents) == 1


def test_the_stages_rule_is_the_peers_with_overscan_and_both_bounds_as_maps(
    peer: str, maps: Path, tmp_path: Path
) -> None:
    with fits.open(maps / "true_flat.fits") as opened:
        flats = [hdu.data.astype(np.float32) for hdu in opened[1:]]
    with fits.open(maps / "true_mask.fits") as opened:
        masks = [hdu.data.astype(np.int16) for hdu in opened[1:]]
    parts = [Area(32, 2080, 0, 4612), Area(5, 70, 0, 50)]
    seen = []
    for flat, part in zip(flats, parts, strict=True):
        inside = np.zeros(flat.shape, np.int16)
        inside[part.y0 : part.y1, part.x0 : part.x1] = 1
        seen.append(inside)
    write(tmp_path / "seen.fits", seen)
    names = [maps / "true_flat.fits", maps / "true_flat.fits", maps / "true_mask.fits", tmp_path / "seen.fits"]
    flags = (PixelFlag.LOW_RESPONSE, PixelFlag.HIGH_RESPONSE, PixelFlag.BAD, PixelFlag.OVERSCAN)
    arguments = {
        "WEIGHT_NAMES": ",".join(map(str, names)), "WEIGHT_MIN": "0.3,-100,0.5,0.5", "WEIGHT_MAX": "100,1.3,1.5,1.5",
        "WEIGHT_OUTFLAGS": ",".join(str(int(flag)) for flag in flags), "FLAG_NAMES": "", "POLY_NAMES": "",
        "WRITE_XML": "N", "VERBOSE_TYPE": "QUIET",
    }  # fmt: skip
    subprocess.run(
        [peer, *(part for key, value in arguments.items() for part in (f"-{key}", value))],
        check=True, capture_output=True, cwd=tmp_path,
    )  # fmt: skip
    with fits.open(tmp_path / "weight.fits") as weights, fits.open(tmp_path / "flag.fits") as flagged:
        for number, (flat, mask, part) in enumerate(zip(flats, masks, parts, strict=True), 1):
            finite = np.isfinite(flat)
            weight, flag = weight_map(flat, mask=mask, inside=part, low=0.3, high=1.3)
            np.testing.assert_array_equal(weight, weights[number].data)
            np.testing.assert_array_equal(flag[finite], flagged[number].data[finite])
            # The peer takes two maps for the two bounds here, and flags what is no number, or infinite, in both.
            assert (flagged[number].data[~finite] != 0).all()


def test_the_peers_own_default_file_is_understood(peer: str, maps: Path, tmp_path: Path) -> None:
    dumped = subprocess.run([peer, "-dd"], check=True, capture_output=True, text=True).stdout
    (tmp_path / "default.ww").write_text(dumped)
    settings = {
        "WEIGHT_NAMES": maps / "flat.fits", "FLAG_NAMES": maps / "mask.fits", "OUTWEIGHT_NAME": tmp_path / "w.fits",
        "OUTFLAG_NAME": tmp_path / "f.fits", "XML_NAME": tmp_path / "ww.xml", "VERBOSE_TYPE": "QUIET",
    }  # fmt: skip
    argv = [part for key, value in settings.items() for part in (f"-{key}", str(value))]
    assert main(["-c", str(tmp_path / "default.ww"), *argv]) == 0
    assert (tmp_path / "w.fits").exists()
