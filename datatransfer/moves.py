"""Moves: promised frames are carried to their nodes, a few at a time, and recorded in one transaction."""

import asyncio
import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.assignment import GRUDGE
from datatransfer.custody import Custody
from datatransfer.depots import Depot, Depots, Freight
from datatransfer.errands import Errand, Errands
from datatransfer.errors import LinkBroken, MoveError, NodeUnreachable, Stopped
from datatransfer.lanes import in_order
from datatransfer.lifecycle import Act, Broken, Claimed, Happening, Interrupted, Recorded, Withdrawn, advance
from datatransfer.mover import Carried
from datatransfer.nodes import Roster
from datatransfer.resting import Resting
from datatransfer.traffic import Traffic
from dbclient.database import Database
from dbclient.records import FrameRecord, TransferRecord
from dbclient.schema import FrameState, JobState, ReplicaState, TransferMode, TransferState
from dbclient.stores import Cargoes, Events, Frames, Jobs, Leases, Nodes, Replicas, Transfers
from dbclient.stores.cargoes import ON_NODES
from dbclient.stores.transfers import TO_NODES
from terapix.clock import Clock
from terapix.journal import logger
from terapix.retry import Backoff
from terapix.sections import Settings
from terapix.steps import reached

log = logger("datatransfer.moves")

TRIES = Backoff(first=5.0, factor=3.0, ceiling=900.0, attempts=6)
"""A frame that cannot be moved is tried again for about half an hour, then waits for an operator."""
GONE = 30.0
"""Seconds between two looks for a frame whose reception disk is gone."""
SILENT = 15.0
"""Seconds for which a frame keeps away from a node that did not answer, or whose disk could not be written."""
TELL_EVERY = 1.0
"""Seconds between two writings of a move's progress; each wakes the daemons that watch the database."""
HOW = {
    "linked": "renamed on one disk",
    "copied": "copied with its digest verified",
    "brought": "brought from host to host with its digest verified",
    "found": "where an earlier attempt had brought it",
}


class Moves:
    """Carries promised frames to their nodes."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        roster: Roster,
        depots: Depots,
        settings: Settings,
        *,
        keep_away: Callable[[int, str, float], None],
        source: str,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._roster = roster
        self._depots = depots
        self._errands = Errands(roster, depots)
        self._traffic = Traffic(depots, roster, clock, limits=settings.datatransfer.limits)
        self._keep_away = keep_away
        self._source = source
        self._frames = Frames()
        self._transfers = Transfers()
        self._replicas = Replicas()
        self._leases = Leases()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._files: dict[int, str] = {}
        self._halts: dict[int, threading.Event] = {}
        """By transfer under way: what tells it to stop."""
        self._resting = Resting(clock)
        self._stop = threading.Event()
        self._custody = Custody(database, clock, depots, self._errands)
        self.paused = 0
        """Transfers that operators have paused, as of the last pass."""

    @property
    def under_way(self) -> frozenset[int]:
        """Transfers that this process carries now."""
        return frozenset(self._under_way)

    async def pass_(self, *, paused: Collection[TransferMode] = ()) -> None:
        """Start as many promised moves as may run at once, and take up what a dead process has left running.

        Parameters
        ----------
        paused : modes of which nothing begins
        """
        await self._traffic.look()
        await self._obey_pauses()
        if self._stop.is_set() or len(self._under_way) >= self._settings.datatransfer.moves:
            return
        async with self._database.read() as session:
            names = {node.id: node.name for node in await Nodes().all(session)}
            left = await self._transfers.running(session, *TO_NODES)
            promised = [t for t in await self._transfers.promised(session) if t.paused_at is None]
            waiting = [t for t in left if t.node_id] + in_order(promised)
        for transfer in waiting:
            if len(self._under_way) >= self._settings.datatransfer.moves:
                return
            if transfer.id in self._under_way or transfer.id in self._resting or transfer.mode in paused:
                continue
            link = self._traffic.link_of(transfer, names)
            if self._traffic.is_full(link):
                continue
            errand = await self._claim(transfer)
            if errand:
                await self._traffic.begin(transfer.id, link, errand.freight)
                self._files[transfer.id] = errand.name
                self._under_way[transfer.id] = asyncio.create_task(self._run(errand), name=f"move {errand.frame.name}")

    async def _obey_pauses(self) -> None:
        """Stop what operators have paused, and look after what is kept of it."""
        async with self._database.read() as session:
            asked = [t for t in await self._transfers.running(session, *TO_NODES) if t.paused_at is not None]
            held = [t for t in await self._transfers.stopped(session) if t.paused_at is not None]
        for transfer in asked:
            if (halt := self._halts.get(transfer.id)) is not None:
                halt.set()
        self.paused = len(asked) + len(held)
        for transfer, why in await self._custody.look(held):
            async with self._database.write() as session:
                frame = await self._frames.get(session, transfer.frame_id)
                await self._end(session, transfer, frame, Withdrawn(), why)

    @property
    def files(self) -> frozenset[str]:
        """Names of the files that are being moved now."""
        return frozenset(self._files.values())

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way.values())

    async def close(self) -> None:
        """Stop what is under way within a block; its room stays promised and it goes on at the next start."""
        self._stop.set()
        for halt in self._halts.values():
            halt.set()
        await self.settled()

    async def _claim(self, transfer: TransferRecord) -> Errand | None:
        """Take a move on, or withdraw it when it has lost its sense."""
        async with self._database.write() as session:
            held = await self._transfers.get(session, transfer.id)
            if held.state not in {TransferState.PROMISED, TransferState.RUNNING}:
                return None
            if held.paused_at is not None:  # a mover died that was about to stop, or an operator was faster
                await self._transfers.renew(session, held.id, kept=held.kept or 0)
                return None
            frame = await self._frames.get(session, held.frame_id)
            try:
                errand = await self._errands.of(session, held, frame)
            except MoveError as problem:
                await self._end(session, held, frame, Broken(counts=problem.counts), str(problem), rest=GONE)
                return None
            if isinstance(errand, str):
                await self._end(session, held, frame, Withdrawn(), errand)
                return None
            if held.state is TransferState.PROMISED:
                advance(held.state, Claimed())
                await self._transfers.start(session, held.id, now=self._clock.now())
        reached("move.claimed")
        log.info("frame is moving", frame=frame.name, node=errand.node, bytes=errand.size)
        return errand

    async def _run(self, errand: Errand) -> None:
        done, begin = 0, self._clock.monotonic()

        def progress(count: int) -> None:
            nonlocal done
            done = count

        try:
            carrying = asyncio.ensure_future(self._carry(errand, progress))
            told = 0
            while not (await asyncio.wait({carrying}, timeout=TELL_EVERY))[0]:
                if done != told:
                    told = done
                    await self._tell(errand, told, self._clock.monotonic() - begin)
            try:
                carried = carrying.result()
            except Stopped as problem:
                await self._settle(errand, Interrupted(), str(problem), kept=done)
            except LinkBroken as problem:
                self._resting.add(errand.transfer)
                self._traffic.end(errand.transfer, broken=True)
                await self._settle(errand, Interrupted(), str(problem), kept=done)
            except MoveError as problem:
                if not problem.counts:
                    self._keep_away(errand.frame.id, errand.node, _grudge(problem))
                await self._settle(errand, Broken(counts=problem.counts), str(problem))
            else:
                self._resting.forget(errand.transfer)
                await self._record(errand, carried, self._clock.monotonic() - begin)
        except Exception:
            log.exception("move broke off; the next pass takes it up", frame=errand.frame.name, node=errand.node)
        finally:
            self._traffic.end(errand.transfer)
            self._files.pop(errand.transfer, None)
            self._halts.pop(errand.transfer, None)
            self._under_way.pop(errand.transfer, None)

    async def _carry(self, errand: Errand, progress: Callable[[int], None]) -> Carried:
        """Bring all files over, the frame's own last; what was brought is removed when another one cannot be."""
        before = 0
        brought: list[Freight] = []
        halt = self._halts.setdefault(errand.transfer, threading.Event())
        if self._stop.is_set():
            halt.set()
        try:
            for freight in errand.freights:
                kept = min(max(0, errand.kept - before), freight.size)
                carried = await self._depots.carry(
                    replace(freight, kept=kept),
                    progress=partial(_behind, before, progress),
                    stop=halt,
                )
                brought.append(freight)
                before += freight.size
        except (Stopped, LinkBroken):
            raise
        except MoveError:
            for freight in brought:
                await self._remove(freight.target, freight.path, freight.size)
            raise
        return carried

    async def _tell(self, errand: Errand, done: int, seconds: float) -> None:
        async with self._database.write() as session:
            await self._transfers.progress(session, errand.transfer, done=done, rate=done / max(seconds, 1e-3))

    async def _record(self, errand: Errand, carried: Carried, seconds: float) -> None:
        """Write replica, transfer, lease and frame in one transaction; the source goes after it."""
        now = self._clock.now()
        async with self._database.write() as session:
            transfer = await self._transfers.get(session, errand.transfer)
            frame = await self._frames.get(session, errand.frame.id)
            refusal = await self._objection(session, errand, transfer, frame)
            if refusal is None:
                advance(transfer.state, Recorded())
                await self._replicas.hold(
                    session,
                    frame_id=frame.id,
                    node_id=errand.node_id,
                    path=errand.freight.path,
                    size=carried.size,
                    digest=errand.freight.digest,
                    now=now,
                )
                await self._transfers.progress(
                    session, errand.transfer, done=errand.size, rate=errand.size / max(seconds, 1e-3)
                )
                await self._transfers.end(session, errand.transfer, TransferState.DONE, now=now)
                done = errand.copies or (frame.state is not FrameState.PLACED and errand.replica is not None)
                await self._leases.settle(session, frame.id, errand.node_id, frame=True, products=done, now=now)
                await self._say_where(session, errand, carried)
            elif transfer.state is TransferState.RUNNING:
                await self._end(session, transfer, frame, Withdrawn(), refusal or "")
        if refusal is not None:
            for freight in errand.freights:
                await self._remove(freight.target, freight.path, freight.size)
            log.warning("move was withdrawn", frame=errand.frame.name, node=errand.node, reason=refusal)
            return
        reached("move.recorded")
        for freight in () if errand.copies else errand.freights:
            await self._remove(freight.source, freight.origin, freight.size)
        log.info("frame placed", frame=frame.name, node=errand.node, how=carried.how, seconds=round(seconds, 3))

    async def _remove(self, depot: Depot, path: str, size: int) -> None:
        """Remove what is not needed any more; the audit does it where the host does not answer now."""
        try:
            await self._depots.remove(depot, path, size=size)
        except MoveError as problem:
            log.warning("file could not be removed; the audit will do it", root=depot.root, path=path, why=str(problem))

    async def _objection(
        self, session: AsyncSession, errand: Errand, transfer: TransferRecord, frame: FrameRecord
    ) -> str | None:
        """Say why what was carried may not be recorded: the world has moved on meanwhile."""
        if transfer.state is not TransferState.RUNNING:
            return "it was withdrawn"
        if errand.copies:
            return None if frame.state in ON_NODES else f"the frame is {frame.state.value} now"
        if frame.state is not errand.frame.state:
            return f"the frame is {frame.state.value} now"
        if errand.replica is None:
            return None
        cargo = await Cargoes().of_frame(session, frame.id, errand.replica.node_id)
        if cargo is None:
            return "what it came from is not good any more"
        if cargo.products != errand.products:
            return "its products are others now"
        running = [job for job in await Jobs().of_frame(session, frame.id) if job.state is JobState.RUNNING]
        return "its job began where it lay" if running else None

    async def _say_where(self, session: AsyncSession, errand: Errand, carried: Carried) -> None:
        now = self._clock.now()
        if errand.replica is None:
            await self._frames.advance(
                session,
                errand.frame.id,
                FrameState.PLACED,
                now=now,
                source=self._source,
                message=f"is on {errand.node}, {HOW[carried.how]}",
                event="placed",
                path=None,
                disk=None,
            )
            await Jobs().rehome(session, errand.frame.id, errand.node_id)
            return
        if not errand.copies:
            await self._replicas.mark(session, errand.replica.id, ReplicaState.GONE)
            await Cargoes().follow(session, errand.products, errand.node_id)
            await Jobs().rehome(session, errand.frame.id, errand.node_id)
            await self._leases.settle(
                session, errand.frame.id, errand.replica.node_id, frame=True, products=True, now=now
            )
        along = f" with {len(errand.products)} products" if errand.products else ""
        word = f"is on {errand.node} as well as on" if errand.copies else f"is on {errand.node}{along}, and no more on"
        await Events().append(
            session,
            source=self._source,
            kind="copied" if errand.copies else "moved",
            message=f"{errand.frame.name} {word} {errand.origin}, {HOW[carried.how]}",
            frame_id=errand.frame.id,
            node_id=errand.node_id,
            now=now,
        )

    async def _settle(self, errand: Errand, event: Happening, reason: str, *, kept: int = 0) -> None:
        async with self._database.write() as session:
            transfer = await self._transfers.get(session, errand.transfer)
            frame = await self._frames.get(session, errand.frame.id)
            if transfer.state is TransferState.RUNNING:
                await self._end(session, transfer, frame, event, reason, kept=kept)

    async def _end(
        self,
        session: AsyncSession,
        transfer: TransferRecord,
        frame: FrameRecord,
        event: Happening,
        reason: str,
        *,
        rest: float = 0.0,
        kept: int = 0,
    ) -> None:
        """Write down how a move ended, and what that means for its frame.

        Parameters
        ----------
        rest : seconds until the next try where this one is not counted
        kept : bytes that lie at its node, behind which it goes on
        """
        now = self._clock.now()
        state, acts = advance(transfer.state, event)
        log.warning("move ended", frame=frame.name, state=state.value, reason=reason)
        if state is TransferState.PROMISED:
            await self._transfers.renew(session, transfer.id, kept=kept)
            return
        await self._transfers.end(session, transfer.id, state, now=now, reason=reason)
        if Act.DROP_LEASE in acts and transfer.node_id is not None:
            await self._leases.settle(session, frame.id, transfer.node_id, frame=True, products=True, now=now)
        if frame.state is not FrameState.VALID or isinstance(event, Withdrawn):
            return
        if Act.COUNT in acts and frame.attempts + 1 >= TRIES.attempts:
            await self._frames.fail(session, frame.id, reason=reason, now=now, source=self._source)
            return
        counts = Act.COUNT in acts
        delay = TRIES.delay(frame.attempts + 1) if counts else rest
        retry_at = now + timedelta(seconds=delay) if delay else None
        await self._frames.wait(
            session, frame.id, reason=reason, retry_at=retry_at, now=now, source=self._source, count=counts
        )


def _grudge(problem: MoveError) -> float:
    """Give the seconds for which a frame keeps away from a node; one that is silent goes down and comes back."""
    return SILENT if isinstance(problem, NodeUnreachable) else GRUDGE


def _behind(before: int, progress: Callable[[int], None], done: int) -> None:
    """Tell the bytes of one file that are over, together with those of the files before it."""
    progress(before + done)
