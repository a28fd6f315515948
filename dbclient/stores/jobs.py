"""Jobs: wanted, created once, claimed by one, ended by whoever holds the claim."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import FrameRecord, JobRecord, NewProduct, NodeRecord, record
from dbclient.schema import (
    Frame,
    FrameKind,
    FrameState,
    Job,
    JobState,
    Level,
    Node,
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

LATEST: Final = 500
"""Jobs from which the speed of nodes is taken."""


class Jobs:
    async def wanted(
        self, session: AsyncSession, *, stage: str, recipe: str, limit: int = 500
    ) -> list[tuple[FrameRecord, NodeRecord]]:
        """Give placed exposures that have no job for this stage and recipe, with the node that holds each.

        Weighted ones are looked through only if another recipe was ever in use:
        else they have their job.
        """
        states = [FrameState.PLACED]
        if await self._other_recipe(session, stage=stage, recipe=recipe):
            states.append(FrameState.WEIGHTED)
        query = (
            select(Frame, Node)
            .join(Replica, and_(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD))
            .join(Node, Node.id == Replica.node_id)
            .outerjoin(Job, and_(Job.frame_id == Frame.id, Job.stage == stage, Job.recipe == recipe))
            .where(Frame.state.in_(states), Frame.kind == FrameKind.OBJECT, Job.id.is_(None))
            .order_by(Frame.priority.desc(), Frame.id, Replica.id)
            .limit(limit)
        )
        found: dict[int, tuple[FrameRecord, NodeRecord]] = {}
        for frame, node in (await session.execute(query)).all():
            found.setdefault(frame.id, (record(FrameRecord, frame), record(NodeRecord, node)))
        return list(found.values())

    async def _other_recipe(self, session: AsyncSession, *, stage: str, recipe: str) -> bool:
        ends = [await session.scalar(select(end(Job.recipe)).where(Job.stage == stage)) for end in (func.min, func.max)]
        return any(end not in {None, recipe} for end in ends)

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

    async def due(
        self, session: AsyncSession, *, now: datetime, node_id: int | None = None, limit: int = 100
    ) -> list[JobRecord]:
        """Give jobs whose next try is due and whose frame is on a node, by priority."""
        here = Frame.state.in_((FrameState.PLACED, FrameState.WEIGHTED))
        query = self._query().where(Job.state == JobState.DUE, or_(Job.retry_at.is_(None), Job.retry_at <= now), here)
        query = query if node_id is None else query.where(Job.node_id == node_id)
        return await self._list(session, query.order_by(Frame.priority.desc(), Job.id).limit(limit))

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
    ) -> bool:
        """End a job with its products, in this one transaction; False if the claim is no longer ours."""
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
        await Leases().settle(session, row.frame_id, row.node_id, products=True, frame=True, now=now)
        frame = await Frames().get(session, row.frame_id)
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
        message = f"has its weight and flag maps, made in {seconds:.1f} s"
        if frame.state is FrameState.PLACED:
            await Frames().advance(
                session, row.frame_id, FrameState.WEIGHTED, now=now, source=source, message=message, event="weighted"
            )
        else:
            await self._event(session, row, "job-done", message, now=now, source=source)
        return True

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
            await Frames().fail(session, row.frame_id, reason=f"{row.stage}: {reason}", now=now, source=source)
        else:
            row.state = JobState.DUE
            said = f"{row.stage} is tried again: {reason}"
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

    async def stale(self, session: AsyncSession, *, before: datetime) -> list[JobRecord]:
        """Give running jobs whose worker has been silent since before a moment."""
        query = self._query().where(Job.state == JobState.RUNNING, Job.beat_at < before)
        return await self._list(session, query.order_by(Job.id))

    async def lost(self, session: AsyncSession, job_id: int, *, reason: str, now: datetime, source: str) -> None:
        """Make a running or done job due again: its worker died, or its product is gone."""
        row = await session.get(Job, job_id, with_for_update=True)
        if row is None:
            raise NoSuchRow("job", job_id)
        if row.state not in {JobState.RUNNING, JobState.DONE}:
            return
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

    async def get(self, session: AsyncSession, job_id: int) -> JobRecord:
        found = await self._list(session, self._query().where(Job.id == job_id))
        if not found:
            raise NoSuchRow("job", job_id)
        return found[0]

    async def of_frame(self, session: AsyncSession, frame_id: int) -> list[JobRecord]:
        return await self._list(session, self._query().where(Job.frame_id == frame_id).order_by(Job.id))

    async def in_state(self, session: AsyncSession, state: JobState, *, limit: int = 500) -> list[JobRecord]:
        return await self._list(session, self._query().where(Job.state == state).order_by(Job.id).limit(limit))

    async def counts(self, session: AsyncSession, *states: JobState) -> dict[JobState, int]:
        """Count jobs by state; of all unless some are named: those that are done are as many as frames."""
        query = select(Job.state, func.count()).group_by(Job.state)
        query = query.where(Job.state.in_(states)) if states else query
        return dict((await session.execute(query)).all())

    async def seconds(self, session: AsyncSession) -> dict[int, float]:
        """Give the mean time of a job on each node, by node row, over the latest that were done."""
        latest = (
            select(Job.node_id, Job.started_at, Job.ended_at)
            .where(Job.state == JobState.DONE, Job.started_at.is_not(None), Job.ended_at.is_not(None))
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

    def _query(self) -> Select[Job, str, str]:
        return (
            select(Job, Frame.name, Node.name).join(Frame, Frame.id == Job.frame_id).join(Node, Node.id == Job.node_id)
        )

    async def _list(self, session: AsyncSession, query: Select[Job, str, str]) -> list[JobRecord]:
        return [
            record(JobRecord, row, frame=frame, node=node) for row, frame, node in (await session.execute(query)).all()
        ]

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
