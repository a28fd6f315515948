"""Two ledgers compared: what one side published and the other received. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from dbclient.records import FrameRecord
from terapix.errors import TerapixError

SUPERSEDED = "superseded"
GONE = {SUPERSEDED: "is not offered any more", "failed": "has failed"}
"""What the state of a publisher's newest generation means, where the other side holds that very one."""
RECEIVED = "received"
"""State of a file in the ledger of a clone."""


class LedgerBroken(TerapixError):
    """What is not an entry of a ledger."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one side says of the newest generation of a file."""

    name: str
    generation: int
    state: str
    size: int | None
    """Bytes."""
    wire: str | None
    pixels: str | None
    acknowledged: bool

    @classmethod
    def of(cls, told: object, *, by: str = "") -> Self:
        """Read an entry of a ledger.

        Parameters
        ----------
        told : as JSON has it
        by : follower whose acknowledgement counts, where several have the file; empty: that of all

        Raises
        ------
        LedgerBroken
        """
        if not isinstance(told, Mapping) or not isinstance(told.get("name"), str):
            raise LedgerBroken("an object with a name was expected")
        kinds = {"generation": int, "size": int, "state": str, "wire_digest": str, "pixel_digest": str}
        wrong = [key for key, kind in kinds.items() if told.get(key) is not None and type(told[key]) is not kind]
        if wrong:
            raise LedgerBroken(f"{wrong[0]} of {told['name'][:200]!r} is no {kinds[wrong[0]].__name__}")
        acknowledged = told.get("acknowledged_at") is not None
        return cls(
            told["name"],
            told.get("generation") or 0,
            told.get("state") or "",
            told.get("size"),
            told.get("wire_digest"),
            told.get("pixel_digest"),
            by in (told.get("received_by") or ()) if by else acknowledged,
        )


@dataclass(frozen=True, slots=True)
class Difference:
    """Something on which the sides do not agree."""

    name: str
    sentence: str


def received_line(frame: FrameRecord) -> dict[str, Any]:
    """Give the entry of a product that a clone holds verified."""
    return {
        "name": frame.uri.rsplit("/", 1)[-1],
        "generation": frame.offered,
        "kind": None,
        "state": RECEIVED,
        "size": frame.size,
        "wire_digest": frame.wire_digest,
        "pixel_digest": frame.pixel_digest,
        "runid": frame.runid,
        "acknowledged_at": frame.acknowledged_at.isoformat() if frame.acknowledged_at else None,
    }


def lines_of(entries: Iterable[Mapping[str, Any]], *, by: str = "") -> dict[str, Line]:
    """Give the newest generation of each file; what was not offered yet is no matter between the sides."""
    found: dict[str, Line] = {}
    for told in entries:
        line = Line.of(told, by=by)
        offered = line.state in {RECEIVED, "offered", "acknowledged"} or told.get("offered_at") is not None
        known = found.get(line.name)
        if offered and (known is None or line.generation >= known.generation):
            found[line.name] = line
    return found


def compare(ours: Mapping[str, Line], theirs: Mapping[str, Line]) -> list[Difference]:
    """Say on which files two sides do not agree, by name."""
    found = []
    for name in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(name), theirs.get(name)
        sentence = _difference(here, there)
        if sentence:
            found.append(Difference(name, sentence))
    return found


def _difference(here: Line | None, there: Line | None) -> str:
    if here is None or there is None:
        held = here or there
        if held is not None and held.state == SUPERSEDED:
            return ""  # it is offered no more, and nobody took it
        where, side = ("here", "there") if here else ("there", "here")
        return f"generation {held.generation if held else 0} is {where} and nothing is {side}"
    if here.generation != there.generation:
        return f"generation {here.generation} is here and {there.generation} there"
    if here.size is not None and there.size is not None and here.size != there.size:
        return f"generation {here.generation}: its size is {here.size} bytes here and {there.size} bytes there"
    for what, mine, other in (("bytes", here.wire, there.wire), ("pixels", here.pixels, there.pixels)):
        if mine and other and mine != other:
            return f"generation {here.generation}: its {what} are {mine} here and {other} there"
    for side, one in (("here", here), ("there", there)):
        if one.state in GONE:
            return (
                f"generation {here.generation} {GONE[one.state]} {side} and held {'there' if one is here else 'here'}"
            )
    if here.acknowledged != there.acknowledged:
        known, unknown = ("here", "there") if here.acknowledged else ("there", "here")
        return f"generation {here.generation} is acknowledged {known} and not {unknown}"
    return ""
