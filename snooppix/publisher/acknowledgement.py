"""An acknowledgement: a follower says which bytes and pixels it holds, and we say whether they are ours. Pure."""

import enum
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Self

from dbclient.records import PublicationRecord, ReceiptRecord
from dbclient.schema import PublicationState
from terapix.errors import TerapixError
from terapix.identity import Digest, UnsafeName, safe_name

LARGEST_GENERATION: Final = 2**31 - 1


class BadAcknowledgement(TerapixError):
    """A document that acknowledges nothing."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a follower holds."""

    name: str
    """As published."""
    generation: int
    wire: str | None
    """Digest of the bytes; none if the follower keeps them otherwise packed than they came."""
    pixels: str | None
    """Digest of the decoded pixels; none for files without an image."""

    @classmethod
    def read(cls, document: bytes) -> Self:
        """Read ``{"name": …, "generation": …, "wire_digest": …, "pixel_digest": …}``.

        Raises
        ------
        BadAcknowledgement
        """
        try:
            told = json.loads(document)
        except (ValueError, RecursionError) as problem:
            raise BadAcknowledgement("a JSON object was expected") from problem
        if not isinstance(told, dict):
            raise BadAcknowledgement("a JSON object was expected")
        name, generation = told.get("name"), told.get("generation")
        if not isinstance(name, str) or type(generation) is not int or not 0 < generation <= LARGEST_GENERATION:
            raise BadAcknowledgement("name (text) and generation (a whole number from 1) are needed")
        try:
            safe_name(name)
            wire, pixels = _digest(told.get("wire_digest")), _digest(told.get("pixel_digest"))
        except (UnsafeName, ValueError) as problem:
            raise BadAcknowledgement(str(problem)) from problem
        if wire is None and pixels is None:
            raise BadAcknowledgement("a digest of what is held is needed: wire_digest, pixel_digest or both")
        return cls(name, generation, wire, pixels)

    def document(self) -> dict[str, Any]:
        """Give what `read` reads."""
        return {
            "name": self.name,
            "generation": self.generation,
            "wire_digest": self.wire,
            "pixel_digest": self.pixels,
        }


def _digest(told: object) -> str | None:
    if told is None:
        return None
    if not isinstance(told, str):
        raise ValueError("a digest is a text as md5:<hex>")  # noqa: TRY004 - what is wrong is the document
    return str(Digest.parse(told))


def standing(receipts: Collection[ReceiptRecord], awaited: Collection[str]) -> tuple[PublicationState, str]:
    """Say how a publication stands from what its followers hold, and what there is to say of it.

    Parameters
    ----------
    receipts : what they told last
    awaited : followers who must have it before it is safe; nobody in particular if empty
    """
    asked = [receipt for receipt in receipts if not awaited or receipt.follower in awaited]
    wrong = [receipt.follower for receipt in asked if not receipt.agrees]
    if wrong:
        return PublicationState.FAILED, f"{', '.join(wrong)} hold something else under this name"
    holders = {receipt.follower for receipt in asked}
    missing = sorted(set(awaited) - holders)
    if missing or not holders:
        has = f"{', '.join(sorted(holders))} has it; " if holders else ""
        return PublicationState.OFFERED, f"{has}not acknowledged by {', '.join(missing) or 'anybody'} yet"
    return PublicationState.ACKNOWLEDGED, ", ".join(sorted(holders))


class Outcome(enum.Enum):
    """What an acknowledgement comes to, with the status of the answer."""

    SAFE = 200  #: the follower holds our file: we may delete it in time
    UNKNOWN = 404  #: we never published such a file
    OUTDATED = 409  #: another generation than the newest known
    DIFFERS = 422  #: the follower holds something else under this name and generation


@dataclass(frozen=True, slots=True)
class Judgement:
    """What we answer, and why."""

    outcome: Outcome
    sentence: str


def judge(told: Acknowledgement, newest: PublicationRecord | None) -> Judgement:
    """Decide about an acknowledgement from the newest generation of its name that the ledger knows.

    The wire digest decides where it is told; a follower that keeps a file
    unpacked, as the archive kept stacks in 2007, tells the pixel digest alone.
    """
    if newest is None:
        return Judgement(Outcome.UNKNOWN, f"{told.name} was never published here")
    if told.generation != newest.generation:
        age = "an older" if told.generation < newest.generation else "a newer"
        return Judgement(
            Outcome.OUTDATED,
            f"generation {told.generation} of {told.name} is {age} one: "
            f"generation {newest.generation} is the newest known here",
        )
    if newest.offered_at is None or newest.state in {PublicationState.DUE, PublicationState.SUPERSEDED}:
        return Judgement(Outcome.OUTDATED, f"generation {told.generation} of {told.name} is not offered yet")
    pairs = [("bytes", told.wire, newest.wire_digest), ("pixels", told.pixels, newest.pixel_digest)]
    compared = [(what, theirs, ours) for what, theirs, ours in pairs if theirs is not None and ours is not None]
    wrong = [f"its {what} there are {theirs} and here {ours}" for what, theirs, ours in compared if theirs != ours]
    if wrong:
        return Judgement(Outcome.DIFFERS, f"the archive holds another {told.name}: {', '.join(wrong)}")
    if not compared:
        return Judgement(Outcome.DIFFERS, f"{told.name} has no image: only the digest of its bytes can be compared")
    return Judgement(Outcome.SAFE, f"generation {told.generation} of {told.name} is acknowledged")
