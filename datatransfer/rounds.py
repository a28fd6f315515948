"""Rounds: what is looked through beside the passes, from time to time or when asked: the audit, and what may go."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import timedelta

from datatransfer.audit import Audit
from datatransfer.clearing import Clearing
from datatransfer.nodes import Standing
from datatransfer.retention import Filling
from dbclient.database import Database
from dbclient.records import NodeRecord, RequestRecord
from dbclient.schema import Level, RequestKind, RequestState
from dbclient.stores import Audits, Events, Requests
from terapix.clock import Clock
from terapix.errors import TerapixError
from terapix.journal import logger
from terapix.quantities import counted, in_words
from terapix.sections import Settings

log = logger("datatransfer.rounds")

KIND = "retention"
"""Of the events."""


class NodeNotUp(TerapixError):
    """Something was asked of a node that does not answer."""

    def __init__(self, name: str) -> None:
        super().__init__(f"node {name} does not answer now: ask again when it does")


class Rounds:
    """One round at a time; none holds a pass up."""

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, *, audit: Audit, clearing: Clearing, source: str
    ) -> None:
        self._database = database
        self._policy = settings.retention
        self._audit_every = timedelta(days=settings.datatransfer.audit_days)
        self._clock = clock
        self._audit = audit
        self._clearing = clearing
        self._source = source
        self._since = clock.now()
        self._stop = threading.Event()
        self._round: asyncio.Task[None] | None = None
        self._in_vain: dict[str, int] = {}
        """By node of which nothing more may go: bytes held there then. Until that changes it is not looked through."""

    def pass_(self, standings: Sequence[Standing]) -> None:
        """Begin a round where none is under way."""
        if self._stop.is_set() or not (self._round is None or self._round.done()):
            return
        self._round = asyncio.create_task(self._guarded(standings), name="rounds")

    async def settled(self) -> None:
        """Wait for the round that is under way."""
        if self._round is not None:
            await self._round

    async def close(self) -> None:
        """Stop after the file that is looked at."""
        self._stop.set()
        await self.settled()

    async def _guarded(self, standings: Sequence[Standing]) -> None:
        try:
            await self._answer_all(standings)
            if await self._audit_is_due():
                await self._audit.run(asked_by="clock", stop=self._stop)
            if self._policy.automatic:
                await self._make_room(standings)
        except TerapixError:
            log.exception("round broke off; a later pass takes it up")

    async def _answer_all(self, standings: Sequence[Standing]) -> None:
        """Do what operators ask for, oldest first; each gets an answer."""
        async with self._database.read() as session:
            asked = await Requests().open(session, RequestKind.AUDIT, RequestKind.CLEAR)
        for request in asked:
            try:
                answer = self._compared if request.kind is RequestKind.AUDIT else self._cleared
                state, said = RequestState.DONE, await answer(request, standings)
            except TerapixError as problem:
                state, said = RequestState.REFUSED, f"{problem}."
            if self._stop.is_set():
                return  # it stays open: what was stopped halfway begins again at the next start
            async with self._database.write() as session:
                await Requests().answer(session, request.id, state, said, now=self._clock.now())

    async def _compared(self, request: RequestRecord, standings: Sequence[Standing]) -> str:
        del standings
        node, repair = request.arguments.get("node"), bool(request.arguments.get("repair"))
        report = await self._audit.run(asked_by=request.asked_by, node=node, repair=repair, stop=self._stop)
        compared = f"{counted(report.files, 'file')}{f' on {node}' if node else ''} compared"
        if not report.found:
            return f"{compared}: all agree."
        done = f"{report.repaired} put right" if repair else "nothing was changed"
        return f"{compared}: {report.found} found that differ, {done}."

    async def _cleared(self, request: RequestRecord, standings: Sequence[Standing]) -> str:
        name = request.arguments.get("node")
        standing = next((one for one in standings if one.node.name == name), None)
        if standing is None:
            raise NodeNotUp(str(name))
        before = _filling(standing)
        cleared = await self._clearing.clear(standing.node, stop=self._stop)
        after = (cleared.after or before).share
        went = f"{counted(len(cleared.gone), 'file')} ({in_words(cleared.bytes)})"
        said = f"{went} went from {name}, filled to {after:.0%} now."
        return f"{said} It ended early: {cleared.why}." if cleared.why else said

    async def _audit_is_due(self) -> bool:
        """Tell whether the last whole audit, or our start if there was none, is long enough ago."""
        if not self._audit_every:
            return False
        if self._clock.now() - self._since < min(self._audit_every, timedelta(minutes=10)):
            return False  # the first minutes belong to what waits
        async with self._database.read() as session:
            last = await Audits().latest(session, whole=True)
        return self._clock.now() - (last.started_at if last else self._since) >= self._audit_every

    async def _make_room(self, standings: Sequence[Standing]) -> None:
        for standing in standings:
            filling = _filling(standing)
            node = standing.node
            if filling.share <= self._policy.high_water or self._in_vain.get(node.name) == node.used:
                continue
            cleared = await self._clearing.clear(node, down_to=self._policy.low_water, stop=self._stop)
            after = cleared.after or filling
            if after.share > self._policy.low_water:
                self._in_vain[node.name] = node.used
            await self._tell(node, filling.share, after.share, files=len(cleared.gone), size=cleared.bytes)

    async def _tell(self, node: NodeRecord, before: float, after: float, *, files: int, size: int) -> None:
        """Say what came of it."""
        enough = after <= self._policy.high_water
        went = "1 file" if files == 1 else f"{files} files"
        said = f"{node.name} was filled to {before:.0%}: {went} went ({size / 1e9:.1f} GB), it is at {after:.0%} now"
        if not enough:
            said += "; nothing more may go: terapix retention says why"
        async with self._database.write() as session:
            await Events().append(
                session,
                source=self._source,
                kind=KIND,
                level=Level.INFO if enough else Level.WARNING,
                message=said,
                node_id=node.id,
                now=self._clock.now(),
            )


def _filling(standing: Standing) -> Filling:
    node, disk = standing.node, standing.disk
    return Filling(held=node.used, capacity=node.capacity, free=disk.free_in_all, total=disk.total_of_all)
