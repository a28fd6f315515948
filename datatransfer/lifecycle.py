"""The life of a move, as a pure state machine: an event in, the next state and what is to be done out.

PROMISED ──Claimed──▶ RUNNING ──Recorded──▶ DONE
    │                   │ ├──Interrupted──▶ PROMISED     (stopped, or its link broke: room and bytes stay)
    │                   │ └──Broken───────▶ FAILED       (room given back; the frame may be placed again)
    └──Withdrawn──▶ FAILED ◀──Withdrawn──┘

An operator's pause is a wish that stands beside the state: what is promised is not claimed while it stands, and what
runs is interrupted.
"""

import enum
from dataclasses import dataclass

from dbclient.schema import TransferState
from terapix.errors import TerapixError


class Act(enum.StrEnum):
    """What is to be done when a state is entered."""

    CARRY = "carry"  #: bring the bytes over, verify them, give the file its name
    DROP_LEASE = "drop-lease"  #: give the promised room back
    DROP_PART = "drop-part"  #: remove what was half copied
    DROP_SOURCE = "drop-source"  #: the frame is safe at its new place: remove the old file
    COUNT = "count"  #: one of the frame's tries is used up


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mover has taken it on."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """File, replica and frame are written in one transaction."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The mover was stopped, an operator paused it, or its link broke: what has come is gone on with."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The bytes could not be brought over."""

    counts: bool
    """False where the frame is not to blame: the disk was full, the node went away."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """No longer wanted: an operator sent the frame elsewhere, a newer generation came, the node went away."""


Happening = Claimed | Recorded | Interrupted | Broken | Withdrawn


class IllegalStep(TerapixError):
    """An event that cannot happen to a move in this state."""

    def __init__(self, state: TransferState, event: Happening) -> None:
        super().__init__(f"a move that is {state.value} cannot be {type(event).__name__.lower()}")
        self.state = state
        self.event = event


def advance(state: TransferState, event: Happening) -> tuple[TransferState, tuple[Act, ...]]:
    """Give the state after `event` and what has to be done; raise `IllegalStep` where it cannot happen."""
    match state, event:
        case TransferState.PROMISED, Claimed():
            return TransferState.RUNNING, (Act.CARRY,)
        case TransferState.RUNNING, Recorded():
            return TransferState.DONE, (Act.DROP_SOURCE,)
        case TransferState.RUNNING, Interrupted():
            return TransferState.PROMISED, ()
        case TransferState.RUNNING, Broken(counts=counts):
            return TransferState.FAILED, (Act.DROP_PART, Act.DROP_LEASE, *((Act.COUNT,) if counts else ()))
        case TransferState.PROMISED, Broken(counts=counts):
            return TransferState.FAILED, (Act.DROP_LEASE, *((Act.COUNT,) if counts else ()))
        case TransferState.PROMISED, Withdrawn():
            return TransferState.FAILED, (Act.DROP_LEASE,)
        case TransferState.RUNNING, Withdrawn():
            return TransferState.FAILED, (Act.DROP_PART, Act.DROP_LEASE)
        case _:
            raise IllegalStep(state, event)
