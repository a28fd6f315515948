"""Reading files that are damaged or hostile."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processing.cards import LONGEST_HEADER
from processing.errors import BadHeader, DamagedPixels, FileProblem, NotFits, Truncated
from processing.mosaic import Compression, Mosaic, assemble, hdu_bytes, primary_bytes


def good(compression: Compression = Compression.RICE) -> bytes:
    image = np.arange(5000, dtype=np.int16).reshape(50, 100)
    return primary_bytes({"RUNID": "x"}) + hdu_bytes(image, {"OBJECT": "y"}, name="ccd00", compression=compression)


def replaced(keyword: str, value: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        at = content.index(f"{keyword:<8}= ".encode(), 2880)
        return content[:at] + f"{keyword:<8}= {value:>20}".encode() + content[at + 30 :]

    return change


def packed(keyword: str, value: str) -> tuple[Compression, Callable[[bytes], bytes]]:
    return Compression.RICE, replaced(keyword, value)


def plain(keyword: str, value: str) -> tuple[Compression, Callable[[bytes], bytes]]:
    return Compression.NONE, replaced(keyword, value)


HOSTILE: list[tuple[tuple[Compression, Callable[[bytes], bytes]], type[FileProblem], str]] = [
    ((Compression.RICE, lambda _: b"<html>Please log in</html>" * 200), NotFits, "begins with b'<html>"),
    ((Compression.RICE, lambda _: b""), NotFits, "empty"),
    ((Compression.RICE, lambda content: content[:2880] + b"XTENSION= 'IMAGE   '".ljust(2880)), Truncated, "header"),
    ((Compression.RICE, lambda content: content[:-2880]), Truncated, "its pixels end at byte"),
    ((Compression.RICE, lambda content: content[:3500]), Truncated, "inside a header"),
    (
        (Compression.RICE, lambda content: content[:2880] + b"XTENSION= 'IMAGE'".ljust(LONGEST_HEADER * 2)),
        NotFits,
        "than",
    ),
    (plain("NAXIS1", "-100"), BadHeader, "NAXIS1 = -100"),
    (plain("NAXIS", "-2"), BadHeader, "NAXIS = -2"),
    (plain("NAXIS", "99999999"), BadHeader, "NAXIS = 99999999"),
    (plain("NAXIS1", "4000000000"), BadHeader, "200000000000 pixels"),
    (plain("NAXIS1", "1e3"), BadHeader, "whole number"),
    (plain("NAXIS1", "'100'"), BadHeader, "whole number"),
    (plain("BITPIX", "17"), BadHeader, "BITPIX = 17"),
    (plain("PCOUNT", "-1"), BadHeader, "PCOUNT = -1"),
    (plain("NAXIS1", "4000000"), Truncated, "its pixels end"),
    (plain("GCOUNT", "9999999"), Truncated, "its pixels end"),
    (packed("ZNAXIS1", "4000000000"), BadHeader, "pixels in"),
    (packed("ZNAXIS2", "51"), BadHeader, "50 rows"),
    (packed("ZNAXIS1", "-1"), BadHeader, "ZNAXIS1 = -1"),
    (packed("ZBITPIX", "0"), BadHeader, "ZBITPIX = 0"),
    (packed("PCOUNT", "99999999999"), Truncated, "its pixels end"),
]


@pytest.mark.parametrize(("change", "error", "told"), HOSTILE)
def test_a_hostile_file_is_refused_with_its_place_and_reason(
    change: tuple[Compression, Callable[[bytes], bytes]], error: type[FileProblem], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "frame.fits"
    path.write_bytes(change[1](good(change[0])))
    with pytest.raises(error, match=r"frame\.fits") as caught:
        Mosaic(path)
    assert told in str(caught.value)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "change",
    [
        replaced("ZVAL2", "4"),
        replaced("ZNAXIS1", "101"),
        lambda content: content[:-2000] + b"\xff" * 2000,
        lambda content: content.replace(b"1PB(", b"1QB(", 1),
    ],
)
def test_pixels_that_cannot_be_decoded_are_told(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    path.write_bytes(change(good()))
    with Mosaic(path) as mosaic, pytest.raises(FileProblem, match=r"frame.fits\[1\]") as caught:
        mosaic.read(0)
    assert isinstance(caught.value, DamagedPixels | BadHeader)


@settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2880 * 4), st.binary(min_size=1, max_size=8), st.sampled_from(list(Compression)))
def test_any_bytes_anywhere_are_read_or_refused_by_name(
    tmp_path: Path, at: int, content: bytes, compression: Compression
) -> None:
    whole = bytearray(good(compression))
    whole[at : at + len(content)] = content
    path = tmp_path / "frame.fits"
    path.write_bytes(whole)
    try:
        with Mosaic(path) as mosaic:
            for index in range(len(mosaic.extensions)):
                mosaic.read(index)
    except FileProblem:
        pass


def test_tables_and_trailing_bytes_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    table = good()[2880:].replace(b"ZIMAGE  =                    T", b"ZIMAGE  =                    F")
    path.write_bytes(good() + table + good()[2880:] + bytes(2880))
    with Mosaic(path) as mosaic:
        assert [extension.hdu for extension in mosaic.extensions] == [1, 3]
        np.testing.assert_array_equal(mosaic.read(0), mosaic.read(1))


def test_an_error_survives_the_way_between_processes(tmp_path: Path) -> None:
    import pickle

    path = tmp_path / "frame.fits"
    path.write_bytes(b"")
    with pytest.raises(NotFits) as caught:
        Mosaic(path)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.path, again.hdu, again.remedy) == (
        str(caught.value), caught.value.path, caught.value.hdu, caught.value.remedy,
    )  # fmt: skip


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Mosaic(tmp_path / "none.fits")
    assert assemble(tmp_path / "only.fits", primary_bytes(None), []).size == 2880
    with Mosaic(tmp_path / "only.fits") as mosaic:
        assert mosaic.extensions == []
