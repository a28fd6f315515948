"""Depots: where files lie, on this host or on another, and how they get from one to the other.

On one host a file is linked or copied by this process; between hosts the agent
of the target fetches it from the agent of the source. Whoever asks need not know.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from datatransfer import nearby
from datatransfer.agent import leftovers
from datatransfer.agent.courier import Courier, Silent
from datatransfer.agent.holdings import listing, set_aside
from datatransfer.agent.leftovers import Leftover
from datatransfer.agent.reading import Reading, read
from datatransfer.agent.receiver import Parcel
from datatransfer.agent.roots import NODE_ROOMS, RECEPTION_ROOMS, Refused, Root, node_root, reception_root
from datatransfer.agent.trust import Trust
from datatransfer.disks import DEADLINE, ROOMS, Disk, Gauge, Ill, measure
from datatransfer.errors import NodeUnreachable, Stopped
from datatransfer.mover import Carried, Haul, carry
from dbclient.records import NodeRecord
from terapix.clock import Clock
from terapix.hosts import NodeSection
from terapix.journal import logger
from terapix.sections import Settings

log = logger("datatransfer.depots")

AT_ONCE: Final = 5000
"""Files of one question to an agent."""
LOOK: Final = 0.25
"""Seconds between two looks whether a move between hosts is to stop."""
BRIEF: Final = 0.05
"""Seconds that a pass waits for a host that did not answer last time: it is asked on, and nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Depot:
    """A root below which files lie."""

    root: str
    """nodes/NAME or reception/NAME."""
    directory: Path
    """On the host that has it."""
    address: str = ""
    """Of the agent there; empty: this host."""


@dataclass(frozen=True, slots=True)
class Freight:
    """A file and where it is to go."""

    source: Depot
    origin: str
    """Path below the source's directory."""
    target: Depot
    path: str
    """Path below the target's directory: the final name."""
    digest: str
    size: int
    apart: bool = False
    """Whether it must have bytes of its own: a second name on one disk is no second copy."""
    kept: int = 0
    """Bytes of it that lie at its target since it was stopped."""

    @property
    def local(self) -> bool:
        """Whether both ends are on this host."""
        return not (self.source.address or self.target.address)

    @property
    def haul(self) -> Haul:
        """What the mover of this host must know."""
        to = self.target.directory
        return Haul(
            self.source.directory / self.origin,
            to / self.path,
            to / self.path.partition("/")[0],
            self.digest,
            self.size,
            apart=self.apart,
            kept=self.kept,
        )


class NoAgent(NodeUnreachable):
    """No agent can be asked: this host has neither certificate nor token."""

    def __init__(self) -> None:
        super().__init__(Path("its agent"), "[agent] of the coordinator's host names neither certificate nor token")


class Depots:
    """Reaches the files of all hosts."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        trust = Trust.of(settings)
        self._settings = settings
        self._clock = clock
        self._courier = Courier(trust) if trust else None
        self.own = settings.agent.own
        """Address of this host's agent, from which others fetch what lies here."""

    async def close(self) -> None:
        if self._courier is not None:
            await self._courier.close()

    def of_node(self, node: NodeRecord) -> Depot:
        """Give the depot of a node."""
        address = node.address if node.address and node.address != self.own else ""
        return Depot(node_root(node.name), Path(node.directory), address)

    def of_section(self, section: NodeSection) -> Depot:
        """Give the depot of a node of the settings."""
        address = section.address if section.address != self.own else ""
        return Depot(node_root(section.name), self._settings.at(section.directory), address)

    def of_reception(self, disk: str | None) -> Depot:
        """Give the depot of a reception disk, which is the first unless it is named."""
        disks = self._settings.reception_disks
        section = disks[disk] if disk in disks else next(iter(disks.values()))
        return Depot(reception_root(section.name), section.directory)

    def gauge(self, depot: Depot, *, walk_every: float) -> "Gauge | FarGauge":
        """Give what measures a depot's disk."""
        if not depot.address:
            return Gauge(depot.directory, self._clock, walk_every=walk_every, own=self._own_disks(depot))
        return self._far(depot)

    def _far(self, depot: Depot) -> "FarGauge":
        return FarGauge(depot, self._courier, self._clock, every=self._settings.datatransfer.report)

    async def disk(self, depot: Depot) -> Disk | Ill:
        """Ask once whether a depot's disk is there, with a deadline."""
        if depot.address:
            return await self._far(depot).measure()
        rooms = () if depot.root.startswith("reception/") else ROOMS
        try:
            look = asyncio.to_thread(measure, depot.directory, rooms, own=self._own_disks(depot))
            return await asyncio.wait_for(look, DEADLINE)
        except TimeoutError:
            return Ill(f"its directory {depot.directory} does not answer")

    def _own_disks(self, depot: Depot) -> Collection[str]:
        """Name the rooms of a node that are mounts of disks of their own."""
        return next((node.own_disks for node in self._settings.nodes if node_root(node.name) == depot.root), ())

    async def carry(
        self, freight: Freight, *, progress: Callable[[int], None], stop: threading.Event, steps: bool = True
    ) -> Carried:
        """Bring a file to where it is to go, whole and verified, or not at all.

        Raises
        ------
        MoveError
            After `Stopped` and `LinkBroken` it goes on where it stopped when it is asked for again.
        """
        if freight.local:
            return await asyncio.to_thread(carry, freight.haul, progress=progress, stop=stop, steps=steps)
        parcel = Parcel(
            freight.source.address or self.own,
            f"{freight.source.root}/{freight.origin}",
            freight.target.root,
            freight.path,
            freight.digest,
            freight.size,
        )
        asking = asyncio.ensure_future(
            self._asked().bring(freight.target.address or self.own, [parcel], progress=progress)
        )
        try:
            while not (await asyncio.wait({asking}, timeout=LOOK))[0]:
                if stop.is_set():
                    raise Stopped
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        ended = asking.result()[0]
        if isinstance(ended, Carried):
            return ended
        raise ended

    async def pace(self, address: str, rates: Mapping[tuple[str, str], int]) -> None:
        """Have an agent keep to rates, by root from which and root to which bytes go.

        Raises
        ------
        Silent, NoAgent
        """
        await self._asked().pace(address, rates)

    async def sizes(self, depot: Depot, paths: Sequence[str]) -> dict[str, int | None]:
        """Give the sizes of files; None for what is not there.

        Raises
        ------
        NodeUnreachable
        """
        if not depot.address:
            return await asyncio.to_thread(nearby.sizes, depot.directory, paths)
        found: dict[str, int | None] = {}
        with _reachable(depot):
            for begin in range(0, len(paths), AT_ONCE):
                some = paths[begin : begin + AT_ONCE]
                found |= await self._asked().sizes(depot.address, depot.root, some)
        return found

    async def listing(self, depot: Depot) -> dict[str, int]:
        """List every file in the rooms of a depot with its size; what is on its way is left out.

        Raises
        ------
        NodeUnreachable
        """
        if not depot.address:
            try:
                return dict(await asyncio.to_thread(listing, _own_root(depot)))
            except OSError as problem:
                raise NodeUnreachable(depot.directory, problem.strerror or str(problem)) from problem
        with _reachable(depot):
            return await self._asked().listing(depot.address, depot.root)

    async def leftovers(self, depot: Depot) -> list[Leftover]:
        """List scratch and what was set aside on a node.

        Raises
        ------
        NodeUnreachable
        """
        if not depot.address:
            return await asyncio.to_thread(leftovers.leftovers, _own_root(depot))
        with _reachable(depot):
            return await self._asked().leftovers(depot.address, depot.root)

    async def remove_leftover(self, depot: Depot, leftover: Leftover) -> bool:
        """Remove a leftover that is as it was listed; tell whether it was there.

        Raises
        ------
        NodeUnreachable
            When its host does not answer, or it was written meanwhile.
        """
        if not depot.address:
            try:
                return await asyncio.to_thread(leftovers.remove, _own_root(depot), leftover)
            except Refused as problem:
                raise NodeUnreachable(depot.directory, str(problem)) from problem
        with _reachable(depot):
            return await self._asked().remove_leftover(depot.address, depot.root, leftover)

    async def digests(self, depot: Depot, paths: Sequence[str]) -> dict[str, str | None]:
        """Have files read again; None for what cannot be read.

        Raises
        ------
        NodeUnreachable
        """
        if not depot.address:
            return {path: await asyncio.to_thread(nearby.digest, depot.directory / path) for path in paths}
        with _reachable(depot):
            return await self._asked().digests(depot.address, depot.root, paths)

    async def read(self, depot: Depot, path: str, *, rate: float, stop: threading.Event) -> Reading:
        """Read a file again from its disk, at no more than a rate (bytes a second; 0: any).

        Raises
        ------
        NodeUnreachable
        Stopped
            When told to stop.
        """
        if not depot.address:
            return await asyncio.to_thread(read, _own_root(depot), path, rate=rate, stop=stop)
        asking = asyncio.ensure_future(self._asked().read(depot.address, depot.root, path, rate=rate))
        try:
            while not (await asyncio.wait({asking}, timeout=LOOK))[0]:
                if stop.is_set():
                    raise Stopped
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        with _reachable(depot):
            return asking.result()

    async def keep_parts(self, depot: Depot, paths: Sequence[str]) -> None:
        """Have an agent keep what has come of files for longer; on this host it stays by itself."""
        with _reachable(depot):
            await self._asked().keep_parts(depot.address, depot.root, paths)

    async def remove(self, depot: Depot, path: str, *, size: int) -> None:
        """Remove a file of a known size; one that is gone already is no error.

        Raises
        ------
        NodeUnreachable
            When its host does not answer, or another file stands there.
        """
        if not depot.address:
            await asyncio.to_thread(nearby.remove, depot.directory / path)
            return
        with _reachable(depot):
            await self._asked().remove(depot.address, f"{depot.root}/{path}", size=size)

    async def set_aside(self, depot: Depot, path: str, why: Mapping[str, str]) -> str | None:
        """Move a file into quarantine on its disk; give where it lies then, None if it was not there.

        Raises
        ------
        NodeUnreachable
        """
        if not depot.address:
            return await asyncio.to_thread(set_aside, _own_root(depot), path, why)
        with _reachable(depot):
            return await self._asked().set_aside(depot.address, depot.root, path, why)

    def _asked(self) -> Courier:
        if self._courier is None:
            raise NoAgent
        return self._courier


class FarGauge:
    """Measures a node's disk on another host, never waiting longer than a deadline; the agent there sums its files."""

    def __init__(self, depot: Depot, courier: Courier | None, clock: Clock, *, every: float) -> None:
        self.depot = depot
        self._clock = clock
        self._every = every
        """Seconds for which a good answer is enough for looking whether the node is well."""
        self._last: tuple[float, Disk] | None = None
        """The last good answer, and when (monotonic) it was given."""
        self.directory = depot.directory
        """As the agent told it last."""
        self.held: int | None = None
        """Bytes below the directory as of the agent's last walk."""
        self.walks = 0
        self._courier = courier
        self._asking: asyncio.Task[Disk | Ill] | None = None
        self._well = True
        """Whether the host answered last time."""

    async def measure(self, *, deadline: float = DEADLINE, fresh: bool = True) -> Disk | Ill:
        """Ask the agent; of a host that did not answer last time nobody waits for the answer.

        Unless the answer has to be `fresh`, because room is promised by it, one of some seconds ago is given again.
        """
        if self._courier is None:
            return Ill(str(NoAgent()))
        if not fresh and self._last and self._clock.monotonic() - self._last[0] < self._every:
            return self._last[1]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(self._courier, deadline), name=f"disk {self.depot.root}")
        done, _ = await asyncio.wait({self._asking}, timeout=deadline if self._well else BRIEF)
        found = self._asking.result() if done else Ill(f"{self.depot.address} does not answer")
        self._well = isinstance(found, Disk)
        self._last = (self._clock.monotonic(), found) if isinstance(found, Disk) else None
        return found

    async def _ask(self, courier: Courier, deadline: float) -> Disk | Ill:
        try:
            told = (await courier.status(self.depot.address, deadline=deadline))["disks"].get(self.depot.root)
            if told is None:
                return Ill(f"the agent at {self.depot.address} has no {self.depot.root}")
            self.directory = Path(told["directory"])
            if "ill" in told:
                return Ill(str(told["ill"]))
            self.held, self.walks = told["held"], int(told["walks"])
            others = {str(room): self._told(figures) for room, figures in told.get("elsewhere", {}).items()}
            return replace(self._told(told), elsewhere=others)
        except Silent as problem:
            return Ill(str(problem))
        except (KeyError, TypeError, ValueError) as problem:
            return Ill(f"the agent at {self.depot.address} makes no sense: {problem!r}")

    def _told(self, figures: Mapping[str, Any]) -> Disk:
        """Read what an agent tells of a disk."""
        device = f"{self.depot.address} {figures['device']}"
        return Disk(int(figures["free"]), int(figures["total"]), device, int(figures["inodes"]))


@contextlib.contextmanager
def _reachable(depot: Depot) -> Iterator[None]:
    """Say in our words that a host cannot be asked."""
    try:
        yield
    except Silent as problem:
        raise NodeUnreachable(depot.directory, str(problem)) from problem


def _own_root(depot: Depot) -> Root:
    """Give a depot of this host as its agent would have it."""
    return Root(depot.root, depot.directory, RECEPTION_ROOMS if depot.root.startswith("reception/") else NODE_ROOMS)
