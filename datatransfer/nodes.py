"""The nodes as they are: registered from the settings, measured on every pass, down when their directory is gone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.depots import Depot, Depots, FarGauge
from datatransfer.disks import Disk, Gauge, Ill, furnish
from datatransfer.errors import NodeUnreachable
from datatransfer.homecoming import Homecoming, Verdict
from datatransfer.placement import Room
from datatransfer.rooms import groups_of, rooms_of, speeds_of
from dbclient.database import Database
from dbclient.records import FrameRecord, NodeRecord
from dbclient.schema import NodeState
from dbclient.stores import Inventory, Jobs, Nodes, Stocks
from terapix.clock import Clock
from terapix.hosts import DatatransferSection, NodeSection
from terapix.journal import logger
from terapix.sections import Settings

log = logger("datatransfer.nodes")

STALE = timedelta(seconds=60)
"""An unchanged measurement is written again after so long, so that a page can tell a live node from a silent one."""
NOTABLE = 0.001
"""Share of its capacity by which a node's figures must differ to be written at once: each write wakes every daemon."""
WALK = 60.0
"""Seconds between two walks over a node's files at least; between them, the database's sums are kept up to date."""
BRIEFLY = 2.0
"""Seconds that a pass waits for what it can also learn at the next one."""
DRAINING = " (it was draining)"
"""Written behind the reason of a node that went down while it drained, so that it drains on when it is back."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A node and its disk, measured in this pass."""

    node: NodeRecord
    disk: Disk
    depot: Depot


class Roster:
    """Knows every node, on this host and on others, and how it is."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        depots: Depots,
        *,
        source: str,
        only: frozenset[str] | None = None,
    ) -> None:
        self._only = only
        """Names of the nodes to answer for; none: all."""
        self._database = database
        self._settings = settings
        self._clock = clock
        self._depots = depots
        self._source = source
        self._homecoming = Homecoming(database, clock, depots, source=source)
        self._audits: dict[str, asyncio.Task[Verdict]] = {}
        """Nodes that are back and are being compared with the database."""
        self._nodes = Nodes()
        self._inventory = Inventory()
        self._stocks = Stocks()
        self._gauges: dict[str, Gauge | FarGauge] = {}
        self._untracked: dict[str, tuple[int, int]] = {}
        """By node: number of the last walk, and the bytes it found beyond those the database knows."""
        self.standings: dict[str, Standing] = {}
        """Nodes whose disk answered in this pass, by name."""

    async def register(self) -> None:
        """Write the nodes of the settings down; the directories of new ones are made."""
        for section in self._settings.nodes:
            depot = self._depots.of_section(section)
            async with self._database.read() as session:
                known = await self._nodes.named(session, section.name)
            if not depot.address and (known is None or Path(known.directory) != depot.directory):
                await _furnish(depot.directory)
            gauge = self._gauge(section.name, depot)
            disk = await gauge.measure()
            silent = bool(depot.address and known and not isinstance(disk, Disk))
            directory = Path(known.directory) if known and silent else gauge.directory
            capacity = section.capacity or (
                disk.total_of_all if isinstance(disk, Disk) else known.capacity if known else 0
            )
            facts = (str(directory), section.address or None, capacity, section.reserve)
            if known and (known.directory, known.address, known.capacity, known.reserve) == facts:
                continue
            async with self._database.write() as session:
                await self._nodes.upsert(
                    session,
                    name=section.name,
                    directory=str(directory),
                    capacity=capacity,
                    reserve=section.reserve,
                    address=section.address or None,
                    now=self._clock.now(),
                )
            log.info("node registered", node=section.name, directory=str(directory), capacity=capacity)

    async def look(self) -> None:
        """Measure every node; one whose directory is gone goes down with the reason, and up again when it is back."""
        async with self._database.read() as session:
            nodes = [node for node in await self._nodes.all(session) if node.state is not NodeState.REMOVED]
            held = await self._stocks.bytes(session)
            many = await self._stocks.many(session)
        if many:
            async with self._database.write() as session:
                await self._stocks.add_up(session)
        mine = [node for node in nodes if self._only is None or node.name in self._only]
        disks = await asyncio.gather(*(self._gauge(n.name, self._depots.of_node(n)).measure(fresh=False) for n in mine))
        self.standings = {}
        for node, disk in zip(mine, disks, strict=True):
            if isinstance(disk, Ill):
                await self._down(node, disk.reason)
            else:
                await self._up(node, disk, self._used(node, held.get(node.id, 0)))

    async def hold(self, session: AsyncSession) -> None:
        """Let nobody else promise room until this transaction has ended."""
        await self._nodes.hold(session)

    async def rooms(self, session: AsyncSession, kept: Sequence[FrameRecord]) -> tuple[list[Room], dict[str, int]]:
        """Give what each node and each disk can still promise, within the transaction that will promise it.

        Of the frames that are `kept` together with others, it is told where these are.
        Leases are read first and the disks after them: what is settled between
        the two counts twice, and never not at all.
        """
        section = self._settings.datatransfer
        nodes = await self._nodes.room(session, lock=True, runs=False)
        held = await self._stocks.bytes(session)
        names = {row.name: row for row in await self._nodes.all(session)}
        answering = [name for name in self.standings if name in names]
        found = await asyncio.gather(
            *(self._gauge(name, self.standings[name].depot).measure(deadline=BRIEFLY) for name in answering)
        )
        disks = {name: disk.described for name, disk in zip(answering, found, strict=True) if isinstance(disk, Disk)}
        return rooms_of(
            nodes,
            disks,
            used={row.id: self._used(row, held.get(row.id, 0)) for row in names.values()},
            groups=await groups_wanted(session, kept, section),
            calibrations=await self._inventory.calibrations(session),
            owned=await self._inventory.calibrations_held(session),
            speeds=await speeds_wanted(session, self._settings.nodes, section),
        )

    def depot(self, name: str) -> Depot | None:
        """Where the files of a node lie that answers; none otherwise."""
        standing = self.standings.get(name)
        return standing.depot if standing else None

    def _gauge(self, name: str, depot: Depot) -> Gauge | FarGauge:
        gauge = self._gauges.get(name)
        known = (gauge.depot.address if isinstance(gauge, FarGauge) else "") if gauge else None
        if gauge is None or known != depot.address or (not known and gauge.directory != depot.directory):
            gauge = self._depots.gauge(depot, walk_every=max(self._settings.datatransfer.interval, WALK))
            self._gauges[name] = gauge
        return gauge

    def _used(self, node: NodeRecord, held: int) -> int:
        """Give the bytes held: what the database knows at this moment, and what the last walk found beside it."""
        gauge = self._gauges.get(node.name)
        if gauge is None or gauge.held is None:
            return held
        walk, untracked = self._untracked.get(node.name, (0, 0))
        if walk != gauge.walks:
            untracked = max(0, gauge.held - held)
            self._untracked[node.name] = (gauge.walks, untracked)
        return held + untracked

    async def _down(self, node: NodeRecord, reason: str) -> None:
        if node.state is NodeState.DRAINING:
            reason += DRAINING
        if node.state is NodeState.MISSING:
            return  # it is more than down, until it answers
        if node.state is NodeState.DOWN and (node.reason or "").removesuffix(DRAINING) == reason:
            return
        if node.state is NodeState.DOWN and (node.reason or "").endswith(DRAINING):
            reason += DRAINING
        log.warning("node is down", node=node.name, reason=reason)
        async with self._database.write() as session:
            await self._nodes.set_state(
                session, node.name, NodeState.DOWN, reason=reason, now=self._clock.now(), source=self._source
            )

    async def _up(self, node: NodeRecord, disk: Disk, used: int) -> None:
        now = self._clock.now()
        state = node.state
        depot = self._depots.of_node(node)
        if not state.answers:
            if not await self._audited(node):
                return
            drained = (node.reason or "").endswith(DRAINING)
            state = NodeState.DRAINING if drained else NodeState.UP
            log.info("node is back", node=node.name, state=state.value)
            async with self._database.write() as session:
                await self._nodes.set_state(
                    session,
                    node.name,
                    state,
                    reason="drained by an operator" if drained else None,
                    now=now,
                    source=self._source,
                )
        node = await self._as_told(node, disk)
        free = max(0, min(node.capacity - used, disk.free_in_all))
        differs = max(abs(free - node.free), abs(used - node.used)) > NOTABLE * max(node.capacity, 1)
        if differs or node.seen_at is None or now - node.seen_at > STALE:
            async with self._database.write() as session:
                disks = disk.described
                await self._nodes.measure(session, node.name, used=used, free=free, disks=disks, now=now)
        self.standings[node.name] = Standing(replace(node, state=state, used=used, free=free), disk, depot)

    async def _as_told(self, node: NodeRecord, disk: Disk) -> NodeRecord:
        """Write down what only the agent of another host could tell of a node: its directory, and its whole disk."""
        directory = str(self._gauges[node.name].directory)
        if node.capacity and node.directory == directory:
            return node
        capacity = node.capacity or disk.total_of_all
        async with self._database.write() as session:
            await self._nodes.upsert(
                session,
                name=node.name,
                directory=directory,
                capacity=capacity,
                reserve=node.reserve,
                address=node.address,
                now=self._clock.now(),
            )
        return replace(node, directory=directory, capacity=capacity)

    async def _audited(self, node: NodeRecord) -> bool:
        """Tell whether a node that is back has been compared with the database; if it takes long, beside the passes."""
        audit = self._audits.get(node.name)
        if audit is None:
            audit = self._audits[node.name] = asyncio.create_task(self._homecoming.receive(node))
        await asyncio.wait({audit}, timeout=BRIEFLY)
        if not audit.done():
            return False
        del self._audits[node.name]
        try:
            verdict = audit.result()
        except NodeUnreachable as problem:
            log.warning("node went away again while it was compared", node=node.name, problem=str(problem))
            return False
        log.info("node was compared with the database", node=node.name, verdict=verdict.sentence)
        return True


async def _furnish(directory: Path) -> None:
    try:
        await asyncio.to_thread(furnish, directory)
    except OSError as problem:
        log.warning("a node's directory cannot be made", directory=str(directory), problem=str(problem))


async def groups_wanted(
    session: AsyncSession, frames: Sequence[FrameRecord], section: DatatransferSection
) -> dict[int, dict[str, int]]:
    """Count, by node row, the frames with which these are to be kept together."""
    if not frames:
        return {}
    column = {"run": "runid", "field": "object", "filter": "filter"}[section.keep]
    names = {getattr(frame, column) for frame in frames}
    return groups_of(await Inventory().company(session, section.keep, names), section.keep)


async def speeds_wanted(
    session: AsyncSession, sections: Sequence[NodeSection], section: DatatransferSection
) -> dict[str, float]:
    """Give the weight of each node, if they are weighed at all."""
    if not section.by_speed:
        return {}
    names = {node.id: node.name for node in await Nodes().all(session)}
    seconds = await Jobs().seconds(session)
    return speeds_of(sections, {names[node]: each for node, each in seconds.items() if node in names})
