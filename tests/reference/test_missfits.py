"""MissFITS against Debian's missfits 2.8, fpack and funpack, and the headers of real files."""

import gzip
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import votable

from conftest import lacking
from processing.cards import CARD, RECORD, padding
from processing.missfits.command import main
from processing.missfits.hdus import Hdu, keyword
from processing.missfits.scan import scan
from tests.processing.test_missfits import QUIET, write_cube, write_mosaic

pytestmark = pytest.mark.reference

HEADERS = Path(os.environ.get("TERAPIX_SHARED", "../shared")) / "data" / "headers"


@pytest.fixture(scope="module")
def peer(program: Callable[[str, str], str]) -> str:
    return program("missfits", "missfits")


HEAD = (
    "GAIN    =  9.5 / new gain\nPV1_1   = 0.75\nPV2_1   = 1.25\nNEWKEY  = 'abc'\nEND\n"
    "CTYPE1  = 'RA---TPV' / other\nEND\n"
)
CASES = {
    "same": ("m", {}),
    "split": ("m", {"OUTFILE_TYPE": "SPLIT"}),
    "degenerate cube": ("m", {"OUTFILE_TYPE": "CUBE"}),
    "slices": ("c", {"OUTFILE_TYPE": "SLICE", "SLICE_KEYWORD": "AIRM"}),
    "cube made an extension": ("c", {"OUTFILE_TYPE": "MULTI"}),
    "removed": ("m", {"REMOVE_KEYWORD": "GAIN,BLOB?"}),
    "renamed": ("m", {"REPLACE_KEYWORD": "GAIN:EGAIN"}),
    "wfi": ("m", {"FIX_WFI": "Y"}),
    "checksums": ("m", {"CHECKSUM_TYPE": "COMPUTE"}),
    "head": ("m", {"HEADER_SUFFIX": ".ahead"}),
}


def values(hdu: Hdu) -> dict[str, object]:
    """Value cards of a header but those in which the two differ on purpose (docs/algorithms/missfits.md)."""
    left = {"EXTNAME", "PCOUNT", "GCOUNT", "CHECKSUM", "CHECKVER"}
    found = {}
    for card in hdu.cards:
        if card[8:10] == "= " and keyword(card) not in left:
            held = hdu.values
            number = held.number(keyword(card))
            found[keyword(card)] = (held.text(keyword(card)) or held.plain(keyword(card))) if number is None else number
    return found


def agree(ours: Path, theirs: Path) -> None:
    """Same HDUs, same value cards, same bytes of data."""
    one, other = scan(ours), scan(theirs)
    assert len(one.hdus) == len(other.hdus) > 0
    for mine, its in zip(one.hdus, other.hdus, strict=True):
        held, told = values(mine), values(its)
        assert held.keys() == told.keys()
        for name, value in held.items():
            exact = not isinstance(value, float)
            assert value == (told[name] if exact else pytest.approx(told[name], rel=1e-12))  # the peer writes 13 digits
        assert b"".join(mine.chunks()) == b"".join(its.chunks())


@pytest.mark.parametrize("case", CASES)
def test_same_files_as_the_peer(peer: str, tmp_path: Path, case: str) -> None:
    name, settings = CASES[case]
    for who in ("peer", "ours"):
        place = tmp_path / who
        place.mkdir()
        path = write_mosaic(place / "m.fits") if name == "m" else write_cube(place / "c.fits")
        (place / "m.ahead").write_text(HEAD)
        argv = [part for key, value in settings.items() for part in (f"-{key}", value)]
        argv = [str(path), *QUIET, "-SAVE_TYPE", "NEW", *argv]
        if who == "peer":
            subprocess.run([peer, *argv], check=True, capture_output=True, cwd=place)
        else:
            assert main(argv) == 0
    written = {who: sorted(each.name for each in (tmp_path / who).glob("*.miss.fits")) for who in ("peer", "ours")}
    assert written["ours"] == written["peer"] != []
    for each in written["ours"]:
        agree(tmp_path / "ours" / each, tmp_path / "peer" / each)


@pytest.mark.parametrize("kind", ["MULTI", "CUBE"])
def test_joined_as_by_the_peer(peer: str, tmp_path: Path, kind: str) -> None:
    """Extensions only: the peer forgets the header that the set's primary file holds."""
    first = write_mosaic(tmp_path / "s.fits") if kind == "MULTI" else write_cube(tmp_path / "s.fits")
    keys = ["-SLICE_KEYWORD", "AIRM"]
    assert main([str(first), *QUIET, *keys, "-OUTFILE_TYPE", "SPLIT" if kind == "MULTI" else "SLICE"]) == 0
    first.unlink()
    made = {}
    for who in ("peer", "ours"):
        argv = [
            str(tmp_path / "s"),
            *QUIET,
            *keys,
            "-OUTFILE_TYPE",
            kind,
            "-SAVE_TYPE",
            "NEW",
            "-NEW_SUFFIX",
            f".{who}",
        ]
        if who == "peer":
            subprocess.run([peer, *argv], check=True, capture_output=True, cwd=tmp_path)
        else:
            assert main(argv) == 0
        made[who] = scan(tmp_path / f"s.{who}.fits").hdus[1 if kind == "MULTI" else 0 :]
    assert len(made["ours"]) == len(made["peer"]) == (3 if kind == "MULTI" else 1)
    for mine, its in zip(made["ours"], made["peer"], strict=True):
        assert values(mine) == values(its)
        assert b"".join(mine.chunks()) == b"".join(its.chunks())


def test_fpack_and_funpack_take_part(program: Callable[[str, str], str], tmp_path: Path) -> None:
    fpack, funpack = program("fpack", "libcfitsio-bin"), program("funpack", "libcfitsio-bin")
    path = write_mosaic(tmp_path / "m.fits")
    before = [b"".join(hdu.chunks()) for hdu in scan(path).hdus]
    assert main([str(path), *QUIET, "-PROCESS_TYPE", "RICE"]) == 0
    subprocess.run([funpack, "-O", tmp_path / "theirs.fits", tmp_path / "m.fits.fz"], check=True)
    assert [b"".join(hdu.chunks()) for hdu in scan(tmp_path / "theirs.fits").hdus] == before
    shutil.move(path, tmp_path / "n.fits")
    subprocess.run([fpack, tmp_path / "n.fits"], check=True)
    assert main([str(tmp_path / "n.fits.fz"), *QUIET, "-PROCESS_TYPE", "UNCOMPRESS", "-SAVE_TYPE", "NEW"]) == 0
    ours, real = scan(tmp_path / "n.miss.fits").hdus, scan(tmp_path / "n.fits").hdus
    assert [b"".join(hdu.chunks()) for hdu in ours] == before
    assert [hdu.cards for hdu in ours[1:]] == [hdu.cards for hdu in real[1:]]


def blocks(path: Path) -> list[list[bytes]]:
    """Cards of a dumped file, header by header."""
    with gzip.open(path, "rb") as stream:
        text = stream.read()
    lines = text.replace(b"\r", b"").split(b"\n")
    made: list[list[bytes]] = [[]]
    for line in lines:
        if line.rstrip() == b"END":
            made.append([])
        elif (line.strip() and not line.startswith(b"#")) or made[-1]:
            made[-1].append(line[:CARD].ljust(CARD))
    return [block for block in made if any(card[:6] in {b"SIMPLE", b"XTENSI"} for card in block[:3])]


def rebuilt(path: Path, target: Path) -> int:
    """Write a FITS file of dumped headers around small images; return how many HDUs it has."""
    found = blocks(path)
    with target.open("wb") as stream:
        for block in found:
            small = [_small(card) for card in block]
            head = b"".join(small) + b"END".ljust(CARD)
            stream.write(head.ljust(len(head) + padding(len(head))))
            size = scanned_size(small)
            stream.write((np.arange(size) % 251).astype(np.uint8).tobytes() + bytes(padding(size)))
    return len(found)


def _small(card: bytes) -> bytes:
    """Images of dumps are too large to be made: their axes become short."""
    if card.startswith((b"NAXIS1", b"NAXIS2")):
        length = min(int(card[10:30]), 40)
        return card[:10] + f"{length:>20}".encode() + card[30:]
    return b"PCOUNT  =                    0".ljust(CARD) if card.startswith(b"PCOUNT") else card


def scanned_size(cards: list[bytes]) -> int:
    held = {card[:8].rstrip(): card[10:30].strip() for card in cards if card[8:10] == b"= "}
    count = int(held[b"NAXIS"])
    pixels = 1 if count else 0
    for axis in range(1, count + 1):
        pixels *= int(held[b"NAXIS%d" % axis])
    return abs(int(held[b"BITPIX"])) // 8 * pixels


@pytest.mark.parametrize("name", ["mega/979412p", "mega/1257365o", "mega/676000o", "wircam/2281792p"])
def test_real_headers_survive(tmp_path: Path, name: str) -> None:
    dump = HEADERS / f"{name}.fits.header.gz"
    if not dump.exists():
        lacking(str(dump), "the shared data folder is absent")
    count = rebuilt(dump, tmp_path / "m.fits")
    before = (tmp_path / "m.fits").read_bytes()
    assert len(before) > RECORD
    assert len(scan(tmp_path / "m.fits").hdus) == count > 0
    assert main([str(tmp_path / "m.fits"), *QUIET, "-MEND", "N", "-SAVE_TYPE", "NEW"]) == 0
    assert (tmp_path / "m.miss.fits").read_bytes() == before
    assert main([str(tmp_path / "m.fits"), *QUIET, "-OUTFILE_TYPE", "SPLIT", "-SAVE_TYPE", "REPLACE"]) == 0
    assert not (tmp_path / "m.fits").exists()
    assert len(list(tmp_path.glob("m.[0-9]*.fits"))) == count
    assert main([str(tmp_path / "m"), *QUIET, "-OUTFILE_TYPE", "MULTI"]) == 0
    ours, real = scan(tmp_path / "m.fits").hdus, scan(tmp_path / "m.miss.fits").hdus
    assert len(ours) == len(real) > 1
    for mine, its in zip(ours, real, strict=True):
        assert mine.cards == its.cards
        assert b"".join(mine.chunks()) == b"".join(its.chunks())


def test_the_peers_own_configuration_is_understood(peer: str, tmp_path: Path) -> None:
    path = write_mosaic(tmp_path / "m.fits")
    before = path.read_bytes()
    for option in ("-d", "-dd"):
        file = tmp_path / f"{option}.missfits"
        file.write_bytes(subprocess.run([peer, option], check=True, capture_output=True).stdout)
        xml = ["-XML_NAME", str(tmp_path / "m.xml"), "-VERBOSE_TYPE", "QUIET"]
        assert main([str(path), "-c", str(file), *xml]) == 0
    assert path.read_bytes() == before


def test_the_summary_is_a_votable_with_the_peers_fields(peer: str, tmp_path: Path) -> None:
    path = write_mosaic(tmp_path / "m.fits")
    tables = {}
    for who in ("peer", "ours"):
        argv = [str(path), "-XML_NAME", str(tmp_path / f"{who}.xml"), "-SAVE_TYPE", "NEW", "-OUTFILE_TYPE", "SPLIT"]
        if who == "peer":
            subprocess.run([peer, *argv], check=True, capture_output=True, cwd=tmp_path)
        else:
            assert main([*argv, "-VERBOSE_TYPE", "QUIET"]) == 0
            assert votable.validate(tmp_path / f"{who}.xml", output=None, xmllint=False)
        text = (tmp_path / f"{who}.xml").read_text()
        tables[who] = re.findall(r'<FIELD name="(\w+)"', text[: text.index("</TABLE>")])
    assert tables["peer"] == tables["ours"]
