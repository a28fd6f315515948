"""Pixels as integers of 16 bits: rounded, and what does not fit is counted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.missfits.editing import put
from processing.missfits.findings import Finding
from processing.missfits.hdus import Data, Hdu

BLANK = -(2**15)
"""Stored value of a pixel that is no number."""
_KINDS = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True, slots=True)
class _Sixteen:
    """Data of an image as int16, converted while they are read."""

    data: Sequence[Data]
    kind: np.dtype[Any]
    scale: float
    shift: float
    """Stored values of the image are multiplied by `scale` and then `shift` is added."""
    blank: int | None
    """Stored value of an integer pixel that is no number."""
    lost: dict[str, int] = field(default_factory=dict)
    """Pixels beyond 16 bits and pixels that are no numbers, once all were read."""

    @property
    def size(self) -> int:
        return sum(each.size for each in self.data) // self.kind.itemsize * 2

    def chunks(self) -> Iterator[bytes]:
        rest = b""
        self.lost.update(beyond=0, blank=0)
        for each in self.data:
            for piece in each.chunks():
                held = rest + piece
                usable = len(held) - len(held) % self.kind.itemsize
                rest = held[usable:]
                yield self._converted(np.frombuffer(held[:usable], self.kind))

    def _converted(self, stored: NDArray[Any]) -> bytes:
        values = np.rint(stored.astype(np.float64) * self.scale + self.shift)
        none = np.isnan(values) if self.blank is None else stored == self.blank
        lowest = BLANK + 1 if self.blank is not None or self.kind.kind == "f" else BLANK
        beyond = ((values < lowest) | (values > 2**15 - 1)) & ~none
        self.lost["beyond"] += int(np.count_nonzero(beyond))
        self.lost["blank"] += int(np.count_nonzero(none))
        clipped = np.where(none, BLANK, np.clip(values, lowest, 2**15 - 1))
        return clipped.astype(">i2").tobytes()


def sixteen(hdu: Hdu, zero: float, findings: list[Finding]) -> Iterator[Hdu]:
    """Give an image as int16 with BSCALE 1 and BZERO `zero`; what has no pixels or 16 bits already stays as it is.

    Halves are rounded to the even number. Values beyond 16 bits become the nearest one, pixels that are no numbers
    BLANK (-32768, which no value of such an image may have); how many is told in `findings`.
    """
    values = hdu.values
    bitpix = int(values.plain("BITPIX"))
    if hdu.is_empty or bitpix == 16 or values.text("XTENSION", "IMAGE") != "IMAGE":
        yield hdu
        return
    bscale, bzero = values.number("BSCALE") or 1.0, values.number("BZERO") or 0.0
    blank = values.number("BLANK") if bitpix > 0 else None
    made = _Sixteen(hdu.data, np.dtype(_KINDS[bitpix]), bscale, bzero - zero, None if blank is None else int(blank))
    cards = [card for card in hdu.cards if card[:8].rstrip() not in {"BSCALE", "BZERO", "BLANK"}]
    put(cards, "BITPIX", 16)
    if zero:
        put(cards, "BSCALE", 1)
        put(cards, "BZERO", zero)
    if bitpix < 0 or blank is not None:
        put(cards, "BLANK", BLANK, "stored value of a pixel that is no number")
    yield replace(hdu.with_cards(cards), data=(made,), resized=True)
    for name, kind, remedy in (
        ("beyond", "overflow", "clipped; another BITPIX16_ZERO, or 32 bits, would hold them"),
        ("blank", "no numbers", "written as BLANK"),
    ):
        if made.lost.get(name):
            pixels = f"{made.lost[name]} pixels {'do not fit 16 bits' if name == 'beyond' else 'have no value'}"
            findings.append(Finding(hdu.path, hdu.number, None, kind, pixels, remedy))
