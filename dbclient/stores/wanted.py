"""Jobs that are wanted and not there, jobs that are due, and jobs as they are."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from dbclient import stages
from dbclient.errors import NoSuchRow
from dbclient.records import FrameRecord, JobRecord, NodeRecord, record
from dbclient.schema import (
    Frame,
    FrameKind,
    FrameState,
    Job,
    JobState,
    Node,
    Product,
    ProductState,
    Replica,
    ReplicaState,
)

UNCATALOGUED: Final = text("(frames.state = 'weighted' AND frames.catalogued_at IS NULL)")
"""Written out, for only then does a database see that ix_frames_uncatalogued has all these frames; and as text, for a
condition with a type of its own is compared with 1 where there are no truth values, and SQLite reads all frames."""


class WantedJobs:
    """The reading half of `dbclient.stores.jobs.Jobs`."""

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

    async def wanted_after(
        self, session: AsyncSession, *, stage: str, recipe: str, weights: str, limit: int = 500
    ) -> list[tuple[FrameRecord, NodeRecord]]:
        """Give weighted exposures that have no job for this stage and recipe, with a node that holds frame and maps.

        Parameters
        ----------
        weights : digest of the recipe that the maps were made with; of others, other maps are due first
        """
        weighted = aliased(Job)
        # wrapped, so that SQLite begins with the few frames, and not with all jobs that are done
        stage_of, recipe_of, state_of = (
            func.coalesce(one, one) for one in (weighted.stage, weighted.recipe, weighted.state)
        )
        query = (
            select(Frame, Node)
            .join(weighted, and_(weighted.frame_id == Frame.id, stage_of == stages.WEIGHT))
            .join(Replica, and_(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD))
            .join(Node, Node.id == Replica.node_id)
            .outerjoin(Job, and_(Job.frame_id == Frame.id, Job.stage == stage, Job.recipe == recipe))
            .where(
                Frame.kind == FrameKind.OBJECT, Job.id.is_(None), recipe_of == weights,
                state_of == JobState.DONE, *(self._here(weighted, kind) for kind in stages.READS[stage]),
            )
        )  # fmt: skip
        if await self._other_recipe(session, stage=stage, recipe=recipe):
            query = query.where(Frame.state == FrameState.WEIGHTED)
        else:
            query = query.where(UNCATALOGUED)
        query = query.order_by(Frame.priority.desc(), Frame.id, Replica.id).limit(limit)
        found: dict[int, tuple[FrameRecord, NodeRecord]] = {}
        for frame, node in (await session.execute(query)).all():
            found.setdefault(frame.id, (record(FrameRecord, frame), record(NodeRecord, node)))
        return list(found.values())

    @staticmethod
    def _here(weighted: type[Job], kind: str) -> ColumnElement[bool]:
        """Condition: a map lies where the frame does."""
        return exists().where(
            Product.job_id == weighted.id, Product.kind == kind, Product.state == ProductState.HELD,
            Product.node_id == Replica.node_id,
        )  # fmt: skip

    async def _other_recipe(self, session: AsyncSession, *, stage: str, recipe: str) -> bool:
        ends = [await session.scalar(select(end(Job.recipe)).where(Job.stage == stage)) for end in (func.min, func.max)]
        return any(end not in {None, recipe} for end in ends)

    async def uncatalogued(self, session: AsyncSession) -> tuple[int, int]:
        """Count the weighted exposures without a catalogue of their present maps, and those whose job has failed."""
        # wrapped, so that SQLite does not take the index of states, in which it would look at all weighted ones
        is_current = func.coalesce(Frame.current, Frame.current) == true()
        newest = (UNCATALOGUED, Frame.kind == FrameKind.OBJECT, is_current)
        lacking = select(func.count()).select_from(Frame).where(*newest)
        given_up = (
            select(func.count(func.distinct(Frame.id)))
            .join(Job, Job.frame_id == Frame.id)
            .where(*newest, Job.stage == stages.SOURCES, Job.state == JobState.FAILED)
        )
        return int(await session.scalar(lacking) or 0), int(await session.scalar(given_up) or 0)

    async def due(
        self,
        session: AsyncSession,
        *,
        now: datetime,
        node_id: int | None = None,
        limit: int = 100,
        wanted: Sequence[str] = stages.STAGES,
    ) -> list[JobRecord]:
        """Give jobs whose next try is due, by priority: frames are on a node, and weighted where the stage reads maps.

        Parameters
        ----------
        wanted : stages; jobs of others wait
        """
        ready = or_(
            Frame.state == FrameState.WEIGHTED, and_(Frame.state == FrameState.PLACED, Job.stage == stages.WEIGHT)
        )
        query = self._query().where(Job.state == JobState.DUE, or_(Job.retry_at.is_(None), Job.retry_at <= now), ready)
        query = query.where(Job.stage.in_(wanted))
        query = query if node_id is None else query.where(Job.node_id == node_id)
        return await self._list(session, query.order_by(Frame.priority.desc(), Job.id).limit(limit))

    async def get(self, session: AsyncSession, job_id: int) -> JobRecord:
        found = await self._list(session, self._query().where(Job.id == job_id))
        if not found:
            raise NoSuchRow("job", job_id)
        return found[0]

    async def of_frame(self, session: AsyncSession, frame_id: int) -> list[JobRecord]:
        return await self._list(session, self._query().where(Job.frame_id == frame_id).order_by(Job.id))

    async def in_state(self, session: AsyncSession, state: JobState, *, limit: int = 500) -> list[JobRecord]:
        return await self._list(session, self._query().where(Job.state == state).order_by(Job.id).limit(limit))

    def _query(self) -> Select[Job, str, str]:
        return (
            select(Job, Frame.name, Node.name).join(Frame, Frame.id == Job.frame_id).join(Node, Node.id == Job.node_id)
        )

    async def _list(self, session: AsyncSession, query: Select[Job, str, str]) -> list[JobRecord]:
        return [
            record(JobRecord, row, frame=frame, node=node) for row, frame, node in (await session.execute(query)).all()
        ]
