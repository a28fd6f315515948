"""Jobs: wanted, created once, claimed by one, ended by whoever holds the claim."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient import stages
from dbclient.errors import NoSuchRow
from dbclient.records import JobRecord, NewProduct
from dbclient.schema import (
    FrameState,
    Job,
    JobState,
    Level,
    Product,
    ProductState,
    Replica,
    ReplicaState,
)
from dbclient.stores.events import Events, about
from dbclient.stores.frames import Frames
from dbclient.stores.growths import Growths
from dbclient.stores.insertion import insert_unless_there
from dbclient.stores.transfers import Leases
from dbclient.stores.wanted import WantedJobs

LATEST: Final = 500
"""Jobs from which the speed of nodes is taken."""
_DONE: Final[ColumnElement[bool]] = func.coalesce(Job.state, Job.state) == JobState.DONE
"""Wrapped: nearly all are, and SQLite would sort them to find the latest."""


class Jobs(WantedJobs):
    async def create(
        self, session: AsyncSession, *, frame_id: int, node_id: int, stage: str, recipe: str, now: datetime
    ) -> int | None:
        """Make the job due and give its number; None if it exists already."""
        number = await insert_unless_there(
            session,
            Job,
            frame_id=frame_id,
            node_id=node_id,
            stage=stage,
            recipe=recipe,
            state=JobState.DUE,
            created_at=now,
        )
        if number is not None:
            row = await session.get_one(Job, number)
            await self._event(session, row, "job-due", f"is due for {stage}", now=now, source="spica")
        return number

    async def claim(
        self, session: AsyncSession, job_id: int, *, worker: str, token: str, now: datetime, lease: float | None = None
    ) -> bool:
        """Take a job that is due; False if another was faster.

        With `lease`, a running job whose worker has not beaten for so many
        seconds may be taken over: the old token is worth nothing afterwards.
        """
        free = and_(Job.state == JobState.DUE, or_(Job.retry_at.is_(None), Job.retry_at <= now))
        if lease is not None:
            silent = and_(Job.state == JobState.RUNNING, Job.beat_at < now - timedelta(seconds=lease))
            free = or_(free, silent)
        claimed = await session.execute(
            update(Job)
            .where(Job.id == job_id, free)
            .values(
                state=JobState.RUNNING,
                worker=worker,
                claim=token,
                attempts=Job.attempts + 1,
                done_share=0.0,
                beat_at=now,
                started_at=now,
                ended_at=None,
                reason=None,
                retry_at=None,
            )
            .returning(Job.frame_id)
            .execution_options(synchronize_session="fetch")
        )
        frame_id = claimed.scalar()
        if frame_id is not None:
            await Frames().describe(session, frame_id, reason=None, retry_at=None)
        return frame_id is not None

    async def beat(self, session: AsyncSession, job_id: int, token: str, *, share: float, now: datetime) -> bool:
        """Say that the job goes on; False if the claim is no longer ours."""
        mine = await session.execute(
            update(Job)
            .where(Job.id == job_id, Job.claim == token, Job.state == JobState.RUNNING)
            .values(done_share=share, beat_at=now)
        )
        return bool(mine.rowcount)  # type: ignore[attr-defined]

    async def finish(
        self,
        session: AsyncSession,
        job_id: int,
        token: str,
        *,
        products: Sequence[NewProduct],
        summary: dict[str, Any],
        now: datetime,
        source: str,
        followed: bool = False,
    ) -> bool:
        """End a job with its products, in this one transaction; False if the claim is no longer ours.

        Parameters
        ----------
        followed : whether another stage is wanted of the frame, whose room stays promised
        """
        row = await self._held(session, job_id, token)
        if row is None:
            return False
        row.state, row.ended_at, row.done_share, row.summary, row.claim, row.reason = (
            JobState.DONE,
            now,
            1.0,
            summary,
            None,
            None,
        )
        await session.execute(
            update(Product)
            .where(Product.frame_id == row.frame_id, Product.stage == row.stage)
            .values(state=ProductState.SUPERSEDED)
        )
        for product in products:
            old = await session.scalar(select(Product).where(Product.job_id == job_id, Product.kind == product.kind))
            made = old or Product(job_id=job_id, kind=product.kind, frame_id=row.frame_id, stage=row.stage)
            made.node_id, made.state, made.created_at, made.verified_at = row.node_id, ProductState.HELD, now, now
            made.path, made.size, made.digest, made.provenance = (
                product.path,
                product.size,
                product.digest,
                product.provenance,
            )
            session.add(made)
        frame = await Frames().get(session, row.frame_id)
        left = int((frame.needs or {}).get(stages.SOURCES) or 0) if followed else 0
        await Leases().settle(session, row.frame_id, row.node_id, products=True, frame=True, left=left, now=now)
        await Growths().note(
            session,
            instrument=frame.instrument,
            stage=row.stage,
            written={product.kind: product.size for product in products},
            file=frame.size or 0,
            unpacked=(frame.needs or {}).get("unpacked") or 0,
            now=now,
        )
        seconds = (now - row.started_at).total_seconds() if row.started_at else 0.0
        if row.stage == stages.SOURCES:
            message = f"has its catalogue and PSF{_found(summary)}, made in {seconds:.1f} s"
            await Frames().describe(session, row.frame_id, catalogued_at=now)
            await self._event(session, row, "catalogued", message, now=now, source=source)
        else:
            message = f"has its weight and flag maps, made in {seconds:.1f} s"
            if frame.state is FrameState.PLACED:
                await Frames().advance(
                    session, frame.id, FrameState.WEIGHTED, now=now, source=source, message=message, event="weighted"
                )
            else:
                await self._event(session, row, "job-done", message, now=now, source=source)
        await self._read_anew(session, row, now=now, source=source)
        return True

    async def _read_anew(self, session: AsyncSession, row: Job, *, now: datetime, source: str) -> None:
        """Make jobs due again that read other maps of the frame than it has now, or failed on others."""
        await session.flush()
        maps = select(Product.kind, Product.digest).where(
            Product.frame_id == row.frame_id, Product.stage == stages.WEIGHT, Product.state == ProductState.HELD
        )
        held = dict((await session.execute(maps)).all())
        others = select(Job).where(
            Job.frame_id == row.frame_id,
            Job.stage != stages.WEIGHT,
            Job.state.in_((JobState.DONE, JobState.FAILED) if row.stage == stages.WEIGHT else (JobState.DONE,)),
        )
        for job in list(await session.scalars(others)):
            read = await session.scalar(select(Product.provenance).where(Product.job_id == job.id).limit(1)) or {}
            changed = [k for k in stages.READS[job.stage] if k in held and not str(read.get(k, "")).endswith(held[k])]
            if not changed and job.state is JobState.DONE:
                continue
            await self.lost(session, job.id, reason="its maps were made anew", now=now, source=source)
            job.node_id, job.attempts = row.node_id, 0

    async def fail(
        self,
        session: AsyncSession,
        job_id: int,
        token: str,
        *,
        reason: str,
        retry_at: datetime | None,
        now: datetime,
        source: str,
    ) -> bool:
        """Give an attempt up: due again at `retry_at`, or failed for good (and its frame with it) if there is none."""
        row = await self._held(session, job_id, token)
        if row is None:
            return False
        row.claim, row.reason, row.retry_at, row.done_share = None, reason, retry_at, 0.0
        if retry_at is None:
            row.state, row.ended_at = JobState.FAILED, now
            await self._given_up(session, row, reason, now=now, source=source)
        else:
            row.state = JobState.DUE
            said = f"{row.stage} is tried again: {reason}"
            if await self._tells(session, row):
                await Frames().describe(session, row.frame_id, reason=said, retry_at=retry_at)
            await self._event(
                session,
                row,
                "job-retry",
                said,
                now=now,
                source=source,
                level=Level.WARNING,
            )
        return True

    async def _given_up(self, session: AsyncSession, row: Job, reason: str, *, now: datetime, source: str) -> None:
        """A frame without maps has failed; one without a catalogue keeps its maps, and tells what it lacks."""
        said = f"{row.stage}: {reason}"
        if row.stage == stages.WEIGHT:
            await Frames().fail(session, row.frame_id, reason=said, now=now, source=source)
            return
        await Leases().settle(session, row.frame_id, row.node_id, products=True, now=now)
        if await self._tells(session, row):
            await Frames().describe(session, row.frame_id, reason=said, retry_at=None)
        await self._event(session, row, "job-failed", f"failed: {said}", now=now, source=source, level=Level.ERROR)

    async def _tells(self, session: AsyncSession, row: Job) -> bool:
        """Whether the frame's reason is this job's: not where it waits for its maps meanwhile."""
        return row.stage == stages.WEIGHT or (await Frames().get(session, row.frame_id)).state is FrameState.WEIGHTED

    async def stale(self, session: AsyncSession, *, before: datetime) -> list[JobRecord]:
        """Give running jobs whose worker has been silent since before a moment."""
        query = self._query().where(Job.state == JobState.RUNNING, Job.beat_at < before)
        return await self._list(session, query.order_by(Job.id))

    async def lost(self, session: AsyncSession, job_id: int, *, reason: str, now: datetime, source: str) -> None:
        """Make a running, done or failed job due again: worker dead, product gone, or what it reads is new."""
        row = await session.get(Job, job_id, with_for_update=True)
        if row is None:
            raise NoSuchRow("job", job_id)
        if row.state not in {JobState.RUNNING, JobState.DONE, JobState.FAILED}:
            return
        if row.stage == stages.SOURCES:
            await Frames().describe(session, row.frame_id, catalogued_at=None)
        row.state, row.claim, row.ended_at, row.done_share, row.reason = JobState.DUE, None, None, 0.0, reason
        await self._event(
            session, row, "job-lost", f"{row.stage} is due again: {reason}", now=now, source=source, level=Level.WARNING
        )

    async def rehome(self, session: AsyncSession, frame_id: int, node_id: int) -> None:
        """Let the due jobs of a frame follow it to another node."""
        await session.execute(
            update(Job).where(Job.frame_id == frame_id, Job.state == JobState.DUE).values(node_id=node_id)
        )

    async def leave(self, session: AsyncSession, node_id: int) -> None:
        """Let the due jobs of a node go to another one that holds their frame, where one does."""
        elsewhere = (
            select(func.min(Replica.node_id))
            .where(Replica.frame_id == Job.frame_id, Replica.node_id != node_id, Replica.state == ReplicaState.HELD)
            .scalar_subquery()
        )
        await session.execute(
            update(Job)
            .where(Job.node_id == node_id, Job.state == JobState.DUE, elsewhere.is_not(None))
            .values(node_id=elsewhere),
            execution_options={"synchronize_session": False},
        )

    async def retire(self, session: AsyncSession, *, stage: str, recipe: str, now: datetime) -> int:
        """Supersede jobs of a stage that were made under another recipe and never ran; return how many."""
        retired = await session.execute(
            update(Job)
            .where(Job.stage == stage, Job.recipe != recipe, Job.state == JobState.DUE)
            .values(state=JobState.SUPERSEDED, reason="another recipe is wanted now", retry_at=None, ended_at=now)
        )
        return int(retired.rowcount)  # type: ignore[attr-defined]

    async def counts(self, session: AsyncSession, *states: JobState) -> dict[JobState, int]:
        """Count jobs by state; of all unless some are named: those that are done are as many as frames."""
        query = select(Job.state, func.count()).group_by(Job.state)
        query = query.where(Job.state.in_(states)) if states else query
        return dict((await session.execute(query)).all())

    async def stage_seconds(self, session: AsyncSession) -> dict[str, float]:
        """Give the mean time that a frame takes in each stage, over the latest jobs that were done."""
        latest = (
            select(Job.stage, Job.started_at, Job.ended_at)
            .where(_DONE, Job.started_at.is_not(None), Job.ended_at.is_not(None))
            .order_by(Job.id.desc())
            .limit(LATEST)
        )
        times: dict[str, list[float]] = {}
        for stage, begun, ended in await session.execute(latest):
            if begun and ended:
                times.setdefault(stage, []).append((ended - begun).total_seconds())
        return {stage: sum(times[stage]) / len(times[stage]) for stage in stages.STAGES if stage in times}

    async def seconds(self, session: AsyncSession) -> dict[int, float]:
        """Give the mean time in which maps are made on each node, by node row, over the latest that were done."""
        latest = (
            select(Job.node_id, Job.started_at, Job.ended_at)
            .where(
                _DONE,
                func.coalesce(Job.stage, Job.stage) == stages.WEIGHT,  # wrapped for the same reason
                Job.started_at.is_not(None),
                Job.ended_at.is_not(None),
            )
            .order_by(Job.id.desc())
            .limit(LATEST)
        )
        times: dict[int, list[float]] = {}
        for node_id, begun, ended in await session.execute(latest):
            if begun and ended:
                times.setdefault(node_id, []).append((ended - begun).total_seconds())
        return {node_id: sum(each) / len(each) for node_id, each in times.items()}

    async def _held(self, session: AsyncSession, job_id: int, token: str) -> Job | None:
        query = select(Job).where(Job.id == job_id, Job.claim == token, Job.state == JobState.RUNNING).with_for_update()
        return (await session.scalars(query)).one_or_none()

    async def _event(
        self,
        session: AsyncSession,
        row: Job,
        kind: str,
        message: str,
        *,
        now: datetime,
        source: str,
        level: Level = Level.INFO,
    ) -> None:
        name = (await Frames().get(session, row.frame_id)).name
        await Events().append(
            session,
            source=source,
            kind=kind,
            message=about(name, message),
            level=level,
            frame_id=row.frame_id,
            node_id=row.node_id,
            now=now,
        )


def _found(summary: dict[str, Any]) -> str:
    """What the sources stage counted, as a person says it."""
    seeing = summary.get("seeing")
    if "sources" not in summary:
        return ""
    told = f": {summary['sources']} sources, {summary.get('stars', 0)} stars"
    return f'{told}, seeing {seeing:.2f}"' if seeing else f"{told}, no PSF"
