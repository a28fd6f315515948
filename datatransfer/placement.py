"""Placement: which node each frame goes to, or why it has to wait. Pure: facts in, a plan out, no disk and no database.

What a frame needs is the file itself, the products that will be made of it, and the
scratch space its job unpacks into (`datatransfer.growth`). All of it is promised before
a byte moves, on the disks of the node on which each part will lie.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from datatransfer.growth import Need
from dbclient.records import FrameRecord
from terapix.quantities import in_words

Policy = Literal["together", "most-room", "balance"]
Keep = Literal["run", "field", "filter"]
Part = Literal["frames", "calibrations", "products", "scratch"]


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
    """The only node that will do; none: any."""
    avoid: frozenset[str] = frozenset()
    """Nodes that have just refused it."""
    group: str | None = None
    """What it is kept together with, as `group_of` names it; none: with nothing."""
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
    """The disk its frames lie on; nodes that share one share its free bytes."""
    groups: Mapping[str, int] = field(default_factory=dict)
    """Frames that it holds or expects, by the group that is kept together."""
    calibrations: frozenset[str] = frozenset()
    """Calibrations that it holds or for which room is already kept."""
    elsewhere: Mapping[Part, str] = field(default_factory=dict)
    """The disk of each part that lies on another one than the frames."""
    speed: float = 1.0
    """How much it gets of the frames, beside a node of speed 1 with as much room."""


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
    part: Part | None = None
    """What these bytes are for, where that has a disk of its own; none: for all of the frame."""

    @property
    def missing(self) -> int:
        return max(0, self.needed - self.largest)

    @property
    def sentence(self) -> str:
        """The reason in words: ``needs 3.1 GB, largest room is 1.2 GB on node1: 1.9 GB are missing``."""
        needs = f"needs {in_words(self.needed)}{f' for {self.part}' if self.part else ''}"
        if self.node is None:
            if self.wanted.avoid and not self.wanted.pinned:
                who = " and ".join(sorted(self.wanted.avoid))
                return f"{needs}; {who} could not take it and will be asked again in some minutes"
            if self.wanted.pinned:
                return f"{needs}, but {self.wanted.pinned} takes no frames now"
            return f"{needs}, but no node takes frames now"
        where = f"room on {self.node} is" if self.wanted.pinned else "largest room is"
        on = "" if self.wanted.pinned else f" on {self.node}"
        return f"{needs}, {where} {in_words(self.largest)}{on}: {in_words(self.missing)} are missing"


@dataclass(slots=True)
class Plan:
    """What was decided, in the order of priority."""

    promises: list[Promise] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    """Bytes that each node could still promise after the plan."""


def group_of(frame: FrameRecord, keep: Keep) -> str | None:
    """Name what a frame is kept together with: its RUNID, its field (target, else its square degree), or its filter."""
    match keep:
        case "run":
            return frame.runid
        case "filter":
            return frame.filter
        case "field":
            return field_of(frame.object, frame.ra, frame.dec)


def field_of(target: str | None, ra: float | None, dec: float | None) -> str | None:
    """Name a field by the target that the observer gave, else by where it lies; none if neither is known."""
    if target and target.strip():
        return target.strip().casefold()
    if ra is None or dec is None:
        return None
    return f"RA {ra % 360:.0f} Dec {dec:+.0f}"


def place(wanted: Sequence[Wanted], rooms: Sequence[Room], disks: Mapping[str, int], policy: Policy) -> Plan:
    """Choose a node for each frame, or give the reason why none will do.

    Parameters
    ----------
    wanted : in order of priority; an impossible frame never holds back the next
    rooms : all nodes
    disks : bytes that may still be promised on each disk, whatever the nodes' capacities say
    policy : "together" keeps a group on the node that has most of it, while there is room; "most-room" takes the
        emptiest; "balance" takes the least filled share. Room and share count by the speed of the node.

    Notes
    -----
    No byte is promised twice: each promise is taken off the node and off its disks before the next frame is looked at.
    """
    board = _Board(rooms, disks)
    plan = Plan()
    for item in wanted:
        best: _Standing | None = None
        chosen: _Standing | None = None
        most = 0
        for standing in board.ranked(item, item.policy or policy):
            spare = standing.spare(item)
            if spare >= 0:
                chosen = standing
                break
            if best is None or spare > most:
                best, most = standing, spare
        if chosen is None:
            plan.refused.append(best.refusal(item) if best else Refusal(item, _whole(item), 0, None))
            continue
        why = chosen.why(item, item.policy or policy)
        chosen.take(item)
        plan.promises.append(Promise(item, chosen.room.node_id, chosen.room.name, why))
    plan.left = {name: standing.open_bytes for name, standing in board.standings.items()}
    return plan


def _whole(item: Wanted) -> int:
    return item.need.total + sum(size for _, size in item.calibrations)


class _Standing:
    """One node while a plan is made."""

    def __init__(self, room: Room, disks: dict[str, int]) -> None:
        self.room = room
        self.available = room.available
        self.groups = dict(room.groups)
        self.calibrations = set(room.calibrations)
        self._own = tuple({room.disk, *room.elsewhere.values()})
        self._disks = disks

    @property
    def open_bytes(self) -> int:
        free = self._disks[self._own[0]] if len(self._own) == 1 else sum(self._disks[disk] for disk in self._own)
        return min(self.available, free)

    @property
    def filled(self) -> float:
        """Share of the capacity that is used or promised."""
        return 1.0 - self.open_bytes / self.room.capacity if self.room.capacity > 0 else 1.0

    def cost(self, item: Wanted) -> int:
        return item.need.total + self._lacking(item)

    def spare(self, item: Wanted) -> int:
        """Give the bytes that would be left where it is narrowest; below 0 the frame does not fit."""
        spare = self.open_bytes - self.cost(item)
        if self.room.elsewhere:
            spare = min(spare, *(self._disks[disk] - size for disk, size, _ in self._by_disk(item)))
        return spare

    def take(self, item: Wanted) -> None:
        for disk, size, _ in self._by_disk(item):
            self._disks[disk] -= size
        self.available -= self.cost(item)
        self.calibrations.update(name for name, _ in item.calibrations)
        if item.group:
            self.groups[item.group] = self.groups.get(item.group, 0) + 1

    def refusal(self, item: Wanted) -> Refusal:
        """Say what is lacking here: room as a whole, or on the disk where most is."""
        narrow = [(self._disks[disk] - size, size, disk, part) for disk, size, part in self._by_disk(item)]
        worst, size, disk, part = min(narrow)
        if not self.room.elsewhere or worst >= self.open_bytes - self.cost(item):
            return Refusal(item, self.cost(item), max(0, self.open_bytes), self.room.name)
        return Refusal(item, size, max(0, self._disks[disk]), self.room.name, part)

    def why(self, item: Wanted, policy: Policy) -> str:
        if item.pinned:
            return f"asked for by {item.pinned_by}"
        if policy == "together" and item.group and self.groups.get(item.group):
            return f"has other frames of {item.group}"
        why = "least filled" if policy == "balance" else "most room"
        return why if self.room.speed == 1.0 else f"{why} for its speed of {self.room.speed:.2g}"

    def _lacking(self, item: Wanted) -> int:
        return sum(size for name, size in item.calibrations if name not in self.calibrations)

    def _by_disk(self, item: Wanted) -> Iterator[tuple[str, int, Part]]:
        """Give the bytes that the frame takes on each disk, with the first part that lies there."""
        lacking = self._lacking(item)
        if not self.room.elsewhere:
            yield self.room.disk, item.need.total + lacking, "frames"
            return
        needs: dict[Part, int] = {
            "frames": item.need.frame,
            "calibrations": lacking,
            "products": item.need.products,
            "scratch": item.need.scratch,
        }
        sums: dict[str, tuple[int, Part]] = {}
        for part, size in needs.items():
            disk = self.room.elsewhere.get(part, self.room.disk)
            before, first = sums.get(disk, (0, part))
            sums[disk] = before + size, first
        for disk, (size, first) in sums.items():
            yield disk, size, first


class _Board:
    """All nodes while a plan is made."""

    def __init__(self, rooms: Sequence[Room], disks: Mapping[str, int]) -> None:
        pools = dict(disks)
        for room in rooms:
            for disk in (room.disk, *room.elsewhere.values()):
                pools.setdefault(disk, room.available)
        self.standings = {room.name: _Standing(room, pools) for room in rooms if room.accepts}

    def ranked(self, item: Wanted, policy: Policy) -> Iterator[_Standing]:
        """Nodes that may take the frame, best first; the others are compared only when those before have no room."""
        if item.pinned:
            yield from [self.standings[item.pinned]] if item.pinned in self.standings else []
            return
        able = [standing for name, standing in self.standings.items() if name not in item.avoid]
        if policy == "balance":
            yield from sorted(able, key=lambda s: (s.filled / s.room.speed, s.room.name))
            return
        if policy == "together" and (group := item.group):
            company = [standing for standing in able if standing.groups.get(group)]
            yield from sorted(
                company, key=lambda s: (-s.groups.get(group, 0), -s.open_bytes * s.room.speed, s.room.name)
            )
            able = [standing for standing in able if not standing.groups.get(group)]
        yield from sorted(able, key=lambda s: (-s.open_bytes * s.room.speed, s.room.name))
