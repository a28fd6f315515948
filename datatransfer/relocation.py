"""Relocation: what leaves a full or draining node, what is to lie on a second one, and what it takes along. Pure."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from datatransfer.placement import Promise, Room, Wanted
from dbclient.schema import FrameState
from dbclient.stores.cargoes import Cargo

EVEN: Final = 0.02
"""Difference of two nodes' filled shares below which nothing is moved from one to the other."""


@dataclass(frozen=True, slots=True)
class Load:
    """A cargo that is to go, and the room it will need."""

    cargo: Cargo
    wanted: Wanted


def leaving(cargoes: Sequence[Cargo], wanted: Mapping[int, Wanted], *, node: str) -> list[Load]:
    """Give what is to leave a node, for any other one; what is busy stays until it is not.

    Parameters
    ----------
    wanted : what each frame needs, by frame row
    """
    loads = [laden(cargo, wanted[cargo.frame.id]) for cargo in cargoes if not cargo.busy]
    return [replace(load, wanted=replace(load.wanted, avoid=load.wanted.avoid | {node})) for load in loads]


def copying(
    cargoes: Sequence[Cargo],
    wanted: Mapping[int, Wanted],
    *,
    nodes: Mapping[int, str],
    disks: Mapping[str, str],
    replicas: int,
    node: str | None = None,
) -> list[Load]:
    """Give the copies that are missing: on one node, or so that there are `replicas` of each frame on as many disks.

    Parameters
    ----------
    cargoes : a frame that lies on two nodes comes twice
    nodes : names of nodes by row
    disks : the disk of each node; a second copy on one disk protects nothing
    """
    by_frame: dict[int, list[Cargo]] = {}
    for cargo in cargoes:
        by_frame.setdefault(cargo.frame.id, []).append(cargo)
    loads: list[Load] = []
    for held in by_frame.values():
        cargo = held[0]
        there = {nodes[each.replica.node_id] for each in held}
        if cargo.busy or (node in there if node else len(there) >= replicas):
            continue
        shared = {disks[name] for name in there if name in disks}
        avoid = there | {name for name, disk in disks.items() if disk in shared}
        item = wanted[cargo.frame.id]
        size = replace(item.need, frame=cargo.replica.size, products=0, scratch=0)
        item = replace(item, need=size, calibrations=(), pinned=node, avoid=frozenset() if node else item.avoid | avoid)
        loads.append(Load(cargo, item))
    return loads


def laden(cargo: Cargo, wanted: Wanted) -> Load:
    """Say what a frame needs with all that goes along; what was weighted brings its maps, and needs no more room."""
    if cargo.frame.state is FrameState.WEIGHTED:
        wanted = replace(wanted, need=replace(wanted.need, frame=cargo.size, products=0, scratch=0), calibrations=())
    elif cargo.products:
        wanted = replace(wanted, need=replace(wanted.need, frame=cargo.size))
    return Load(cargo, wanted)


def rebalancing(
    rooms: Sequence[Room], disks: Mapping[str, int], loads: Sequence[Load], *, nodes: Mapping[int, str], most: int
) -> list[Promise]:
    """Choose moves that make the filled shares of nodes more alike, the largest first.

    Parameters
    ----------
    rooms, disks : as `datatransfer.placement.place` takes them
    loads : what may be moved
    nodes : names of nodes by row
    most : bytes that may be moved in all

    Notes
    -----
    Each move goes from the fullest node that has something to give to the emptiest that takes frames, and never makes
    that one the fuller of the two: so the spread of the shares only ever shrinks, and it ends.
    """
    board = {room.name: _Stand(room, dict(disks)) for room in rooms if room.capacity > 0}
    pools = dict(disks)
    for stand in board.values():
        pools.setdefault(stand.room.disk, stand.room.available)
        stand.pools = pools
    for load in sorted(loads, key=lambda load: (load.wanted.need.total, load.cargo.frame.id)):
        stand = board.get(nodes[load.cargo.replica.node_id])
        if stand is not None:
            stand.loads.append(load)
    promises: list[Promise] = []
    while (promise := _best(board, most)) is not None:
        promises.append(promise)
        most -= promise.wanted.need.frame
    return promises


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


def _best(board: Mapping[str, _Stand], most: int) -> Promise | None:
    """Give the next move; none if nothing would become more even, or may still be moved."""
    for source in sorted(board.values(), key=lambda stand: (-stand.filled, stand.room.name)):
        for target in sorted(board.values(), key=lambda stand: (stand.filled, stand.room.name)):
            gap = source.filled - target.filled
            if gap <= EVEN:
                break
            if not target.room.accepts or target.room.disk == source.room.disk:
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
            return Promise(load.wanted, target.room.node_id, target.room.name, why)
    return None


def bytes_of(loads: Collection[Load]) -> int:
    """Sum the bytes that would be carried."""
    return sum(load.wanted.need.frame for load in loads)
