"""The dispatcher: a placed frame with its calibrations on its node becomes a job, exactly once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient import stages
from dbclient.database import Database
from dbclient.records import FrameRecord, NodeRecord
from dbclient.schema import FrameState, Level
from dbclient.stores import Events, Frames, Inventory, Jobs, Leases
from dbclient.stores.inventory import Calibration
from terapix.clock import Clock
from terapix.journal import logger
from terapix.steps import reached

log = logger("spica.dispatcher")

STAGE = stages.WEIGHT
"""The stage that every placed frame is due for."""
AT_ONCE = 500
"""Frames looked at in one pass."""
ON_ITS_WAY = {
    FrameState.SPOTTED: "is being fetched from the archive",
    FrameState.FETCHED: "is being verified",
    FrameState.VALID: "is being copied to its node",
    FrameState.PLACED: "is being copied to its node",
    FrameState.WEIGHTED: "is being copied to its node",
    FrameState.SUPERSEDED: "is superseded and a newer one is awaited",
}


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything the job needs is on the node."""

    frame: FrameRecord
    node_id: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A frame whose job cannot be made yet."""

    frame: FrameRecord
    reason: str
    usual: bool = False
    """Calibrations are on their way and nothing is wrong."""


def decide(
    wanted: Sequence[tuple[FrameRecord, NodeRecord]], calibrations: Mapping[tuple[str, int], Calibration]
) -> tuple[list[Ready], list[Waiting]]:
    """Tell which frames can become jobs, and what the others wait for. Pure.

    Parameters
    ----------
    wanted : frames without a job for this stage and recipe, each with the node that holds it; in order of priority
    calibrations : by name and node
    """
    ready: list[Ready] = []
    waiting: list[Waiting] = []
    for frame, node in wanted:
        if not node.state.answers:
            why = f"its node {node.name} is {node.state.value}: {node.reason or 'no reason given'}"
            waiting.append(Waiting(frame, why))
            continue
        lacks = [
            _lack(kind, name, calibrations.get((name, node.id)))
            for kind, name in (("flat", frame.flat), ("mask", frame.mask))
            if name and not _held(calibrations.get((name, node.id)))
        ]
        if lacks:
            usual = all(lack.usual for lack in lacks)
            waiting.append(Waiting(frame, " and ".join(lack.words for lack in lacks), usual=usual))
        else:
            ready.append(Ready(frame, node.id))
    return ready, waiting


def _held(calibration: Calibration | None) -> bool:
    return calibration is not None and calibration.held


@dataclass(frozen=True, slots=True)
class Lack:
    """A calibration that is not on the node."""

    words: str
    usual: bool


def _lack(kind: str, name: str, calibration: Calibration | None) -> Lack:
    if calibration is None or calibration.state is None:
        return Lack(f"{kind} {name} is asked of the archive", usual=True)
    why = f": {calibration.reason}" if calibration.reason else ""
    if calibration.state in {FrameState.FAILED, FrameState.REJECTED}:
        return Lack(f"{kind} {name} is {calibration.state.value}{why}", usual=False)
    return Lack(f"{kind} {name} {ON_ITS_WAY[calibration.state]}{why}", usual=not why)


class Dispatcher:
    """Makes jobs of what is wanted and not held."""

    def __init__(self, database: Database, clock: Clock, *, source: str, unweighted: str | None = None) -> None:
        """Prepare a dispatcher; `unweighted` says why frames of the camera become no jobs, if they do not."""
        self._database = database
        self._clock = clock
        self._source = source
        self._unweighted = unweighted

    async def retire(self, recipe: str, *, stage: str = STAGE) -> None:
        """Set jobs of a stage aside that wait under another recipe than the one that is wanted now."""
        async with self._database.write() as session:
            retired = await Jobs().retire(session, stage=stage, recipe=recipe, now=self._clock.now())
        if retired:
            log.info("jobs of another recipe are set aside", stage=stage, jobs=retired)

    async def follow_up(self, stage: str, recipe: str, *, weights: str) -> int:
        """Make jobs of a stage that reads maps, for weighted frames where these lie; return how many were made."""
        async with self._database.read() as session:
            if not await Jobs().wanted_after(session, stage=stage, recipe=recipe, weights=weights, limit=1):
                return 0
        made = 0
        async with self._database.write() as session:
            wanted = await Jobs().wanted_after(session, stage=stage, recipe=recipe, weights=weights, limit=AT_ONCE)
            for frame, node in wanted:
                job = await Jobs().create(
                    session, frame_id=frame.id, node_id=node.id, stage=stage, recipe=recipe, now=self._clock.now()
                )
                made += job is not None
        log.info("jobs made", stage=stage, jobs=made)
        return made

    async def pass_(self, recipe: str) -> tuple[int, int]:
        """Make the jobs that are due under a recipe's digest; return how many were made, and how many frames wait."""
        if self._unweighted is not None:
            await self._leave(self._unweighted)
            return 0, 0
        async with self._database.read() as session:
            if not await Jobs().wanted(session, stage=STAGE, recipe=recipe, limit=1):
                return 0, 0
        async with self._database.write() as session:
            ready, waiting = await self._decide(session, recipe)
            made = 0
            for item in ready:
                job = await Jobs().create(
                    session,
                    frame_id=item.frame.id,
                    node_id=item.node_id,
                    stage=STAGE,
                    recipe=recipe,
                    now=self._clock.now(),
                )
                made += job is not None
                if item.frame.reason is not None:
                    await Frames().describe(session, item.frame.id, reason=None, retry_at=None)
            for wait in waiting:
                if wait.frame.reason == wait.reason:
                    continue
                if wait.usual and wait.frame.reason is not None:
                    await Frames().describe(session, wait.frame.id, reason=wait.reason)
                else:
                    await Frames().wait(
                        session,
                        wait.frame.id,
                        reason=wait.reason,
                        retry_at=None,
                        now=self._clock.now(),
                        source=self._source,
                        count=False,
                        level=Level.INFO if wait.usual else Level.WARNING,
                    )
        if made:
            reached("job.created")
            log.info("jobs made", stage=STAGE, jobs=made)
        return made, len(waiting)

    async def _leave(self, why: str) -> None:
        """Say once at each placed frame that nothing more is made of it, and give back the room held for its maps."""
        async with self._database.read() as session:
            if not await Frames().placed_without(session, why, limit=1):
                return
        async with self._database.write() as session:
            for frame in await Frames().placed_without(session, why, limit=AT_ONCE):
                await Leases().release(session, frame.id, now=self._clock.now())
                await Frames().describe(session, frame.id, reason=why, retry_at=None)
                message = f"{frame.name} stays as it is: {why}"
                await Events().append(
                    session,
                    source=self._source,
                    kind="unweighted",
                    message=message,
                    frame_id=frame.id,
                    now=self._clock.now(),
                )
                log.info("frame becomes no job", frame=frame.name, why=why)

    async def _decide(self, session: AsyncSession, recipe: str) -> tuple[list[Ready], list[Waiting]]:
        """Look at more frames as long as all of them wait, so that none starves behind others' calibrations."""
        limit = AT_ONCE
        while True:
            wanted = await Jobs().wanted(session, stage=STAGE, recipe=recipe, limit=limit)
            again = any(frame.state is FrameState.WEIGHTED for frame, _ in wanted)
            found = await Inventory().calibrations(session, weighted=again)
            ready, waiting = decide(wanted, {(c.name, c.node_id): c for c in found})
            if ready or len(wanted) < limit:
                return ready, waiting
            limit *= 4
