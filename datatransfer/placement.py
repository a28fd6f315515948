"""Placement: which node each frame goes to, or why it has to wait. Pure: facts in, a plan out, no disk and no database.

What a frame needs is the file itself, the weight and flag maps that will be
made of it, and the scratch space its job unpacks into. All of it is promised
before a byte moves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Policy = Literal["together", "most-room", "balance"]

PIXEL = 4
"""Bytes of a pixel of a weight map (float32)."""
RAW_PIXEL = 2
"""Bytes of a pixel as the camera wrote it (16 bit)."""
FLAG_SHARE = 0.05
"""Share of its unpacked 8-bit size that a tile-compressed flag map takes until products were measured; mostly zeros."""
UNPACKED_SHARE = 3.0
"""Unpacked size of a frame over its file, where the header did not tell: Rice gains about two on MegaCam pixels."""
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, slots=True)
class Need:
    """Room that one frame will take on a node, in bytes, before and after processing."""

    frame: int
    """The file as the archive serves it (tile-compressed)."""
    products: int
    """Weight and flag maps as we write them, from the growth measured so far."""
    scratch: int
    """Unpacked pixels of what is worked on at once."""

    @property
    def total(self) -> int:
        return self.frame + self.products + self.scratch


@dataclass(frozen=True, slots=True)
class Wanted:
    """A frame that is to be placed."""

    frame_id: int
    name: str
    runid: str | None
    need: Need
    calibrations: tuple[tuple[str, int], ...] = ()
    """Flat and mask that must be on the node too: name and bytes."""
    pinned: str | None = None
    """The only node that will do, as an operator asked; none: any."""
    avoid: frozenset[str] = frozenset()
    """Nodes that have just refused it."""
    policy: Policy | None = None
    """Its own policy, as a rule gives it; none: that of all."""
    pinned_by: str = "an operator"
    """Who wants it there and nowhere else."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a node can still take."""

    node_id: int
    name: str
    accepts: bool
    """Up, and not draining."""
    available: int
    """Bytes that may still be promised under its capacity: free, less what is promised, less the reserve."""
    capacity: int
    """Bytes TERAPIX may use there at all."""
    disk: str
    """The disk it lies on; nodes that share one share its free bytes."""
    runs: frozenset[str] = frozenset()
    """Runs of which it holds or expects frames."""
    calibrations: frozenset[str] = frozenset()
    """Calibrations that it holds or for which room is already kept."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A frame and the node that shall have it."""

    wanted: Wanted
    node_id: int
    node: str
    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A frame that fits nowhere now, and by how much."""

    wanted: Wanted
    needed: int
    """Bytes, calibrations that the node lacks included."""
    largest: int
    """Bytes of the largest room that was considered."""
    node: str | None
    """Where that room is; none if no node takes frames."""

    @property
    def missing(self) -> int:
        return max(0, self.needed - self.largest)

    @property
    def sentence(self) -> str:
        """The reason in words: ``needs 3.1 GB, largest room is 1.2 GB on node1: 1.9 GB are missing``."""
        if self.node is None:
            if self.wanted.avoid:
                who = " and ".join(sorted(self.wanted.avoid))
                return f"needs {in_words(self.needed)}; {who} could not take it and will be asked again in some minutes"
            if self.wanted.pinned:
                return f"needs {in_words(self.needed)}, but {self.wanted.pinned} takes no frames now"
            return f"needs {in_words(self.needed)}, but no node takes frames now"
        where = f"room on {self.node} is" if self.wanted.pinned else "largest room is"
        on = "" if self.wanted.pinned else f" on {self.node}"
        return (
            f"needs {in_words(self.needed)}, {where} {in_words(self.largest)}{on}: {in_words(self.missing)} are missing"
        )


@dataclass(slots=True)
class Plan:
    """What was decided, in the order of priority."""

    promises: list[Promise] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    """Bytes that each node could still promise after the plan."""


def need_of(
    needs: Mapping[str, float] | None, size: int | None, *, growth: Mapping[str, float], compression: float
) -> Need:
    """Estimate the room that a frame needs.

    Parameters
    ----------
    needs : bytes by part as its header told (frame, unpacked, weight, flag, scratch); parts may be absent, and no maps
        are to be made where they are told to take nothing
    size : bytes of the file
    growth : bytes of a product over the unpacked bytes of its frame, by kind, as measured so far; measured beats told
    compression : share of its unpacked size that a tile-compressed weight map takes until then
    """
    told = needs or {}
    frame = int(size or told.get("frame", 0))
    if told.get("weight") == 0 and told.get("flag") == 0:
        return Need(frame, 0, int(told.get("scratch", 0)))
    unpacked = told.get("unpacked") or frame * UNPACKED_SHARE
    guesses = {
        "weight": told.get("weight") or unpacked * PIXEL / RAW_PIXEL * compression,
        "flag": told.get("flag") or unpacked / RAW_PIXEL * FLAG_SHARE,
    }
    products = sum(unpacked * growth[kind] if kind in growth else guess for kind, guess in guesses.items())
    products += sum(unpacked * share for kind, share in growth.items() if kind not in guesses)
    return Need(frame, int(products), int(told.get("scratch") or unpacked))


def place(wanted: Sequence[Wanted], rooms: Sequence[Room], disks: Mapping[str, int], policy: Policy) -> Plan:
    """Choose a node for each frame, or give the reason why none will do.

    Parameters
    ----------
    wanted : in order of priority; an impossible frame never holds back the next
    rooms : all nodes
    disks : bytes that may still be promised on each disk, whatever the nodes' capacities say
    policy : "together" keeps a run on the node that has it, while there is room; "most-room" takes the emptiest;
        "balance" takes the least filled share

    Notes
    -----
    No byte is promised twice: each promise is taken off the node and off its disk before the next frame is looked at.
    """
    board = _Board(rooms, disks)
    plan = Plan()
    for item in wanted:
        best: _Standing | None = None
        chosen: _Standing | None = None
        for standing in board.ranked(item, item.policy or policy):
            if best is None or standing.spare(item) > best.spare(item):
                best = standing
            if standing.spare(item) >= 0:
                chosen = standing
                break
        if chosen is None:
            needed = best.cost(item) if best else item.need.total + sum(size for _, size in item.calibrations)
            plan.refused.append(
                Refusal(item, needed, max(0, best.open_bytes) if best else 0, best.room.name if best else None)
            )
            continue
        why = chosen.why(item, item.policy or policy)
        chosen.take(item)
        plan.promises.append(Promise(item, chosen.room.node_id, chosen.room.name, why))
    plan.left = {name: standing.open_bytes for name, standing in board.standings.items()}
    return plan


class _Standing:
    """One node while a plan is made."""

    def __init__(self, room: Room, disks: dict[str, int]) -> None:
        self.room = room
        self.available = room.available
        self.runs = set(room.runs)
        self.calibrations = set(room.calibrations)
        self._disks = disks

    @property
    def open_bytes(self) -> int:
        return min(self.available, self._disks[self.room.disk])

    @property
    def filled(self) -> float:
        """Share of the capacity that is used or promised."""
        return 1.0 - self.open_bytes / self.room.capacity if self.room.capacity > 0 else 1.0

    def cost(self, item: Wanted) -> int:
        return item.need.total + sum(size for name, size in item.calibrations if name not in self.calibrations)

    def spare(self, item: Wanted) -> int:
        return self.open_bytes - self.cost(item)

    def take(self, item: Wanted) -> None:
        cost = self.cost(item)
        self.available -= cost
        self._disks[self.room.disk] -= cost
        self.calibrations.update(name for name, _ in item.calibrations)
        if item.runid:
            self.runs.add(item.runid)

    def why(self, item: Wanted, policy: Policy) -> str:
        if item.pinned:
            return f"asked for by {item.pinned_by}"
        if policy == "together" and item.runid in self.runs:
            return f"has other frames of {item.runid}"
        return "least filled" if policy == "balance" else "most room"


class _Board:
    """All nodes while a plan is made."""

    def __init__(self, rooms: Sequence[Room], disks: Mapping[str, int]) -> None:
        pools = dict(disks)
        for room in rooms:
            pools.setdefault(room.disk, room.available)
        self.standings = {room.name: _Standing(room, pools) for room in rooms if room.accepts}

    def ranked(self, item: Wanted, policy: Policy) -> list[_Standing]:
        """Nodes that may take the frame, best first."""
        if item.pinned:
            return [self.standings[item.pinned]] if item.pinned in self.standings else []
        able = [standing for name, standing in self.standings.items() if name not in item.avoid]
        if policy == "balance":
            return sorted(able, key=lambda s: (s.filled, s.room.name))
        if policy == "together":
            return sorted(able, key=lambda s: (item.runid not in s.runs, -s.open_bytes, s.room.name))
        return sorted(able, key=lambda s: (-s.open_bytes, s.room.name))


def in_words(count: float) -> str:
    """Write bytes as a person reads them, in powers of 1000: ``3.1 GB``."""
    value = float(count)
    for unit in UNITS:
        if abs(value) < 1000 or unit == UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError(count)
