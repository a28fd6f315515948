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
SKY = [
    ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 132.5), ("CRVAL2", -12.3), ("CRPIX1", 40.0),
    ("CRPIX2", 30.0), ("CD1_1", -5.2e-5), ("CD1_2", 1e-6), ("CD2_1", 1e-6), ("CD2_2", 5.2e-5), ("RADESYS", "FK5"),
    ("EQUINOX", 2000.0),
]  # fmt: skip
REGIONS = {
    "one.reg": "# Region file format: DS9\nglobal color=green\nimage\npolygon(10.3,10.2,50.7,11.5,40,52,-9,33)\n"
    "polygon(30,5,70,5,70,58,30,58,62,30)\n",
    "two.reg": "polygon(20.5,20.5,90.25,20.5,90.25,70,20.5,70) # color=red\n",
    "tiles.reg": "tile 2;image;polygon(5,5,33.3,7,20,60)\n# tile 3\nimage\npolygon(70,-5,99,30,70,66,40,30)\n",
    "sky.reg": "fk5\npolygon(132.5011,-12.3009,132.4989,-12.3007,132.4992,-12.2990,132.5008,-12.2993)\n",
}
"""Of the peer's kind: it takes polygons only, and each tile for one of them."""


@pytest.fixture(scope="module")
def peer(program: Callable[[str, str], str]) -> str:
    return program("weightwatcher", "weightwatcher")


def write(path: Path, images: list[NDArray[Any]]) -> Path:
    header = fits.Header([("OBJECT", "twilight"), ("DETSEC", "[1:2,3:4]"), *SKY])
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
    fits.PrimaryHDU(flat_of(SMALL, 1), fits.Header(SKY)).writeto(place / "single.fits")
    for name, text in REGIONS.items():
        (place / name).write_text(text)
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
    if key not in {"WEIGHT_NAMES", "FLAG_NAMES", "POLY_NAMES"}:
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
    "regions": {
        "WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "mask.fits", "FLAG_WMASKS": "0x01", "POLY_NAMES": "one.reg",
        "POLY_OUTFLAGS": "4",
    },
    "regions that cancel where they overlap": {
        "WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "", "POLY_NAMES": "one.reg,two.reg", "POLY_OUTFLAGS": "4,8",
        "POLY_OUTWEIGHTS": "0.5,0.3", "POLY_INTERSECT": "N",
    },
    "several files of regions, on tiles too": {
        "WEIGHT_NAMES": "flat.fits,other.fits", "FLAG_NAMES": "bits.fits", "WEIGHT_MIN": "0.3,0.5",
        "WEIGHT_MAX": "1.3,1.5", "WEIGHT_OUTFLAGS": "1,4", "FLAG_WMASKS": "0x10", "FLAG_MASKS": "0x01",
        "FLAG_OUTFLAGS": "2", "POLY_NAMES": "tiles.reg,one.reg,two.reg", "POLY_OUTFLAGS": "8,16,32",
        "POLY_OUTWEIGHTS": "0.0,1.5,0.7",
    },
    "regions on a CCD of true size, beside flags alone": {
        "WEIGHT_NAMES": "", "FLAG_NAMES": "true_mask.fits", "FLAG_WMASKS": "0x01", "POLY_NAMES": "one.reg",
        "POLY_OUTFLAGS": "70000",
    },
    "regions in fk5": {
        "WEIGHT_NAMES": "single.fits", "FLAG_NAMES": "", "POLY_NAMES": "sky.reg,one.reg", "POLY_OUTFLAGS": "4,8",
    },
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


def flags_of_both(
    peer: str, place: Path, made: Path, settings: dict[str, str]
) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Flags of every CCD, the peer's and ours."""
    (weights, unused), (theirs, ours) = both(peer, place, made, settings)
    with weights, unused, theirs, ours:
        return [hdu.data.copy() for hdu in theirs[1:]], [hdu.data.copy() for hdu in ours[1:]]


def test_the_peer_loses_flags_beyond_eight_bits_of_sixteen_and_we_do_not(peer: str, maps: Path, tmp_path: Path) -> None:
    settings = {"WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "", "WEIGHT_OUTFLAGS": "257"}
    theirs, ours = flags_of_both(peer, maps, tmp_path, settings)
    assert theirs[0].dtype == ours[0].dtype == np.dtype(">i2")
    np.testing.assert_array_equal(theirs[0], ours[0] & 0xFF)
    assert set(np.unique(ours[0])) == {0, 257}


def test_the_peer_counts_a_tile_down_with_each_polygon_and_we_do_not(peer: str, maps: Path, tmp_path: Path) -> None:
    (tmp_path / "a.reg").write_text("tile 2\nimage\npolygon(5,5,40,5,40,40)\npolygon(50,5,70,5,70,40)\n")
    settings = {
        "WEIGHT_NAMES": "flat.fits", "FLAG_NAMES": "", "WEIGHT_OUTFLAGS": "0", "POLY_OUTFLAGS": "4",
        "POLY_NAMES": str(tmp_path / "a.reg"),
    }  # fmt: skip
    theirs, ours = flags_of_both(peer, maps, tmp_path, settings)
    assert [np.unique(flags).tolist() for flags in ours] == [[0], [0, 4], [0]]
    np.testing.assert_array_equal(theirs[0] | theirs[1], ours[1])
    assert theirs[0].any()
