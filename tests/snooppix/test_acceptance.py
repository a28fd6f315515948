"""What is taken and what is not, from files that differ from a good one in one thing each."""

import asyncio
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from dbclient.schema import FrameKind
from snooppix.errors import Rejection
from snooppix.headers import read_headers
from snooppix.pixels import datasum, examine, pixel_digest
from snooppix.verification import Read, Verified, Verifier, read_file
from tests.snooppix.desk import small_camera
from tests.support.archive import small_fits
from tests.support.unpacking import examine_or_end

FLAT = "08Am03.flat.r.36.02"
MASK = "2003A.mask.0.36.01"


def read(content: bytes, tmp_path: Path, *, name: str = "979412p", kind: FrameKind = FrameKind.OBJECT) -> Read:
    path = tmp_path / f"{name}.fits.fz"
    path.write_bytes(content)
    return read_file(path, instrument=small_camera(), kind=kind, name=name, compression=0.3)


@pytest.mark.parametrize(
    ("changes", "word", "said"),
    [
        ({"EL_SYS": None}, "raw", "without EL_SYS"),
        ({"IMRED_OP": None}, "raw", "IMRED_OP"),
        ({"IMRED_OP": "MASK_BP + OVERSCAN + BIAS"}, "not-elixir", "lacks FLAT-FIELD"),
        ({"RUNID": ""}, "header", "RUNID is missing or empty"),
        ({"RUNID": "../../x"}, "header", "is no name of a run"),
        ({"FILTER": None}, "header", "FILTER is missing"),
        ({"IMRED_FF": "../../etc/passwd x"}, "header", "cannot be the name of a calibration"),
        ({"INSTRUME": "WIRCam", "DETECTOR": "WIRCam"}, "other-camera", "another camera"),
        ({"INSTRUME": "DECam", "DETECTOR": "DECam"}, "other-camera", "INSTRUME = 'DECam'"),
        ({"OBSTYPE": "FLAT"}, "flat", "flat field"),
        ({"OBSTYPE": "BIAS"}, "bias", "bias exposure"),
        ({"OBSTYPE": "COMPARISON"}, "exposure", "OBSTYPE = 'COMPARISON'"),
        ({"NEXTEND": 40}, "incomplete", "NEXTEND = 40 extensions are announced and 36 are there"),
        ({"NCCDS": 35}, "ccds", "NCCDS = 35"),
        ({"EXPNUM": 1000000}, "other-exposure", "listed as 979412p"),
    ],
)
def test_one_wrong_thing_is_named(changes: dict[str, str | int | None], word: str, said: str, tmp_path: Path) -> None:
    found = read(small_fits("979412p", **changes), tmp_path).verdict.rejection  # type: ignore[arg-type]
    assert found is not None
    assert found.word == word
    assert said in found.sentence


def test_a_frame_with_too_few_ccds_is_not_taken(tmp_path: Path) -> None:
    found = read(small_fits("979412p", ccds=35), tmp_path).verdict.rejection
    assert found is not None
    assert "35 CCD images; MegaCam frames have 36 or 40" in found.sentence


def test_forty_ccds_are_as_good_as_thirty_six(tmp_path: Path) -> None:
    found = read(small_fits("979412p", ccds=40), tmp_path)
    assert found.verdict.accepted
    assert found.columns["ccds"] == 40


@pytest.mark.parametrize(
    ("keyword", "value", "said"),
    [
        ("CTYPE1", None, "CTYPE1 is missing"),
        ("CRVAL2", None, "CRVAL2 is missing"),
        ("CRPIX1", None, "CRPIX1 is missing"),
        ("CD1_1", 0.0, "cannot be inverted"),
        ("CRVAL1", 400.5, "5 degrees"),
    ],
)
def test_every_ccd_needs_its_wcs(keyword: str, value: float | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "979412p.fits"
    path.write_bytes(small_fits("979412p"))
    with fits.open(path, mode="update") as hdus:
        if value is None:
            del hdus[7].header[keyword]
        else:
            hdus[7].header[keyword] = value
            hdus[7].header["CD2_1"] = 0.0
            hdus[7].header["CD1_2"] = 0.0 if keyword == "CD1_1" else hdus[7].header["CD1_2"]
    found = read(path.read_bytes(), tmp_path).verdict.rejection
    assert found is not None
    assert said in found.sentence


@pytest.mark.parametrize(("name", "kind"), [(FLAT, FrameKind.FLAT), (MASK, FrameKind.MASK)])
def test_a_calibration_is_taken_as_what_it_was_asked_for(name: str, kind: FrameKind, tmp_path: Path) -> None:
    other = FrameKind.MASK if kind is FrameKind.FLAT else FrameKind.FLAT
    assert read(small_fits(name), tmp_path, name=name, kind=kind).verdict.accepted
    wrong = read(small_fits(name), tmp_path, name=name, kind=other).verdict.rejection
    short = read(small_fits(name, ccds=12), tmp_path, name=name, kind=kind).verdict.rejection
    assert wrong is not None
    assert wrong.word == "not-calibration"
    assert short is not None
    assert short.word == "ccds"


def test_needs_follow_from_the_pixels(tmp_path: Path) -> None:
    content = small_fits("979412p")
    pixels = 36 * 32 * 16
    assert read(content, tmp_path).columns["needs"] == {
        "frame": len(content),
        "unpacked": 2 * pixels,
        "weight": -(-pixels * 4 * 3 // 10),
        "flag": -(-pixels * 3 // 10),
        "sources": -(-pixels * 4 // 100),
        "scratch": -(-pixels * 4 * 3 // 10) + -(-pixels * 3 // 10),
    }


def test_datasum_agrees_with_astropy() -> None:
    data = np.random.default_rng(1).integers(0, 256, 2880 * 7, dtype=np.uint8)
    hdu = fits.ImageHDU(data.reshape(7, 2880))
    hdu.add_datasum()
    assert str(datasum(data)) == hdu.header["DATASUM"]
    assert datasum(b"\x01") == 0x01000000
    assert datasum(b"") == 0


def sums(path: Path) -> str:
    return str(pixel_digest(examine(path, read_headers(path).hdus)))


def test_the_pixel_digest_outlives_compression(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(-300, 9000, (64, 50)).astype(np.int16)
    plain, packed, gzipped, other = (tmp_path / f"{name}.fits" for name in ("plain", "rice", "gzip", "other"))
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels)]).writeto(plain)
    for path, method in ((packed, "RICE_1"), (gzipped, "GZIP_2")):
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(pixels, compression_type=method)]
        fits.HDUList(hdus).writeto(path, checksum=True)
    changed = pixels.copy()
    changed[5, 5] += 1
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(changed)]).writeto(other)

    assert sums(plain) == sums(packed) == sums(gzipped)
    assert sums(plain) != sums(other)


def test_raw_values_are_summed_whatever_bzero_says(tmp_path: Path) -> None:
    """The p frames of MegaCam have BZERO 32668: the digest is of what is stored."""
    pixels = np.random.default_rng(2).integers(0, 60000, (64, 50)).astype(np.float64)
    plain, packed = tmp_path / "plain.fits", tmp_path / "packed.fits"
    hdu = fits.ImageHDU(pixels)
    hdu.scale("int16", bscale=1, bzero=32668)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(plain)
    with fits.open(plain, do_not_scale_image_data=True) as hdus:
        raw = fits.CompImageHDU(hdus[1].data, header=hdus[1].header, compression_type="RICE_1")
        fits.HDUList([fits.PrimaryHDU(), raw]).writeto(packed)
    assert sums(plain) == sums(packed)


async def test_a_flipped_bit_in_pixels_or_header_is_found(tmp_path: Path) -> None:
    path = tmp_path / "979412p.fits.fz"
    good = small_fits("979412p")
    async with Verifier(small_camera(), compression=0.3, processes=1) as verifier:
        path.write_bytes(good)
        assert (await verifier.verify(path, kind=FrameKind.OBJECT, name="979412p")).columns["ccds"] == 36
        for place, said in ((len(good) - 2000, "DATASUM"), (good.index(b"PI_NAME") + 12, "CHECKSUM")):
            damaged = bytearray(good)
            damaged[place] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(Rejection, match=said) as problem:
                await verifier.verify(path, kind=FrameKind.OBJECT, name="979412p")
            assert problem.value.word == "checksum"


async def test_a_file_is_not_blamed_when_the_process_that_unpacks_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "979412p.fits.fz"
    path.write_bytes(small_fits("979412p"))
    async with Verifier(small_camera(), compression=0.3, processes=1) as verifier:
        for _ in range(2):
            assert (await verifier.verify(path, kind=FrameKind.OBJECT, name="979412p")).columns["ccds"] == 36
            for process in multiprocessing.active_children():
                process.kill()


async def test_only_the_file_that_ends_its_process_is_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snooppix.verification.examine", examine_or_end)
    monkeypatch.setattr("snooppix.verification.KILLED", 2)
    paths = [tmp_path / end / "979412p.fits.fz" for end in ("crashes", "killed", "well")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(small_fits("979412p", ccds=1))
    async with Verifier(small_camera().with_ccds(1), compression=0.3, processes=1) as verifier:
        crashed, killed, well = await asyncio.gather(
            *(verifier.verify(path, kind=FrameKind.OBJECT, name="979412p") for path in paths), return_exceptions=True
        )

    assert isinstance(crashed, Rejection)
    assert "the file is broken" in str(crashed)
    assert isinstance(killed, ChildProcessError)
    assert "memory is short" in str(killed)
    assert isinstance(well, Verified)


def test_tiles_that_cannot_be_unpacked_are_told(tmp_path: Path) -> None:
    path = tmp_path / "broken.fits"
    pixels = np.random.default_rng(2).integers(-300, 9000, (64, 50)).astype(np.int16)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(pixels, name="ccd00", compression_type="RICE_1")]).writeto(path)
    hdu = read_headers(path).hdus[1]
    content = bytearray(path.read_bytes())
    start = hdu.offset + hdu.header_size
    content[start : start + 8 * 64] = b"\x7f" * (8 * 64)  # every tile now claims gigabytes from beyond the heap
    path.write_bytes(content)
    with pytest.raises(Rejection) as problem:
        examine(path, read_headers(path).hdus)
    assert problem.value.word == "pixels"
    assert "HDU 1" in problem.value.sentence
