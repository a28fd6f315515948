"""Assignment: the frames that are due get a node, and the promise is written down before a byte moves."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.growth import Growth, need_of
from datatransfer.nodes import Roster
from datatransfer.placement import Plan, Promise, Wanted, group_of, place
from datatransfer.relocation import Facts
from datatransfer.rules import Ruling, decide
from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameKind, FrameState, TransferKind, TransferMode
from dbclient.stores import Cargo, Events, Frames, Growths, Inventory, Leases, Nodes, Rules, Transfers
from terapix.clock import Clock
from terapix.hosts import DatatransferSection
from terapix.journal import logger
from terapix.quantities import in_words
from terapix.sections import Settings
from terapix.steps import reached

log = logger("datatransfer.assignment")

AT_ONCE = 2000
"""Frames looked at in one pass: a whole run. More only where none of them fits anywhere, so that none starves."""
NEEDS = "needs "
"""How the reason of a frame begins that waits for room, as `datatransfer.placement.Refusal` words it."""
GRUDGE = 300.0
"""Seconds for which a frame keeps away from a node whose disk has just refused it."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a promised frame gets to its node: columns of the transfer."""

    source: str
    """Where it lies, for people."""
    kind: TransferKind = TransferKind.MOVE
    mode: TransferMode = TransferMode.AUTOMATIC
    priority: int = 0
    """Its lane."""
    origin_id: int | None = None
    """The node it comes from; none: the reception."""

    @property
    def columns(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Assignment:
    """Promises room on nodes to frames."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, roster: Roster, *, source: str) -> None:
        self._database = database
        self._settings = settings.datatransfer
        self._clock = clock
        self._roster = roster
        self._source = source
        self._refused_by: dict[tuple[int, str], float] = {}
        """Until when (monotonic) a frame keeps away from a node."""

    def keep_away(self, frame_id: int, node: str, seconds: float = GRUDGE) -> None:
        """Send a frame elsewhere for a while: this node has just refused it, or did not answer."""
        self._refused_by[frame_id, node] = self._clock.monotonic() + seconds

    async def pass_(self) -> Plan:
        """Promise room to every frame that is due, and say at each other frame why it waits."""
        async with self._database.read() as session:
            if not await self._due(session):
                return Plan()
        async with self._database.write() as session:
            plan = await self.promise_due(session)
        for promise in plan.promises:
            log.info("room promised", frame=promise.wanted.name, node=promise.node, why=promise.why)
        if plan.promises:
            reached("move.promised")
        return plan

    async def promise_due(self, session: AsyncSession) -> Plan:
        """Decide on what is due and write it down, in a transaction that lets nobody else promise meanwhile."""
        await self._roster.hold(session)
        limit = AT_ONCE
        while True:
            frames = {frame.id: frame for frame in await self._due(session, limit)}
            rulings = await rulings_of(session, frames.values())
            plan = await self._plan_by_rules(session, frames, rulings)
            if plan.promises or len(frames) < limit:
                break
            limit *= 4
        ways = {number: Way(frames[number].path or "", priority=rulings[number].priority) for number in frames}
        await self.promise(session, plan.promises, ways)
        await self._let_wait(session, plan, frames, rulings)
        return plan

    async def hold(self, session: AsyncSession) -> None:
        """Let nobody else promise room until this transaction has ended."""
        await self._roster.hold(session)

    async def _plan_by_rules(
        self, session: AsyncSession, frames: Mapping[int, FrameRecord], rulings: Mapping[int, Ruling]
    ) -> Plan:
        go = [frames[number] for number, ruling in rulings.items() if not ruling.holds]
        return await self._place(session, ruled(await self.wanted(session, go), rulings), frames)

    async def promise(self, session: AsyncSession, promises: Sequence[Promise], ways: Mapping[int, Way]) -> None:
        """Write promises down, set by set: a lease, a transfer and an event for each.

        Parameters
        ----------
        ways : how each frame gets there, by frame row
        """
        now = self._clock.now()
        needs = [(promise.wanted.frame_id, promise.node_id, promise.wanted.need) for promise in promises]
        rooms = [(frame, node, need.frame, need.products, need.scratch) for frame, node, need in needs]
        await Leases().promise_all(session, rooms, now=now)
        moves = [
            {"frame_id": frame, "node_id": node, "bytes_total": need.frame, **ways[frame].columns}
            for frame, node, need in needs
        ]
        await Transfers().promise_all(session, moves, now=now)
        told = [
            (
                f"{each.wanted.name} is promised {in_words(each.wanted.need.total)} on {each.node}: {each.why}",
                each.wanted.frame_id,
                each.node_id,
            )
            for each in promises
        ]
        await Events().append_all(session, told, source=self._source, kind="promised", now=now)

    async def plan(self, session: AsyncSession, frames: Sequence[FrameRecord], *, node: str | None = None) -> Plan:
        """Decide where frames go, within the transaction that writes it down; `node` is the only one that will do."""
        wanted = await self.wanted(session, frames, node=node)
        return await self._place(session, wanted, {frame.id: frame for frame in frames})

    async def _place(self, session: AsyncSession, wanted: Sequence[Wanted], frames: Mapping[int, FrameRecord]) -> Plan:
        policy = self._settings.policy
        kept = [frames[item.frame_id] for item in wanted if (item.policy or policy) == "together"]
        rooms, disks = await self._roster.rooms(session, kept)
        return place(wanted, rooms, disks, policy)

    async def wanted(
        self, session: AsyncSession, frames: Sequence[FrameRecord], *, node: str | None = None
    ) -> list[Wanted]:
        """Say what each frame needs, and which nodes it keeps away from."""
        now = self._clock.monotonic()
        self._refused_by = {key: until for key, until in self._refused_by.items() if until > now}
        avoid: dict[int, set[str]] = {}
        for frame_id, name in self._refused_by:
            avoid.setdefault(frame_id, set()).add(name)
        return await wanted_of(session, frames, self._settings, node=node, avoid=avoid)

    async def facts(self, session: AsyncSession, cargoes: Sequence[Cargo]) -> Facts:
        """Give what relocations are decided on, within the transaction that writes them down."""
        frames = list({cargo.frame.id: cargo.frame for cargo in cargoes}.values())
        wanted = {item.frame_id: item for item in await self.wanted(session, frames)}
        rooms, disks = await self._roster.rooms(session, frames)
        nodes = {node.id: node.name for node in await Nodes().all(session)}
        return Facts(nodes, wanted, rooms, disks, self._settings.policy)

    async def _due(self, session: AsyncSession, limit: int = 1) -> list[FrameRecord]:
        """Give valid frames that nobody moves yet, `limit` of them if there are as many."""
        moving = await Inventory().open_moves(session)
        frames = await Frames().due(
            session, FrameState.VALID, now=self._clock.now(), limit=limit + len(moving), kinds=(FrameKind.OBJECT,)
        )
        return [frame for frame in frames if frame.id not in moving][:limit]

    async def _let_wait(
        self, session: AsyncSession, plan: Plan, frames: Mapping[int, FrameRecord], rulings: Mapping[int, Ruling]
    ) -> None:
        """Write down why each frame waits; the history tells of the first reason only, not of each byte more."""
        told = {refusal.wanted.frame_id: refusal.sentence for refusal in plan.refused}
        told |= {
            number: f"{ruling.by} keeps it at reception: terapix transfer sends it to a node"
            for number, ruling in rulings.items()
            if ruling.holds
        }
        reasons = {number: reason for number, reason in told.items() if frames[number].reason != reason}
        newly = [
            frames[number]
            for number, reason in reasons.items()
            if not (reason.startswith(NEEDS) and (frames[number].reason or "").startswith(NEEDS))
        ]
        await Frames().wait_for_room(session, reasons, newly=newly, now=self._clock.now(), source=self._source)
        for frame in newly:
            log.info("frame waits at reception", frame=frame.name, reason=reasons[frame.id])


async def wanted_of(
    session: AsyncSession,
    frames: Sequence[FrameRecord],
    section: DatatransferSection,
    *,
    node: str | None = None,
    avoid: Mapping[int, Collection[str]] | None = None,
) -> list[Wanted]:
    """Say what each frame needs, by its header and by what was written of late of frames of its instrument.

    Parameters
    ----------
    node : the only one that will do; none: any
    avoid : nodes that each frame keeps away from, by frame row
    """
    growth = Growth.of(await Growths().measured(session))
    names = sorted({name for frame in frames for name in (frame.flat, frame.mask) if name})
    sizes: dict[str, int] = {}
    for calibration in await Frames().of_names(session, names):
        sizes.setdefault(calibration.name, calibration.size or 0)
    return [
        Wanted(
            frame_id=frame.id,
            name=frame.name,
            runid=frame.runid,
            need=need_of(
                frame.needs, frame.size, growth=growth.shares(frame.instrument), compression=section.compression
            ),
            calibrations=tuple((name, sizes.get(name, 0)) for name in (frame.flat, frame.mask) if name),
            pinned=node,
            avoid=frozenset((avoid or {}).get(frame.id, ())),
            group=group_of(frame, section.keep),
        )
        for frame in frames
    ]


async def rulings_of(session: AsyncSession, frames: Iterable[FrameRecord]) -> dict[int, Ruling]:
    """Say by which rule each frame goes, in the order in which they are to go."""
    rules = await Rules().all(session)
    found = [(frame.id, decide(rules, frame)) for frame in frames]
    return dict(sorted(found, key=lambda pair: -pair[1].priority))


def ruled(wanted: Iterable[Wanted], rulings: Mapping[int, Ruling]) -> list[Wanted]:
    """Give each frame the policy or the node that its rule says."""
    return [
        replace(item, policy=ruling.policy, pinned=ruling.node, pinned_by=ruling.by)
        for item in wanted
        if (ruling := rulings[item.frame_id])
    ]
