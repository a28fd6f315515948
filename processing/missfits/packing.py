"""Tile compression of whole files and back, without loss: Rice code or deflate, cards as fpack keeps them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from processing.cards import text_of
from processing.errors import BadHeader
from processing.missfits.arrange import axes
from processing.missfits.hdus import Hdu, card_of, keyword
from processing.reading import Mosaic, read_stored
from processing.tiles import Tiles, deflated, rice_integers

_KINDS = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_STORAGE = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|CHECKSUM|DATASUM")
_Z_NAMES = {"SIMPLE": "ZSIMPLE", "XTENSION": "ZTENSION", "CHECKSUM": "ZHECKSUM", "DATASUM": "ZDATASUM"}
_REAL_NAMES = {new: old for old, new in _Z_NAMES.items()}
_OF_TABLE = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|TTYPE\d+|TFORM\d+|CHECKSUM|DATASUM|ZIMAGE|ZTILE\d+|ZCMPTYPE"
    r"|ZNAME\d+|ZVAL\d+|ZQUANTIZ|ZDITHER0|ZBLANK|ZSCALE|ZZERO|ZMASKCMP"
)


@dataclass(frozen=True, slots=True)
class Held:
    """Data that are in memory."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    def chunks(self) -> Iterator[bytes]:
        yield self.content


def packed(hdus: Iterable[Hdu], *, gzip: bool) -> Iterator[Hdu]:
    """Give HDUs with every image compressed; a primary image moves into the first extension, as with fpack."""
    for hdu in hdus:
        if hdu.is_empty or hdu.values.text("XTENSION", "IMAGE") != "IMAGE" or len(axes(hdu)) < 1:
            yield hdu
            continue
        if keyword(hdu.cards[0]) == "SIMPLE":
            yield _empty(hdu)
        yield _packed(hdu, gzip=gzip)


def _empty(hdu: Hdu) -> Hdu:
    cards = [card_of("SIMPLE", True), card_of("BITPIX", 8), card_of("NAXIS", 0), card_of("EXTEND", True)]
    return Hdu(hdu.path, hdu.number, tuple(cards), ())


def _packed(hdu: Hdu, *, gzip: bool) -> Hdu:
    shape = axes(hdu)
    bitpix = int(hdu.values.plain("BITPIX"))
    pixels = np.frombuffer(b"".join(hdu.chunks()), _KINDS[bitpix]).reshape(-1, shape[0])
    tiles: Tiles
    if gzip or bitpix in {64, -32, -64}:
        tiles = deflated(pixels)
    else:
        tiles = rice_integers(pixels.astype(pixels.dtype.newbyteorder("=")))
    data, entries = tiles.table()
    entries += [("ZIMAGE", True)]
    entries += [(f"ZTILE{axis}", shape[0] if axis == 1 else 1) for axis in range(1, len(shape) + 1)]
    entries += [("ZCMPTYPE", tiles.algorithm)]
    for number, (name, value) in enumerate(tiles.parameters, 1):
        entries += [(f"ZNAME{number}", name), (f"ZVAL{number}", value)]
    made = text_of(entries)
    storage = [_z(card) for card in hdu.cards if _STORAGE.fullmatch(keyword(card))]
    others = [card for card in hdu.cards if not _STORAGE.fullmatch(keyword(card))]
    cards = [made[place : place + 80] for place in range(0, len(made), 80)] + storage + others
    return replace(hdu.with_cards(cards), data=(Held(data),), resized=True)


def _z(card: str) -> str:
    name = keyword(card)
    return _Z_NAMES.get(name, "Z" + name).ljust(8) + card[8:]


def unpacked(hdus: Iterable[Hdu]) -> Iterator[Hdu]:
    """Give HDUs with every compressed image as it was; one that was primary becomes it again."""
    waiting: Hdu | None = None
    for hdu in hdus:
        is_packed = hdu.values.text("XTENSION") == "BINTABLE" and hdu.values.plain("ZIMAGE") == "T"
        if keyword(hdu.cards[0]) == "SIMPLE":
            waiting = hdu
            continue
        if waiting is not None and not (is_packed and hdu.values.plain("ZSIMPLE") == "T" and waiting.is_empty):
            yield waiting
        waiting = None
        yield _unpacked(hdu) if is_packed else hdu
    if waiting is not None:
        yield waiting


def _unpacked(hdu: Hdu) -> Hdu:
    """Decode one image, its cards in the order that the standard asks for."""
    extension = next((each for each in Mosaic(hdu.path).extensions if each.hdu == hdu.number), None)
    if extension is None:
        raise BadHeader(hdu.path, "no compressed image", hdu=hdu.number, remedy="it cannot be decoded")
    rows = replace(extension, shape=(int(np.prod(extension.shape[:-1], dtype=np.int64)), extension.shape[-1]))
    stored: np.ndarray[Any, Any] = read_stored(Path(hdu.path), rows)
    data = stored.astype(_KINDS[extension.bitpix]).tobytes()
    others = [card for card in hdu.cards if not _OF_TABLE.fullmatch(keyword(card))]
    storage = [card for card in others if _real(card) is not None]
    kept = [card for card in others if _real(card) is None]
    made = [_real(card) or card for card in storage]
    sums = [card for card in made if keyword(card) in {"CHECKSUM", "DATASUM"}]
    made = sorted((card for card in made if card not in sums), key=_rank)
    if keyword(made[0]) not in {"SIMPLE", "XTENSION"}:
        made.insert(0, "XTENSION= 'IMAGE   '           / Image extension".ljust(80))
    if keyword(made[0]) == "XTENSION" and not any(keyword(card) == "PCOUNT" for card in made):
        made += [card_of("PCOUNT", 0), card_of("GCOUNT", 1)]
    return replace(hdu.with_cards([*made, *kept, *sums]), data=(Held(data),), resized=True)


def _real(card: str) -> str | None:
    """Card of the image that a Z card keeps; None for others."""
    name = keyword(card)
    real = _REAL_NAMES.get(name, name[1:])
    if not name.startswith("Z") or not _STORAGE.fullmatch(real):
        return None
    return real.ljust(8) + card[8:]


def _rank(card: str) -> tuple[int, int]:
    name = keyword(card)
    order = ("SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "PCOUNT", "GCOUNT")
    number = re.search(r"\d+$", name)
    return order.index(name.rstrip("0123456789")), int(number[0]) if number else 0
