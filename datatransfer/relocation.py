"""Relocation: what leaves a full or draining node, what is to lie on a second one, and what it takes along. Pure."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from datatransfer.placement import Plan, Policy, Promise, Room, Wanted, place
from dbclient.schema import FrameState
from dbclient.stores.cargoes import Cargo
from terapix.quantities import counted, in_words

EVEN: Final = 0.02
"""Difference of two nodes' filled shares below which nothing is moved from one to the other."""


@dataclass(frozen=True, slots=True)
class Load:
    """A cargo that is to go, and the room it will need."""

    cargo: Cargo
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Facts:
    """What relocations are decided on."""

    nodes: Mapping[int, str]
    """Names of nodes by row."""
    wanted: Mapping[int, Wanted]
    """What each frame needs, by frame row."""
    rooms: Sequence[Room]
    disks: Mapping[str, int]
    """Bytes that each disk can still promise."""
    policy: Policy


@dataclass(frozen=True, slots=True)
class Relocation:
    """What is to be relocated."""

    plan: Plan
    loads: Mapping[int, Load]
    """By frame row, those that the plan speaks of."""
    busy: int = 0
    """Frames that are moved, copied or weighted now: their turn comes when they are not."""
    there: int = 0
    """Frames that are as they are wanted already."""
    alone: int = 0
    """Frames of which no copy is made: each other node that takes frames is on a disk that has them."""

    @property
    def bytes(self) -> int:
        """Bytes that are to be carried."""
        return sum(promise.wanted.need.frame for promise in self.plan.promises)

    @property
    def sentence(self) -> str:
        """The plan in words."""
        said = []
        if self.plan.promises:
            said.append(f"{counted(len(self.plan.promises), 'frame')} go, {in_words(self.bytes)}")
        if self.busy:
            said.append(
                f"{counted(self.busy, 'frame')} {'is' if self.busy == 1 else 'are'} being moved, copied or weighted now"
            )
        if self.plan.refused:
            first = self.plan.refused[0]
            said.append(
                f"{counted(len(self.plan.refused), 'frame')} cannot go now: {first.wanted.name} {first.sentence}"
            )
        if self.alone:
            words = "no node on another disk takes frames, and a second copy on one disk protects nothing"
            said.append(f"{counted(self.alone, 'frame')} cannot be copied: {words}")
        if self.there:
            said.append(f"{counted(self.there, 'frame')} {'is' if self.there == 1 else 'are'} there already")
        return "; ".join(said) or "nothing is to go"


def evacuation(cargoes: Sequence[Cargo], facts: Facts, *, node: str) -> Relocation:
    """Plan how everything leaves a node for other ones; what is busy stays until it is not."""
    loads = [_laden(cargo, facts) for cargo in cargoes if not cargo.busy]
    loads = [replace(load, wanted=replace(load.wanted, avoid=load.wanted.avoid | {node})) for load in loads]
    return _placed(loads, facts, busy=len(cargoes) - len(loads))


def copying(cargoes: Sequence[Cargo], facts: Facts, *, replicas: int, node: str | None = None) -> Relocation:
    """Plan the copies that are missing: on one node, or until `replicas` of each frame lie on as many disks.

    Each plan has one copy of a frame at most; what is missing then comes with the next.

    Parameters
    ----------
    cargoes : a frame that lies on two nodes comes twice
    """
    by_frame: dict[int, list[Cargo]] = {}
    for cargo in cargoes:
        by_frame.setdefault(cargo.frame.id, []).append(cargo)
    disks = {room.name: room.disk for room in facts.rooms}
    loads: list[Load] = []
    there = busy = alone = 0
    for held in by_frame.values():
        names = {facts.nodes[each.replica.node_id] for each in held}
        if node in names if node else len(names) >= replicas:
            there += 1
        elif held[0].busy:
            busy += 1
        elif node or any(room.accepts and room.name not in _alike(names, disks) for room in facts.rooms):
            loads.append(_second(held[0], facts, names, disks, node))
        else:
            alone += 1
    return _placed(loads, facts, busy=busy, there=there, alone=alone)


def rebalancing(cargoes: Sequence[Cargo], facts: Facts, *, most: int) -> Relocation:
    """Plan moves that make the filled shares of nodes more alike.

    Parameters
    ----------
    most : bytes that may be carried in all

    Notes
    -----
    Each move goes from the fullest node that has something to give to the emptiest that takes frames, and never makes
    that one the fuller of the two: the spread of the shares only ever shrinks, and it ends.
    """
    pools = dict(facts.disks)
    for room in facts.rooms:
        pools.setdefault(room.disk, room.available)
    board = {room.name: _Stand(room, pools) for room in facts.rooms if room.capacity > 0}
    loads = [_laden(cargo, facts) for cargo in cargoes if not cargo.busy]
    for load in sorted(loads, key=lambda load: (load.wanted.need.total, load.cargo.frame.id)):
        stand = board.get(facts.nodes[load.cargo.replica.node_id])
        if stand is not None:
            stand.loads.append(load)
    plan = Plan()
    chosen: dict[int, Load] = {}
    while (found := _best(board, most)) is not None:
        load, promise = found
        plan.promises.append(promise)
        chosen[load.cargo.frame.id] = load
        most -= promise.wanted.need.frame
    plan.left = {name: stand.spare for name, stand in board.items()}
    return Relocation(plan, chosen, busy=len(cargoes) - len(loads))


def _laden(cargo: Cargo, facts: Facts) -> Load:
    """Say what a frame needs with all that goes along; what was weighted brings its maps, and needs no more room."""
    wanted = facts.wanted[cargo.frame.id]
    if cargo.frame.state is FrameState.WEIGHTED:
        wanted = replace(wanted, need=replace(wanted.need, frame=cargo.size, products=0, scratch=0), calibrations=())
    elif cargo.products:
        wanted = replace(wanted, need=replace(wanted.need, frame=cargo.size))
    return Load(cargo, wanted)


def _second(cargo: Cargo, facts: Facts, names: set[str], disks: Mapping[str, str], node: str | None) -> Load:
    """Say what a copy needs; where it may lie anywhere, no disk that has the frame will do."""
    wanted = facts.wanted[cargo.frame.id]
    need = replace(wanted.need, frame=cargo.replica.size, products=0, scratch=0)
    avoid = frozenset() if node else frozenset(wanted.avoid | _alike(names, disks))
    return Load(cargo, replace(wanted, need=need, calibrations=(), pinned=node, avoid=avoid))


def _alike(names: set[str], disks: Mapping[str, str]) -> set[str]:
    """Give the nodes on which a further copy would protect nothing: they have one, or are on a disk that has one."""
    shared = {disks[name] for name in names if name in disks}
    return names | {name for name, disk in disks.items() if disk in shared}


def _placed(loads: Sequence[Load], facts: Facts, **more: int) -> Relocation:
    plan = place([load.wanted for load in loads], facts.rooms, facts.disks, facts.policy)
    return Relocation(plan, {load.cargo.frame.id: load for load in loads}, **more)


class _Stand:
    """A node while a rebalancing is planned."""

    def __init__(self, room: Room, pools: dict[str, int]) -> None:
        self.room = room
        self.pools = pools
        self.available = room.available
        self.loads: list[Load] = []
        """What may leave it, the smallest first."""

    @property
    def spare(self) -> int:
        return min(self.available, self.pools[self.room.disk])

    @property
    def filled(self) -> float:
        return 1.0 - self.spare / self.room.capacity

    def take(self, size: int) -> None:
        self.available -= size
        self.pools[self.room.disk] -= size


def _best(board: Mapping[str, _Stand], most: int) -> tuple[Load, Promise] | None:
    """Give the next move; none if nothing would become more even, or may still be moved."""
    for source in sorted(board.values(), key=lambda stand: (-stand.filled, stand.room.name)):
        for target in sorted(board.values(), key=lambda stand: (stand.filled, stand.room.name)):
            gap = source.filled - target.filled
            if gap <= EVEN:
                break
            if not target.room.accepts:
                continue
            even = gap / (1 / source.room.capacity + 1 / target.room.capacity)
            bound = int(min(even, target.spare))
            fitting = bisect_right(source.loads, bound, key=lambda load: load.wanted.need.total)
            index = next((n for n in range(fitting - 1, -1, -1) if source.loads[n].wanted.need.frame <= most), None)
            if index is None:
                continue
            load = source.loads.pop(index)
            source.take(-load.wanted.need.total)
            target.take(load.wanted.need.total)
            why = f"{source.room.name} is fuller"
            return load, Promise(load.wanted, target.room.node_id, target.room.name, why)
    return None
