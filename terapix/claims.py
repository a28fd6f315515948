"""Claims: which stretch of one file each of several connections brings.

A further connection takes what nobody brings, or else the second half of what
the busiest still has before it, from the beginning of a block on: so that a
killed download loses a block a connection at most.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from terapix.blocks import BLOCK

Piece = tuple[int, int]
"""Where a stretch of bytes begins, and where it ends; the end is -1 where the file's length is not known."""


@dataclass(slots=True, eq=False)
class Claim:
    """A stretch of the file that one connection brings."""

    begin: int
    at: int
    """Next byte to come."""
    end: int
    """Where it ends; another connection may take its second half over; -1: wherever the file ends."""

    @property
    def left(self) -> int:
        """Bytes to come; -1 if that is not known."""
        return self.end - self.at if self.end >= 0 else -1


def next_claim(gaps: Iterable[Piece], claims: Sequence[Claim], *, worth: int) -> Claim | None:
    """Claim what nobody brings, or else half of what the busiest has before it; none of unknown length.

    Parameters
    ----------
    gaps : what is missing
    claims : what others bring; the one that is halved is made shorter
    worth : bytes that must be left to one connection for another to take half of them
    """
    if any(claim.end < 0 for claim in claims):
        return None
    for begin, end in gaps:
        for free_begin, free_end in _without(begin, end, claims):
            return Claim(free_begin, free_begin, free_end)
    busiest = max(claims, key=lambda claim: claim.left, default=None)
    if busiest is None or busiest.left < worth:
        return None
    middle = -(-(busiest.at + busiest.end) // (2 * BLOCK)) * BLOCK
    if not busiest.at + BLOCK <= middle < busiest.end:
        return None
    end, busiest.end = busiest.end, middle
    return Claim(middle, middle, end)


def _without(begin: int, end: int, claims: Iterable[Claim]) -> list[Piece]:
    """Return what of a gap no claim covers."""
    found = [(begin, end)]
    for claim in claims:
        pieces = []
        for first, last in found:
            if claim.end <= first or (0 <= last <= claim.begin):
                pieces.append((first, last))
                continue
            if first < claim.begin:
                pieces.append((first, claim.begin))
            if last < 0 or claim.end < last:
                pieces.append((claim.end, last))
        found = pieces
    return found
