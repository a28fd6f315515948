"""CHECKSUM and DATASUM of an HDU: proved, renewed, or carried on where only cards changed."""

from collections.abc import Iterable, Sequence

from processing.cards import CARD, checksum_text, padding, sum_of
from processing.missfits.editing import put
from processing.missfits.findings import Finding, Gravity
from processing.missfits.hdus import Hdu, Stretch, comment_of, keyword

_WRONG = 0xFFFFFFFF
_HDU = "sum of the whole HDU is -0"
_DATA = "sum of the 32-bit words of the data"


class Adder:
    """Sum of bytes that come in pieces of any length."""

    def __init__(self) -> None:
        self.total = 0
        self._rest = b""

    def add(self, piece: bytes | memoryview) -> None:
        """Add the next piece."""
        whole = self._rest + piece if self._rest else piece
        usable = len(whole) & ~3
        self.total = sum_of(memoryview(whole)[:usable], self.total)
        self._rest = bytes(whole[usable:])

    def finish(self) -> int:
        """Return the sum, with zeros behind the last piece where it ends inside a word."""
        if self._rest:
            self.add(bytes(-len(self._rest) % 4))
        return self.total


def data_sum(pieces: Iterable[bytes | memoryview]) -> int:
    """Return the sum of all pieces together."""
    adder = Adder()
    for piece in pieces:
        adder.add(piece)
    return adder.finish()


def verified(hdus: Sequence[Hdu], *, renew: bool) -> list[Finding]:
    """Compare the HDUs of a file, as they lie in it, with their CHECKSUM and DATASUM.

    Parameters
    ----------
    renew : sums are written anew, which is right where DATASUM proves the data and only cards changed
    """
    without = [hdu for hdu in hdus if not (hdu.values.text("DATASUM") or hdu.values.text("CHECKSUM"))]
    found, remedy = "neither CHECKSUM nor DATASUM", "CHECKSUM_TYPE COMPUTE adds them"
    told: Sequence[int | None] = [None] if len(without) == len(hdus) else [hdu.number for hdu in without]
    path = hdus[0].path
    findings = [Finding(path, number, None, "no checksum", found, remedy, Gravity.NOTE) for number in told]
    for hdu in hdus:
        if hdu not in without:
            findings += _verified(hdu, renew=renew)
    return findings


def _verified(hdu: Hdu, *, renew: bool) -> list[Finding]:
    kept, whole = hdu.values.text("DATASUM"), hdu.values.text("CHECKSUM")
    stretches = [data for data in hdu.data if isinstance(data, Stretch)]
    total = data_sum(piece for each in stretches for piece in _filled(each).views())
    if kept and kept != str(total):
        return [_bad(hdu, "DATASUM", f"DATASUM is {kept}, and the sum of the data is {total}", renewed=False)]
    if whole and hdu.raw and set(whole) != {"0"} and sum_of(hdu.raw, total) not in {_WRONG, 0}:
        where = "the header changed after it was written" if kept else "header or data changed after it was written"
        return [_bad(hdu, "CHECKSUM", f"the sum of the HDU is not -0: {where}", renewed=renew and bool(kept))]
    return []


def _filled(stretch: Stretch) -> Stretch:
    """A stretch with what fills its last record, as far as the file goes."""
    there = stretch.path.stat().st_size - stretch.start
    return Stretch(stretch.path, stretch.start, min(stretch.size + padding(stretch.size), there))


def _bad(hdu: Hdu, name: str, found: str, *, renewed: bool) -> Finding:
    place = next(place for place, card in enumerate(hdu.cards, 1) if keyword(card) == name)
    remedy = "fetch the file again; CHECKSUM_TYPE COMPUTE only if the change was meant"
    remedy = "the data are those of DATASUM: CHECKSUM is written anew" if renewed else remedy
    return Finding(hdu.path, hdu.number, place, "wrong checksum", found, remedy, Gravity.ERROR, renewed)


def with_sums(cards: tuple[str, ...], data: int | None) -> tuple[str, ...]:
    """Return cards with CHECKSUM and DATASUM in their places, or behind the last card.

    Parameters
    ----------
    data : sum of the data; None keeps the DATASUM of the header, which then goes on proving the data
    """
    made = list(cards)
    put(made, "CHECKSUM", "0" * 16, _HDU)
    if data is not None:
        put(made, "DATASUM", str(data), _DATA)
    held = next((card for card in made if keyword(card) == "DATASUM"), "")
    text = held[10:].split("'")[1].strip() if held.count("'") >= 2 else ""
    if not text.isdigit():
        raise ValueError("cards without a DATASUM were to be summed without their data")
    head = "".join(made) + "END".ljust(CARD)
    total = sum_of((head + " " * padding(len(head))).encode("latin-1"), int(text))
    place = next(place for place, card in enumerate(made) if keyword(card) == "CHECKSUM")
    comment = comment_of(made[place])
    made[place] = f"CHECKSUM= '{checksum_text(total)}'   / {comment}".rstrip(" /")[:CARD].ljust(CARD)
    return tuple(made)
