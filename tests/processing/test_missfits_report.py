"""Every kind of broken file gets its line in the report: where, what, and what to do."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from astropy.io import fits

from processing.missfits.command import main
from processing.missfits.findings import Finding
from processing.missfits.scan import scan
from tests.processing.test_missfits import write_mosaic

RECORD = 2880


def card(text: str) -> bytes:
    return text.ljust(80).encode("latin-1")


def changed(data: bytes, old: str, new: bytes, count: int = 1) -> bytes:
    """Put bytes in the place of the first card that begins with `old`."""
    place = data.index(old.encode())
    assert place % 80 == 0
    return data.replace(data[place : place + 80], new, count)


def without_end(data: bytes) -> bytes:
    place = data.index(card("END"), RECORD)
    return data[:place] + b" " * 80 + data[place + 80 :]


def overlong(data: bytes) -> bytes:
    """Let a card of the first CCD be 89 columns wide; what follows it is shifted, and blanks are fewer."""
    place = data.index(b"GAIN    =")
    end = data.index(card("END"), place)
    last = -(-(end + 80) // RECORD) * RECORD
    long = card("GAIN    =                  1.5 / e-/ADU, measured twice by two people in two nights, ") + b"and again"
    head = data[:place] + long[:89] + data[place + 80 : end] + b"END"
    return head.ljust(last) + data[last:]


@dataclass(frozen=True)
class Broken:
    """A way to break a file, and what is said about it."""

    how: Callable[[bytes], bytes]
    kind: str
    hdu: int | None
    says: str
    mended: bool


CASES = {
    "truncated": Broken(
        lambda d: d[: 5 * RECORD - 1700], "truncated", 2, "bytes of pixels are there; .*fetch it", False
    ),
    "wrong data": Broken(
        lambda d: d[: 2 * RECORD + 7] + b"\x55" + d[2 * RECORD + 8 :], "wrong checksum", 1, "DATASUM", False
    ),
    "wrong header": Broken(
        lambda d: changed(d, "BLOB1", card("BLOB1   =                    9")), "wrong checksum", 1, "CHECKSUM", False
    ),
    "missing CCD": Broken(lambda d: d[: 5 * RECORD], "missing CCD", None, "NEXTEND = 3, and 2 extensions", False),
    "name twice": Broken(lambda d: d.replace(b"'CCD01", b"'CCD00"), "duplicate EXTNAME", 2, "give each CCD", False),
    "beyond 80 columns": Broken(overlong, "card beyond 80 columns", 1, "GAIN takes 89 columns", True),
    "not ASCII": Broken(
        lambda d: d.replace(b"made by hand", b"made by H\xe9l\xe8", 1), "not ASCII", 1, "HISTORY holds", True
    ),
    "no END": Broken(without_end, "missing END", 1, "END goes behind it", True),
    "bad BITPIX": Broken(
        lambda d: d.replace(b"                  16 /", b"                  17 /"), "bad BITPIX", 1, "17", False
    ),
    "no axes": Broken(
        lambda d: d.replace(b"NAXIS1  =                   31", b"NAXIS1  =                 oops"),
        "bad NAXIS1",
        1,
        "oops",
        False,
    ),
    "not closed": Broken(
        lambda d: changed(d, "CTYPE1", card("CTYPE1  = 'RA---TAN")), "text without end", 1, "CTYPE1", True
    ),
    "small letters": Broken(
        lambda d: changed(d, "BLOB2", card("blob2   =                    2")), "bad keyword", 1, "blob2", True
    ),
    "no FITS": Broken(lambda d: b"<html>" + d, "no FITS", 0, "<html>", False),
    "empty": Broken(lambda _: b"", "empty", None, "no byte", False),
    "text behind END": Broken(
        lambda d: d[: RECORD - 80] + card("STRAY") + d[RECORD:], "text behind END", 0, "blanked", True
    ),
    "more bytes": Broken(lambda d: d + b"\1" * 100, "bytes behind the end", None, "100 bytes", True),
    "no filling": Broken(lambda d: d[:-100], "short filling", 3, "lacks 100 bytes", True),
}


def broken(place: Path, case: Broken) -> Path:
    path = write_mosaic(place / "m.fits")
    with fits.open(path) as hdus:
        hdus.writeto(path, checksum=case.kind == "wrong checksum", overwrite=True)
    data = path.read_bytes()
    made = case.how(data)
    assert made != data
    path.write_bytes(made)
    return path


@pytest.mark.parametrize("name", CASES)
def test_a_broken_file_gets_its_report(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    path = broken(tmp_path, case)
    settings = ["-CHECKSUM_TYPE", "VERIFY"] if case.kind == "wrong checksum" else []
    text, xml = tmp_path / "report.txt", tmp_path / "report.xml"
    names = ["-REPORT_NAME", str(text), "-XML_NAME", str(xml), "-SAVE_TYPE", "NEW", "-VERBOSE_TYPE", "QUIET"]
    status = main([str(path), *names, *settings])
    (line,) = [line for line in text.read_text().splitlines() if f": {case.kind}: " in line]
    where = str(path) + ("" if case.hdu is None else f"[{case.hdu}]")
    assert line.split(maxsplit=1)[1].startswith(where)
    assert re.search(case.says, line)
    assert line.startswith("mended") == case.mended
    rows = [[cell.text for cell in row] for row in ET.parse(xml).iter() if row.tag.endswith("}TR")]
    assert any(row[4] == case.kind and row[7] == "FT"[case.mended] for row in rows if len(row) == 8)
    fatal = any(line.startswith("error") for line in text.read_text().splitlines())
    assert status == int(fatal)
    assert (tmp_path / "m.miss.fits").exists() == (not fatal or case.kind == "missing CCD")


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.mended])
def test_what_was_mended_is_right(tmp_path: Path, name: str) -> None:
    path = broken(tmp_path, CASES[name])
    good = scan(write_mosaic(tmp_path / "good.fits"))
    assert main([str(path), "-VERBOSE_TYPE", "QUIET", "-WRITE_XML", "N"]) == 0
    again = scan(path)
    assert not again.findings
    assert len(again.hdus) == len(good.hdus)
    for mine, its in zip(again.hdus, good.hdus, strict=True):
        assert b"".join(mine.chunks()) == b"".join(its.chunks())
        assert mine.values.raw.keys() == its.values.raw.keys()
    with fits.open(path) as hdus:
        hdus.verify("exception")


def test_where_mending_is_not_wished_it_is_only_told(tmp_path: Path) -> None:
    path = broken(tmp_path, CASES["not ASCII"])
    before = path.read_bytes()
    found = scan(path, mend=False).findings
    assert [(each.kind, each.mended) for each in found] == [("not ASCII", False)]
    assert main([str(path), "-MEND", "N", "-VERBOSE_TYPE", "QUIET", "-WRITE_XML", "N"]) == 0
    assert path.read_bytes() == before


def test_a_set_that_misses_a_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_mosaic(tmp_path / "m.fits")
    quiet = ["-WRITE_XML", "N", "-VERBOSE_TYPE", "QUIET"]
    assert main([str(path), *quiet, "-OUTFILE_TYPE", "SPLIT", "-SAVE_TYPE", "REPLACE"]) == 0
    (tmp_path / "m.002.fits").unlink()
    assert main([str(tmp_path / "m"), *quiet, "-OUTFILE_TYPE", "MULTI"]) == 1
    told = capsys.readouterr().err
    assert "missing file: no file has number 2" in told
    assert "missing CCD: NEXTEND = 3, and 2 extensions" in told
    assert len(scan(tmp_path / "m.fits").hdus) == 3


def test_what_is_not_written_is_not_called_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = broken(tmp_path, CASES["no END"])
    assert main([str(path), "-WRITE_XML", "N", "-SAVE_TYPE", "NONE"]) == 1
    told = capsys.readouterr().err
    assert "error    " in told
    assert "mended" not in told


def test_an_edited_header_gets_its_checksum_anew_and_changed_data_do_not(tmp_path: Path) -> None:
    quiet = ["-WRITE_XML", "N", "-VERBOSE_TYPE", "QUIET", "-CHECKSUM_TYPE"]
    (tmp_path / "header").mkdir()
    path = broken(tmp_path / "header", CASES["wrong header"])
    assert main([str(path), *quiet, "UPDATE"]) == 0
    assert main([str(path), *quiet, "VERIFY"]) == 0
    (tmp_path / "data").mkdir()
    path = broken(tmp_path / "data", CASES["wrong data"])
    assert main([str(path), *quiet, "UPDATE"]) == 1
    assert main([str(path), *quiet, "VERIFY"]) == 1


def test_an_interrupted_call_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_mosaic(tmp_path / "m.fits")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("processing.missfits.writing.os.fsync", full)
    assert main([str(path), "-WRITE_XML", "N", "-OUTFILE_TYPE", "SPLIT", "-SAVE_TYPE", "REPLACE"]) == 1
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["m.fits"]


def test_too_few_extensions_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_mosaic(tmp_path / "m.fits")
    assert main([str(path), "-WRITE_XML", "N", "-NEXTENSIONS_MIN", "36", "-SAVE_TYPE", "NONE"]) == 1
    assert "3 extensions are there, at least 36 were expected" in capsys.readouterr().err


def test_a_finding_says_where() -> None:
    finding = Finding(Path("m.fits"), 3, 17, "not ASCII", "é", "mend it")
    assert finding.line() == "warning  m.fits[3] card 17: not ASCII: é; mend it"


def test_whatever_is_in_a_file_it_is_told_and_not_raised(tmp_path: Path) -> None:
    """Bytes of headers are overwritten by chance; the tool answers with a status, whatever it was asked."""
    data = write_mosaic(tmp_path / "m.fits").read_bytes()
    chance = np.random.default_rng(3)
    wishes = (["SAME", "NONE"], ["SPLIT", "NONE"], ["SLICE", "NONE"], ["CUBE", "NONE"], ["MULTI", "RICE"])
    path = tmp_path / "n.fits"
    for turn in range(200):
        made = bytearray(data)
        for _ in range(chance.integers(1, 12)):
            record = chance.choice([0, 1, 3, 5])
            made[record * RECORD + int(chance.integers(0, 1400))] = int(chance.choice(list(b"0123456789 '=T-\xe9A")))
        path.write_bytes(bytes(made[: int(chance.integers(1, len(made) + 1))] if turn % 4 == 0 else made))
        layout, pixels = wishes[turn % len(wishes)]
        settings = ["-OUTFILE_TYPE", layout, "-PROCESS_TYPE", pixels, "-SAVE_TYPE", "NEW", "-CHECKSUM_TYPE", "UPDATE"]
        assert main([str(path), "-WRITE_XML", "N", "-VERBOSE_TYPE", "QUIET", *settings]) in {0, 1}
    assert not list(tmp_path.glob("*.part"))
