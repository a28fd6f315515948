"""MissFITS: sets there and back, headers edited, pixels untouched."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing.cards import sum_of
from processing.missfits.command import main
from processing.mosaic import Compression, assemble, hdu_bytes, primary_bytes

QUIET = ["-VERBOSE_TYPE", "QUIET", "-WRITE_XML", "N"]


def write_mosaic(path: Path, ccds: int = 3) -> Path:
    """Write a file of CCDs with comments, blank cards and history between the values."""
    chance = np.random.default_rng(5)
    primary = fits.PrimaryHDU()
    primary.header["OBJECT"] = "M 31"
    primary.header["NEXTEND"] = ccds
    primary.header.add_comment("of the night")
    hdus: list[fits.PrimaryHDU | fits.ImageHDU] = [primary]
    for number in range(ccds):
        hdu = fits.ImageHDU(chance.integers(-100, 30000, (20, 31)).astype(np.int16), name=f"ccd{number:02d}")
        hdu.header["GAIN"] = (1.5 + number, "e-/ADU")
        hdu.header["CTYPE1"], hdu.header["CTYPE2"] = "RA---TAN", "DEC--TAN"
        hdu.header["PV1_1"], hdu.header["BLOB1"], hdu.header["BLOB2"] = 1.0, 1, 2
        hdu.header.add_history("made by hand")
        hdu.header[""] = "between the lines"
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path)
    return path


def write_cube(path: Path) -> Path:
    pixels = np.random.default_rng(6).integers(-100, 30000, (4, 20, 31)).astype(np.int16)
    cube = fits.PrimaryHDU(pixels)
    for number in range(1, 5):
        cube.header[f"AIRM{number:03d}"] = 1 + number / 10
    cube.writeto(path)
    return path


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., int]:
    """Call the tool quietly, with a file of the test's directory."""

    def run(name: str, *settings: str) -> int:
        return main([str(tmp_path / name), *QUIET, *settings])

    return run


@pytest.mark.parametrize("layout", ["SPLIT", "DIR"])
def test_split_and_joined_again_a_file_is_the_same(tmp_path: Path, call: Callable[..., int], layout: str) -> None:
    before = write_mosaic(tmp_path / "m.fits").read_bytes()
    assert call("m.fits", "-OUTFILE_TYPE", layout, "-SAVE_TYPE", "REPLACE") == 0
    assert not (tmp_path / "m.fits").exists()
    assert len(list(tmp_path.rglob("m.00?.fits"))) == 4
    assert call("m", "-OUTFILE_TYPE", "MULTI") == 0
    assert (tmp_path / "m.fits").read_bytes() == before


def test_sliced_and_stacked_again_a_cube_is_the_same(tmp_path: Path, call: Callable[..., int]) -> None:
    before = write_cube(tmp_path / "c.fits").read_bytes()
    keys = ("-SLICE_KEYWORD", "AIRM")
    assert call("c.fits", "-OUTFILE_TYPE", "SLICE", "-SAVE_TYPE", "REPLACE", *keys) == 0
    assert fits.getheader(tmp_path / "c.003.fits")["AIRM"] == 1.3
    assert call("c", "-OUTFILE_TYPE", "CUBE", *keys) == 0
    assert (tmp_path / "c.fits").read_bytes() == before


def test_a_mosaic_made_a_cube_of_one_plane_comes_back(tmp_path: Path, call: Callable[..., int]) -> None:
    before = write_mosaic(tmp_path / "m.fits").read_bytes()
    assert call("m.fits", "-OUTFILE_TYPE", "CUBE", "-SAVE_TYPE", "REPLACE") == 0
    assert fits.getheader(tmp_path / "m.fits", 1)["NAXIS3"] == 1
    assert call("m.fits", "-OUTFILE_TYPE", "SLICE") == 0
    assert (tmp_path / "m.001.fits").read_bytes() == before


@pytest.mark.parametrize("kind", ["RICE", "GZIP"])
@pytest.mark.parametrize("write", [write_mosaic, write_cube])
def test_compressed_and_back_a_file_is_the_same(
    tmp_path: Path, call: Callable[..., int], kind: str, write: Callable[[Path], Path]
) -> None:
    before = write(tmp_path / "m.fits").read_bytes()
    assert call("m.fits", "-PROCESS_TYPE", kind, "-SAVE_TYPE", "REPLACE") == 0
    assert not (tmp_path / "m.fits").exists()
    with fits.open(tmp_path / "m.fits.fz") as packed:
        assert isinstance(packed[1], fits.CompImageHDU)
    assert call("m.fits.fz", "-PROCESS_TYPE", "UNCOMPRESS") == 0
    assert (tmp_path / "m.fits").read_bytes() == before


def test_without_a_wish_not_a_byte_changes(tmp_path: Path, call: Callable[..., int]) -> None:
    before = write_mosaic(tmp_path / "m.fits").read_bytes()
    assert call("m.fits") == 0
    assert (tmp_path / "m.fits").read_bytes() == before
    assert (tmp_path / "m.fits.back").read_bytes() == before
    assert call("m.fits", "-SAVE_TYPE", "NEW") == 0
    assert (tmp_path / "m.miss.fits").read_bytes() == before


def test_keywords_are_removed_renamed_and_added(tmp_path: Path, call: Callable[..., int]) -> None:
    write_mosaic(tmp_path / "m.fits")
    edits = ("-REMOVE_KEYWORD", "CTYPE?,HIST*", "-REPLACE_KEYWORD", "GAIN:EGAIN,BLOB?:B?", "-ADD_KEYWORD", "RUN:7")
    assert call("m.fits", *edits) == 0
    header = fits.getheader(tmp_path / "m.fits", 2)
    assert not {"CTYPE1", "CTYPE2", "HISTORY", "GAIN", "BLOB1"} & set(header)
    assert (header["EGAIN"], header.comments["EGAIN"], header["B1"], header["B2"], header["RUN"]) == (
        2.5, "e-/ADU", 1, 2, 7,
    )  # fmt: skip
    assert call("m.fits", "-REMOVE_KEYWORD", "*") == 0
    assert [fits.getheader(tmp_path / "m.fits", number)["NAXIS1"] for number in (1, 2, 3)] == [31] * 3


def test_a_head_is_baked_in_without_touching_the_storage(tmp_path: Path, call: Callable[..., int]) -> None:
    write_mosaic(tmp_path / "m.fits")
    (tmp_path / "m.head").write_text(
        "GAIN    = 9.123456789012345\nPV2_1   = 2.0\nNAXIS1  = 5\nHISTORY solved\nEND\nOBJECT = 'x' / new\nEND\n"
    )
    assert call("m.fits", "-PV_AS_TPV", "Y") == 0
    first, second, third = (fits.getheader(tmp_path / "m.fits", number) for number in (1, 2, 3))
    assert (first["GAIN"], first.comments["GAIN"], first["NAXIS1"]) == (9.123456789012345, "e-/ADU", 31)
    assert "PV1_1" not in first
    assert first["PV2_1"] == 2
    assert "solved" in str(first["HISTORY"])
    assert (second["OBJECT"], second["PV1_1"], second["CTYPE1"]) == ("x", 1, "RA---TPV")
    assert (third["GAIN"], third["CTYPE2"]) == (3.5, "DEC--TPV")


def test_astropy_confirms_the_checksums(
    tmp_path: Path, call: Callable[..., int], recwarn: pytest.WarningsRecorder
) -> None:
    write_mosaic(tmp_path / "m.fits")
    assert call("m.fits", "-CHECKSUM_TYPE", "COMPUTE") == 0
    assert call("m.fits", "-ADD_KEYWORD", "RUN:12") == 0
    with fits.open(tmp_path / "m.fits", checksum=True) as hdus:
        assert [hdu.verify_checksum() for hdu in hdus] == [1] * 4
        assert [hdu.verify_datasum() for hdu in hdus] == [1] * 4
        assert hdus[1].header["RUN"] == 12
    assert not [each for each in recwarn if "hecksum" in str(each.message)]
    assert call("m.fits", "-CHECKSUM_TYPE", "VERIFY", "-SAVE_TYPE", "NONE") == 0


def test_sixteen_bits_are_rounded_and_what_is_lost_is_counted(tmp_path: Path, call: Callable[..., int]) -> None:
    pixels = np.array([[-1.5, -0.5, 0.5, 1.6], [2.5, 40000, -40000, np.nan]], np.float32)
    fits.PrimaryHDU(pixels).writeto(tmp_path / "f.fits")
    text = tmp_path / "report"
    assert call("f.fits", "-PROCESS_TYPE", "TOBITPIX16", "-REPORT_NAME", str(text)) == 0
    stored = fits.getdata(tmp_path / "f.fits", do_not_scale_image_data=True)
    assert stored.tolist() == [[-2, 0, 0, 2], [2, 32767, -32767, -32768]]
    assert fits.getheader(tmp_path / "f.fits")["BLANK"] == -32768
    assert "2 pixels do not fit 16 bits" in text.read_text()
    assert "1 pixels have no value" in text.read_text()


def test_wrong_settings_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mosaic(tmp_path / "m.fits")
    name = str(tmp_path / "m.fits")
    assert main([name, "-REPLACE_KEYWORD", "GAIN:BITPIX"]) == 2
    assert main([name, "-SPLIT_SUFFIX", ".fits"]) == 2
    assert main([str(tmp_path / "nothing")]) == 1
    assert "no nothing.001.fits is there" in capsys.readouterr().err


def test_sums_are_those_of_the_words_whatever_their_length_and_start() -> None:
    chance = np.random.default_rng(8)
    for words in (0, 1, 720, 4096, 4097, 70000):
        for data in (chance.bytes(4 * words), b"\xff" * (4 * words), bytes(4 * words)):
            for start in (0, 1, 0xFFFFFFFF):
                total = start + sum(struct.unpack(f">{words}I", data))
                while total >> 32:
                    total = (total & 0xFFFFFFFF) + (total >> 32)
                assert sum_of(data, start) == sum_of(memoryview(data), start) == total


@pytest.mark.parametrize("settings", [[], ["-CHECKSUM_TYPE", "COMPUTE"]], ids=["copied", "summed"])
def test_a_file_that_becomes_shorter_while_it_is_read_is_told(
    settings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.fits"
    image = hdu_bytes(np.ones((500, 400), np.int16), {}, name="ccd00", compression=Compression.NONE)
    assemble(path, primary_bytes({}), [image])
    reserve = os.posix_fallocate

    def shortened(handle: int, start: int, size: int) -> None:
        os.truncate(path, 5760 + 8000)
        reserve(handle, start, size)

    monkeypatch.setattr("processing.missfits.writing.os.posix_fallocate", shortened)
    assert main([str(path), "-WRITE_XML", "N", "-SAVE_TYPE", "NEW", *settings]) == 1
    assert f"{path}: ends " in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["m.fits"]
