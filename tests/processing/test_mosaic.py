"""Writing: every type comes back, for every reader; files are there complete or not at all."""

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processing.errors import NotStorable
from processing.mosaic import Compression, Mosaic, MosaicWriter, assemble, hdu_bytes, primary_bytes

SHAPE = (60, 75)


def sample(kind: str) -> NDArray[Any]:
    chance = np.random.default_rng(4)
    if kind.startswith("f"):
        return (chance.normal(1, 0.2, SHAPE) * (chance.random(SHAPE) > 0.1)).astype(kind)
    info = np.iinfo(kind)
    full = chance.integers(info.min, info.max, SHAPE, dtype=kind, endpoint=True)
    full[10:20] = 7
    return full


KINDS = ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"]


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_come_back_bit_for_bit(kind: str, compression: Compression, tmp_path: Path) -> None:
    image = sample(kind)
    header = {"OBJECT": "M 31", "CRVAL1": (10.68, "degrees"), "BITPIX": 99, "ZBITPIX": 3}
    path = tmp_path / "a.fits"
    assemble(
        path, primary_bytes({"RUNID": "08AC14"}), [hdu_bytes(image, header, name="ccd07", compression=compression)]
    )

    with fits.open(path, checksum=True) as opened:
        assert opened[0].header["RUNID"] == "08AC14"
        assert (opened[1].name, opened[1].header["OBJECT"], opened[1].header["CRVAL1"]) == ("ccd07", "M 31", 10.68)
        np.testing.assert_array_equal(opened[1].data, image)
    with fitsio.FITS(str(path)) as opened:
        np.testing.assert_array_equal(opened[1].read(), image)
    with Mosaic(path) as mosaic:
        extension = mosaic.extensions[0]
        assert (extension.name, extension.shape, extension.compressed) == ("ccd07", SHAPE, compression == "rice")
        assert extension.bitpix == (-8 if image.dtype.kind == "f" else 8) * image.dtype.itemsize
        assert mosaic.primary["RUNID"] == "08AC14"
        assert "BITPIX" not in extension.header
        assert extension.header["OBJECT"] == "M 31"
        np.testing.assert_array_equal(mosaic.read(0), image)


def test_elixirs_zero_point_keeps_16_bits(tmp_path: Path) -> None:
    image = np.random.default_rng(1).integers(-100, 65435, SHAPE, endpoint=True)
    path = assemble(tmp_path / "p.fits", primary_bytes(None), [hdu_bytes(image, None, name="ccd00", bzero=32668)]).path
    with Mosaic(path) as mosaic:
        assert mosaic.extensions[0].bitpix == 16
        assert mosaic.extensions[0].bzero == 32668
        np.testing.assert_array_equal(mosaic.read(0), image)


def test_quantised_floats_keep_zero_and_nan_and_half_a_step(tmp_path: Path) -> None:
    image = sample("f4")
    image[3, 3] = np.nan
    path = assemble(tmp_path / "w.fits", primary_bytes(None), [hdu_bytes(image, None, name="w", quantize=1e-3)]).path
    for found in (Mosaic(path).read(0), fits.getdata(path, 1), fitsio.read(str(path), 1)):
        assert found.dtype.itemsize == 4
        assert (found[image == 0] == 0).all()
        assert np.isnan(found[3, 3])
        assert np.nanmax(np.abs(found - image)) <= 0.5e-3 * (1 + 1e-4)  # the step, and rounding to float32 near 2
    assert path.stat().st_size < 3 * 2880 + image.size * 1.6


@pytest.mark.parametrize("quantize", [None, 1e-3])
def test_funpack_gives_every_pixel_back(
    quantize: float | None, tmp_path: Path, program: Callable[[str, str], str]
) -> None:
    parts = [hdu_bytes(sample(kind), None, name=kind, quantize=quantize) for kind in KINDS]
    packed = assemble(tmp_path / "a.fits.fz", primary_bytes(None), parts).path
    funpack = program("funpack", "libcfitsio-bin")
    subprocess.run([funpack, "-O", str(tmp_path / "b.fits"), str(packed)], check=True, capture_output=True)
    with fits.open(tmp_path / "b.fits", checksum=True) as opened, Mosaic(packed) as ours:
        assert not any(isinstance(hdu, fits.CompImageHDU) for hdu in opened)
        for number, extension in enumerate(ours.extensions):
            np.testing.assert_array_equal(opened[extension.name].data, ours.read(number))


def test_files_of_fpack_are_read(tmp_path: Path, program: Callable[[str, str], str]) -> None:
    images = [sample("i2"), sample("u2"), sample("i4"), sample("f4"), sample("u1")]
    plain = tmp_path / "a.fits"
    hdus = [fits.ImageHDU(image, name=f"ccd{number:02d}") for number, image in enumerate(images)]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(plain)
    for options in (["-r"], ["-g2"], ["-h"], ["-r", "-t", "25,30"], ["-r", "-qz", "-4"]):
        packed = tmp_path / "a.fits.fz"
        packed.unlink(missing_ok=True)
        subprocess.run([program("fpack", "libcfitsio-bin"), *options, str(plain)], check=True, capture_output=True)
        with Mosaic(packed) as mosaic:
            for number, image in enumerate(images):
                found = mosaic.read(number)
                np.testing.assert_array_equal(found, fits.getdata(packed, number + 1))
                if image.dtype.kind != "f" and "-h" not in options:
                    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize("length", [1, 68, 69, 200])
def test_texts_of_any_length_stand_in_headers(length: int, tmp_path: Path) -> None:
    text = "it's " * 40
    header = {"LONGTEXT": text[:length].strip(), "HIERARCH ESO X": 1, "T": True, "N": 7, "F": 1e-300, "G": 1.5}
    path = assemble(tmp_path / "a.fits", primary_bytes(header), []).path
    found = fits.getheader(path)
    assert [found[key.removeprefix("HIERARCH ")] for key in header] == list(header.values())


def test_headers_of_astropy_are_taken_card_by_card(tmp_path: Path) -> None:
    header = fits.Header([("OBJECT", "x", "comment"), ("", "", ""), ("COMMENT", "one"), ("HISTORY", "two")])
    header["A"] = 1.5
    path = assemble(tmp_path / "a.fits", primary_bytes(header), [hdu_bytes(sample("i2"), header, name="q")]).path
    for found in (fits.getheader(path), fits.getheader(path, 1)):
        assert found.comments["OBJECT"] == "comment"
        assert (found["A"], str(found["COMMENT"]), str(found["HISTORY"])) == (1.5, "one", "two")


@pytest.mark.parametrize(
    ("image", "options", "told"),
    [
        (np.zeros((2, 2, 2)), {}, "two axes"),
        (np.zeros((0, 2)), {}, "at least one pixel"),
        (np.zeros((2, 2), np.int64), {}, "int64"),
        (np.full((2, 2), np.inf), {"quantize": 0.1}, "infinite"),
        (np.full((2, 2), 1.0), {"quantize": 0.0}, "above 0"),
        (np.full((2, 2), 70000), {"bzero": 0}, "16 bits"),
    ],
)
def test_what_cannot_be_stored_is_refused(image: NDArray[Any], options: dict[str, Any], told: str) -> None:
    with pytest.raises(NotStorable, match=told):
        hdu_bytes(image, None, name="a", **options)


def test_a_file_is_told_with_its_size_and_digest_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(b"old")
    (tmp_path / "part").write_bytes(hdu_bytes(sample("i2"), None, name="a"))
    written = assemble(path, primary_bytes(None), [tmp_path / "part", hdu_bytes(sample("u1"), None, name="b")])
    content = path.read_bytes()
    assert (written.size, written.md5) == (len(content), hashlib.md5(content, usedforsecurity=False).hexdigest())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.fits", "part"]


def test_nothing_remains_of_a_file_that_was_not_finished(tmp_path: Path) -> None:
    def parts() -> Any:
        yield hdu_bytes(sample("i2"), None, name="a")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        assemble(tmp_path / "a.fits", primary_bytes(None), parts())
    with MosaicWriter(tmp_path / "b.fits", primary_bytes(None)):
        pass
    assert list(tmp_path.iterdir()) == []
