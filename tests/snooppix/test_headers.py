"""FITS files that lie, are cut, or are none: each ends in a rejection that names the HDU and the value."""

import contextlib
import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from snooppix.errors import Rejection
from snooppix.headers import BLOCK, parse_value, read_headers
from tests.support.archive import small_fits

SMALL = small_fits("979412p", ccds=2)


def header(*cards: str, end: bool = True) -> bytes:
    text = "".join(card.ljust(80) for card in (*cards, *(["END"] if end else [])))
    return text.ljust(-(-len(text) // BLOCK) * BLOCK).encode()


PRIMARY = header("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0")


def image(
    *, bitpix: object = 16, axes: object = 2, first: object = 10, second: object = 10, extra: object = 0
) -> bytes:
    return header(
        "XTENSION= 'IMAGE   '",
        f"BITPIX  = {bitpix}",
        f"NAXIS   = {axes}",
        f"NAXIS1  = {first}",
        f"NAXIS2  = {second}",
        f"PCOUNT  = {extra}",
        "GCOUNT  = 1",
    )


def rejected(content: bytes, tmp_path: Path) -> Rejection:
    path = tmp_path / "hostile.fits"
    path.write_bytes(content)
    with pytest.raises(Rejection) as problem:
        read_headers(path)
    return problem.value


@pytest.mark.parametrize(
    ("content", "word", "said"),
    [
        (b"", "not-fits", ""),
        (b"<html>login</html>".ljust(5000), "not-fits", "no SIMPLE"),
        (PRIMARY + image(first=-2112), "hostile", "HDU 1: NAXIS1 = -2112"),
        (PRIMARY + image(axes=-3), "hostile", "HDU 1: NAXIS = -3"),
        (PRIMARY + image(axes=999), "hostile", "NAXIS = 999"),
        (PRIMARY + image(bitpix=17), "hostile", "BITPIX = 17"),
        (PRIMARY + image(bitpix="'text'"), "hostile", "BITPIX = 'text'"),
        (PRIMARY + image(first=10**9, second=10**9), "hostile", "2000000000000000000 bytes"),
        (PRIMARY + image(extra=10**15), "hostile", "more than the file has"),
        (PRIMARY + image(extra=-5), "hostile", "PCOUNT = -5"),
        (PRIMARY + image(first=10**40), "hostile", "no length of an axis"),
        (PRIMARY + header("XTENSION= 'IMAGE   '", end=False), "truncated", "header of HDU 1 ends without END"),
        (SMALL[: len(SMALL) // 2], "truncated", "HDU 1"),
    ],
)
def test_a_hostile_or_broken_file_is_told(content: bytes, word: str, said: str, tmp_path: Path) -> None:
    problem = rejected(content, tmp_path)
    assert problem.word == word
    assert said in problem.sentence


def test_a_header_of_gigabytes_without_end_is_left_soon(tmp_path: Path) -> None:
    path = tmp_path / "endless.fits"
    with path.open("wb") as file:
        file.write(PRIMARY + header("XTENSION= 'IMAGE   '", end=False))
        file.truncate(4 * 1024**3)
    with pytest.raises(Rejection, match="has no END within"):
        read_headers(path)


def test_a_gzip_bomb_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snooppix.headers.LARGEST_UNPACKED", 10_000_000)
    path = tmp_path / "bomb.fits.gz"
    path.write_bytes(gzip.compress(PRIMARY + b"\0" * 20_000_000))
    with pytest.raises(Rejection, match="more than 10000000 bytes"):
        read_headers(path)


def test_a_cut_gzip_file_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "cut.fits.gz"
    path.write_bytes(gzip.compress(SMALL)[:-2000])
    with pytest.raises(Rejection) as problem:
        read_headers(path)
    assert problem.value.word == "truncated"


def test_sizes_and_places_agree_with_astropy(tmp_path: Path) -> None:
    path = tmp_path / "mixed.fits"
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 1000, (40, 50)).astype(np.int16)
    fits.HDUList(
        [
            fits.PrimaryHDU(rng.normal(size=(5, 7)).astype(np.float32)),
            fits.ImageHDU(pixels, name="plain"),
            fits.CompImageHDU(pixels, name="packed", compression_type="RICE_1"),
            fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.arange(5))], name="table"),
        ]
    ).writeto(path)

    found = read_headers(path)

    with fits.open(path, disable_image_compression=True) as hdus:
        assert [hdu.offset + hdu.header_size for hdu in found.hdus] == [hdu.fileinfo()["datLoc"] for hdu in hdus]
        assert [hdu.padded for hdu in found.hdus] == [hdu.fileinfo()["datSpan"] for hdu in hdus]
    assert [(h.name, h.shape, h.bitpix) for h in found.images] == [
        ("", (7, 5), -32),
        ("PLAIN", (50, 40), 16),
        ("PACKED", (50, 40), 16),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("                   T / comment", True),
        ("'it''s fine / yes'   / comment", "it's fine / yes"),
        ("  -12 / n", -12),
        ("1.5D3", 1500.0),
        ("1e999", None),
        ("NaN", None),
        ("(1, 2)", None),
        ("", None),
        ("9" * 50, None),
    ],
)
def test_values_are_read_or_none(text: str, value: object) -> None:
    found = parse_value(text)
    if text == "9" * 50:
        assert isinstance(found, float)
        return
    assert found == value
    assert type(found) is type(value)


@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, len(SMALL) - 1), bits=st.binary(min_size=1, max_size=60))
def test_no_change_of_bytes_makes_the_reader_fail_otherwise(
    place: int, bits: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is overwritten, the file is read or rejected; nothing else is raised."""
    path = tmp_path_factory.getbasetemp() / "mutated.fits"
    path.write_bytes(SMALL[:place] + bits + SMALL[place + len(bits) :])
    with contextlib.suppress(Rejection):
        read_headers(path)
