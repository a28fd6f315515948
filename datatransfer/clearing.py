"""Clearing: lets go what retention allows, a batch at a time, and measures the disk again after each.

Of every file the facts are taken anew in the transaction that lets it go, and the
file that remains instead is looked at on its disk, and read if nobody has for long.
"""

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.agent.holdings import QUARANTINE, WHY
from datatransfer.agent.leftovers import ASIDE, Leftover
from datatransfer.depots import Depots
from datatransfer.disks import Disk
from datatransfer.errors import MoveError, Stopped
from datatransfer.retention import Candidate, Decision, Filling, Ground, decide
from datatransfer.untracked import names_of
from dbclient.database import Database
from dbclient.records import NodeRecord
from dbclient.schema import JobState
from dbclient.stores import (
    Accounting,
    Events,
    Fate,
    Holding,
    Holdings,
    Jobs,
    Nodes,
    Retiree,
    Retirees,
    Stocks,
    Survivor,
)
from terapix.clock import Clock
from terapix.journal import logger
from terapix.sections import Settings
from terapix.steps import reached

log = logger("datatransfer.clearing")

BATCH: Final = 50
"""Files that go between two measurements of the disk."""
KIND: Final = "retired"
"""Of the events."""
EXPECTED: Final = 0.5
"""Share of the bytes that went by which the disk must have gained, or it is told: something else holds them."""


@dataclass(slots=True)
class Cleared:
    """What went from a node."""

    node: str
    decisions: list[Decision]
    """Of every candidate, before anything went."""
    gone: list[Candidate] = field(default_factory=list)
    before: Filling | None = None
    after: Filling | None = None
    why: str = ""
    """Why the node could not be looked at, or was not looked through to the end."""

    @property
    def bytes(self) -> int:
        return sum(candidate.size for candidate in self.gone)


Source = Callable[..., Awaitable[list[Retiree]]]


class Clearing:
    """Gathers what might go, and lets it go."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, depots: Depots, *, source: str) -> None:
        self._database = database
        self._policy = settings.retention
        self._fresh = timedelta(days=settings.datatransfer.scrub_days)
        self._clock = clock
        self._depots = depots
        self._source = source
        retirees = Retirees()
        self._sources: Mapping[Ground, Source] = {
            Ground.SUPERSEDED_FRAME: retirees.superseded_frames,
            Ground.SUPERSEDED_PRODUCT: retirees.superseded_products,
            Ground.ACKNOWLEDGED: retirees.acknowledged,
        }

    async def plan(self, node: NodeRecord) -> Cleared:
        """Say what would go from a node and what stays, each with its reason; nothing is changed."""
        if not node.state.answers:
            return Cleared(node.name, [], why=f"it is {node.state.value}: {node.reason or 'no reason given'}")
        try:
            filling = await self.filling(node)
            candidates = [candidate for candidate, _ in await self._of_rows(node)] + [
                candidate for candidate, _ in await self._of_leftovers(node)
            ]
        except MoveError as problem:
            return Cleared(node.name, [], why=str(problem))
        return Cleared(node.name, decide(candidates, self._policy, now=self._clock.now()), before=filling)

    async def clear(
        self, node: NodeRecord, *, down_to: float | None = None, stop: threading.Event | None = None
    ) -> Cleared:
        """Let go what may go from a node.

        Parameters
        ----------
        down_to : filled share at which it is enough; none: all that may go
        stop : when set, it ends after a file
        """
        stop = stop or threading.Event()
        cleared = await self.plan(node)
        if cleared.why:
            return cleared
        cleared.after = cleared.before
        try:
            leftovers = {candidate.path: leftover for candidate, leftover in await self._of_leftovers(node)}
            due = [decision.candidate for decision in cleared.decisions if decision.goes]
            for begin in range(0, len(due), BATCH):
                if stop.is_set() or (down_to is not None and cleared.after and cleared.after.share <= down_to):
                    break
                await self._batch(node, cleared, due[begin : begin + BATCH], leftovers, stop)
        except Stopped:
            cleared.why = "it was stopped"
        except MoveError as problem:
            cleared.why = str(problem)
            log.warning("node was not cleared to the end", node=node.name, why=cleared.why)
        return cleared

    async def filling(self, node: NodeRecord) -> Filling:
        """Measure how full a node is now.

        Raises
        ------
        NodeUnreachable
        """
        disk = await self._depots.disk(self._depots.of_node(node))
        async with self._database.read() as session:
            held = (await Stocks().bytes(session)).get(node.id, 0)
        if not isinstance(disk, Disk):
            raise MoveError(disk.reason)
        return Filling(held=held, capacity=node.capacity, free=disk.free_in_all, total=disk.total_of_all)

    async def _batch(
        self,
        node: NodeRecord,
        cleared: Cleared,
        batch: list[Candidate],
        leftovers: Mapping[str, Leftover],
        stop: threading.Event,
    ) -> None:
        """Let some files go, and measure again what that gave."""
        before = await self.filling(node)
        gone = []
        for candidate in batch:
            if stop.is_set():
                break
            if candidate.row is None:
                went = await self._let_leftover_go(node, leftovers[candidate.path], stop)
            else:
                went = await self._let_row_go(node, candidate, stop)
            if went:
                gone.append(candidate)
        cleared.gone += gone
        cleared.after = await self.filling(node)
        size = sum(candidate.size for candidate in gone)
        gained = cleared.after.free - before.free
        if size and gained < EXPECTED * size:
            log.warning("less room came than files went", node=node.name, went=size, gained=gained)

    async def _of_rows(self, node: NodeRecord) -> list[tuple[Candidate, Retiree]]:
        async with self._database.read() as session:
            return [
                (await self._candidate(session, node, ground, retiree), retiree)
                for ground, source in self._sources.items()
                for retiree in await source(session, node.id)
            ]

    async def _candidate(self, session: AsyncSession, node: NodeRecord, ground: Ground, retiree: Retiree) -> Candidate:
        holding = retiree.holding
        return Candidate(
            ground=ground,
            node=node.name,
            path=holding.path,
            size=holding.size,
            since=retiree.since or self._clock.now(),
            subject=retiree.frame,
            survivors=tuple(survivor.where for survivor in retiree.survivors),
            busy=await Accounting().in_hand(session, holding.frame_id),
            row=(holding.sort.value, holding.id),
        )

    async def _of_leftovers(self, node: NodeRecord) -> list[tuple[Candidate, Leftover]]:
        """Judge scratch and what was set aside; a note goes with the file it is about."""
        listed = await self._depots.leftovers(self._depots.of_node(node))
        async with self._database.read() as session:
            at_work = any(job.node_id == node.id for job in await Jobs().in_state(session, JobState.RUNNING))
            return [(await self._leftover(session, node, item, at_work=at_work), item) for item in listed]

    async def _leftover(self, session: AsyncSession, node: NodeRecord, item: Leftover, *, at_work: bool) -> Candidate:
        since = datetime.fromtimestamp(item.used, UTC)
        if item.is_scratch:
            return Candidate(Ground.SCRATCH, node.name, item.path, item.size, since, wanted=False, busy=at_work)
        lay = _lay(item.path)
        names = names_of(lay)
        known, survivors = await Retirees().remains(session, lay, names)
        return Candidate(
            Ground.SET_ASIDE,
            node.name,
            item.path,
            item.size,
            since,
            subject=names[-1] if known and names else "",
            survivors=tuple(survivor.where for survivor in survivors),
            wanted=known,
        )

    async def _let_row_go(self, node: NodeRecord, candidate: Candidate, stop: threading.Event) -> bool:
        """Let a file go of which a row tells, if all is still as it was decided."""
        again = await self._again(node, candidate)
        if again is None or not await self._one_stands(again[1].survivors, stop):
            return False
        async with self._database.write() as session:
            fresh = await self._again_in(session, node, candidate)
            if fresh is None:
                return False
            decision, retiree = fresh
            if not await Holdings().lose(session, retiree.holding, Fate.RETIRED, was=retiree.state):
                return False
            await self._tell(session, node, decision, frame_id=retiree.holding.frame_id)
        reached("retention.recorded")
        await self._depots.remove(self._depots.of_node(node), candidate.path, size=candidate.size)
        return True

    async def _again(self, node: NodeRecord, candidate: Candidate) -> tuple[Decision, Retiree] | None:
        async with self._database.read() as session:
            return await self._again_in(session, node, candidate)

    async def _again_in(
        self, session: AsyncSession, node: NodeRecord, candidate: Candidate
    ) -> tuple[Decision, Retiree] | None:
        """Take the facts of one file anew; None if it may not go any more."""
        number = candidate.row[1] if candidate.row else 0
        for retiree in await self._sources[candidate.ground](session, node.id, row=number):
            fresh = await self._candidate(session, node, candidate.ground, retiree)
            [decision] = decide([fresh], self._policy, now=self._clock.now())
            others = await Accounting().at(session, node.id, candidate.path)
            taken = any(state == "held" and row != retiree.holding for row, state in others)
            if decision.goes and not taken and retiree.holding.path == candidate.path:
                return decision, retiree
        return None

    async def _one_stands(self, survivors: Sequence[Survivor], stop: threading.Event) -> bool:
        """Tell whether what shall remain is there: whole by its size, and read again if nobody has for long."""
        for survivor in survivors:
            if survivor.holding is None or await self._stands(survivor.holding, stop):
                return True
        log.warning("kept: what should remain does not stand", survivors=[one.where for one in survivors])
        return False

    async def _stands(self, holding: Holding, stop: threading.Event) -> bool:
        async with self._database.read() as session:
            node = next((one for one in await Nodes().all(session) if one.id == holding.node_id), None)
        if node is None or not node.state.answers:
            return False
        depot = self._depots.of_node(node)
        try:
            if self._clock.now() - holding.verified_at > self._fresh:
                return (await self._depots.read(depot, holding.path, rate=0.0, stop=stop)).agrees(
                    holding.digest, holding.size
                )
            return (await self._depots.sizes(depot, [holding.path]))[holding.path] == holding.size
        except Stopped:
            raise
        except MoveError:
            return False

    async def _let_leftover_go(self, node: NodeRecord, leftover: Leftover, stop: threading.Event) -> bool:
        if not leftover.is_scratch:
            lay = _lay(leftover.path)
            async with self._database.read() as session:
                known, survivors = await Retirees().remains(session, lay, names_of(lay))
            if known and not await self._one_stands(survivors, stop):
                return False
        async with self._database.write() as session:
            at_work = any(job.node_id == node.id for job in await Jobs().in_state(session, JobState.RUNNING))
            fresh = await self._leftover(session, node, leftover, at_work=at_work)
            [decision] = decide([fresh], self._policy, now=self._clock.now())
            if not decision.goes:
                return False
            await self._tell(session, node, decision, frame_id=None)
        return await self._depots.remove_leftover(self._depots.of_node(node), leftover)

    async def _tell(self, session: AsyncSession, node: NodeRecord, decision: Decision, *, frame_id: int | None) -> None:
        candidate = decision.candidate
        data: dict[str, Any] = {
            "ground": candidate.ground.value,
            "path": candidate.path,
            "bytes": candidate.size,
            "survivors": list(candidate.survivors),
        }
        await Events().append(
            session,
            source=self._source,
            kind=KIND,
            message=f"{candidate.path} goes from {node.name}: {decision.why}",
            frame_id=frame_id,
            node_id=node.id,
            data=data,
            now=self._clock.now(),
        )


def _lay(path: str) -> str:
    """Give where a file lay before it was set aside."""
    path = ASIDE.sub("", path.removeprefix(f"{QUARANTINE}/")).removesuffix(WHY)
    stem, _, number = path.rpartition(".")
    return stem if number.isdigit() and stem.endswith((".fits", ".fz", ".png", ".jpg")) else path
