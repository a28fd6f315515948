"""Assignment: the frames that are due get a node, and the promise is written down before a byte moves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.nodes import Roster
from datatransfer.placement import Plan, Promise, Refusal, Wanted, in_words, need_of, place
from datatransfer.rules import Ruling, decide
from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameKind, FrameState, TransferKind, TransferMode, TransferState
from dbclient.stores import Events, Frames, Inventory, Leases, Products, Rules, Transfers
from terapix.clock import Clock
from terapix.journal import logger
from terapix.sections import Settings
from terapix.steps import reached

log = logger("datatransfer.assignment")

AT_ONCE = 2000
"""Frames looked at in one pass: a whole run. More only where none of them fits anywhere, so that none starves."""
GRUDGE = 300.0
"""Seconds for which a frame keeps away from a node whose disk has just refused it."""


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

    def keep_away(self, frame_id: int, node: str) -> None:
        """Send a frame elsewhere for a while: this node's disk has just refused it."""
        self._refused_by[frame_id, node] = self._clock.monotonic() + GRUDGE

    async def pass_(self) -> Plan:
        """Promise room to every frame that is due, and say at each other frame why it waits."""
        async with self._database.read() as session:
            if not await self._due(session):
                return Plan()
        async with self._database.write() as session:
            await self._roster.hold(session)
            limit = AT_ONCE
            while True:
                frames = {frame.id: frame for frame in await self._due(session, limit)}
                rulings = await self._rulings(session, frames.values())
                plan = await self._plan_by_rules(session, frames, rulings)
                if plan.promises or len(frames) < limit:
                    break
                limit *= 4
            for promise in plan.promises:
                number = promise.wanted.frame_id
                priority = rulings[number].priority
                await self.promise(session, promise, path=frames[number].path or "", priority=priority)
            for ruling, frame in ((ruling, frames[number]) for number, ruling in rulings.items() if ruling.holds):
                await self._hold_back(session, frame, ruling)
            for refusal in plan.refused:
                if frames[refusal.wanted.frame_id].reason != refusal.sentence:
                    await self._let_wait(session, refusal)
        for promise in plan.promises:
            log.info("room promised", frame=promise.wanted.name, node=promise.node, why=promise.why)
        if plan.promises:
            reached("move.promised")
        return plan

    async def hold(self, session: AsyncSession) -> None:
        """Let nobody else promise room until this transaction has ended."""
        await self._roster.hold(session)

    async def _rulings(self, session: AsyncSession, frames: Iterable[FrameRecord]) -> dict[int, Ruling]:
        """Say by which rule each frame goes, in the order in which they are to go."""
        rules = await Rules().all(session)
        found = [(frame.id, decide(rules, frame)) for frame in frames]
        return dict(sorted(found, key=lambda pair: -pair[1].priority))

    async def _plan_by_rules(
        self, session: AsyncSession, frames: Mapping[int, FrameRecord], rulings: Mapping[int, Ruling]
    ) -> Plan:
        go = [frames[number] for number, ruling in rulings.items() if not ruling.holds]
        wanted = [
            replace(item, policy=ruling.policy, pinned=ruling.node, pinned_by=ruling.by)
            for item in await self.wanted(session, go)
            if (ruling := rulings[item.frame_id])
        ]
        rooms, disks = await self._roster.rooms(session)
        return place(wanted, rooms, disks, self._settings.policy)

    async def _hold_back(self, session: AsyncSession, frame: FrameRecord, ruling: Ruling) -> None:
        """Say at a frame which rule keeps it at reception."""
        reason = f"{ruling.by} keeps it at reception: terapix transfer sends it to a node"
        if frame.reason != reason:
            await self._wait(session, frame.id, reason)

    async def promise(
        self,
        session: AsyncSession,
        promise: Promise,
        *,
        path: str,
        kind: TransferKind = TransferKind.MOVE,
        mode: TransferMode = TransferMode.AUTOMATIC,
        priority: int = 0,
        origin_id: int | None = None,
    ) -> int:
        """Write a promise down: a lease and a transfer; return the transfer.

        Parameters
        ----------
        path : where it lies, for people
        origin_id : the node it comes from; none: the reception
        """
        now = self._clock.now()
        need = promise.wanted.need
        await Leases().promise(
            session,
            frame_id=promise.wanted.frame_id,
            node_id=promise.node_id,
            frame_bytes=need.frame,
            product_bytes=need.products,
            scratch_bytes=need.scratch,
            now=now,
        )
        transfer = await Transfers().begin(
            session,
            frame_id=promise.wanted.frame_id,
            kind=kind,
            source=path,
            origin_id=origin_id,
            node_id=promise.node_id,
            mode=mode,
            priority=priority,
            bytes_total=need.frame,
            state=TransferState.PROMISED,
            now=now,
        )
        await Events().append(
            session,
            source=self._source,
            kind="promised",
            message=f"{promise.wanted.name} is promised {in_words(need.total)} on {promise.node}: {promise.why}",
            frame_id=promise.wanted.frame_id,
            node_id=promise.node_id,
            now=now,
        )
        return transfer

    async def plan(self, session: AsyncSession, frames: Sequence[FrameRecord], *, node: str | None = None) -> Plan:
        """Decide where frames go, within the transaction that writes it down; `node` is the only one that will do."""
        wanted = await self.wanted(session, frames, node=node)
        rooms, disks = await self._roster.rooms(session)
        return place(wanted, rooms, disks, self._settings.policy)

    async def wanted(
        self, session: AsyncSession, frames: Sequence[FrameRecord], *, node: str | None = None
    ) -> list[Wanted]:
        """Say what each frame needs."""
        growth = await Products().growth(session)
        sizes: dict[str, int] = {}
        for name in sorted({name for frame in frames for name in (frame.flat, frame.mask) if name}):
            calibration = await Frames().named(session, name)
            sizes[name] = calibration.size or 0 if calibration else 0
        now = self._clock.monotonic()
        self._refused_by = {key: until for key, until in self._refused_by.items() if until > now}
        return [
            Wanted(
                frame_id=frame.id,
                name=frame.name,
                runid=frame.runid,
                need=need_of(frame.needs, frame.size, growth=growth, compression=self._settings.compression),
                calibrations=tuple((name, sizes[name]) for name in (frame.flat, frame.mask) if name),
                pinned=node,
                avoid=frozenset(place for frame_id, place in self._refused_by if frame_id == frame.id),
            )
            for frame in frames
        ]

    async def _due(self, session: AsyncSession, limit: int = 1) -> list[FrameRecord]:
        """Give valid frames that nobody moves yet, `limit` of them if there are as many."""
        moving = await Inventory().open_moves(session)
        frames = await Frames().due(
            session, FrameState.VALID, now=self._clock.now(), limit=limit + len(moving), kinds=(FrameKind.OBJECT,)
        )
        return [frame for frame in frames if frame.id not in moving][:limit]

    async def _let_wait(self, session: AsyncSession, refusal: Refusal) -> None:
        log.info("frame waits for room", frame=refusal.wanted.name, needed=refusal.needed, largest=refusal.largest)
        await self._wait(session, refusal.wanted.frame_id, refusal.sentence)

    async def _wait(self, session: AsyncSession, frame_id: int, reason: str) -> None:
        await Frames().wait(
            session,
            frame_id,
            reason=reason,
            retry_at=None,
            now=self._clock.now(),
            source=self._source,
            count=False,
        )
