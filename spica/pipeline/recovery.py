"""Recovery: jobs whose worker is gone are due again, and products that are gone are made again."""

import asyncio
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import psutil
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient import stages
from dbclient.database import Database
from dbclient.records import JobRecord, NodeRecord, ProductRecord
from dbclient.schema import FrameState, JobState, ReplicaState
from dbclient.stores import Frames, Jobs, Leases, Products, Replicas, Returns
from spica.pipeline.marks import KINDS, Marks
from terapix.clock import Clock
from terapix.journal import logger

log = logger("spica.recovery")

LOST = 10
"""Tries after which a job whose workers died each time counts as failed: it may be the job that kills them."""


MAP = stages.WEIGHT
"""Kind of the product whose provenance tells what a job read."""


def is_gone(worker: str | None, *, host: str) -> bool:
    """Tell whether a worker (``node:host:pid``) ran on this host and runs no more."""
    _, _, rest = (worker or "").partition(":")
    where, _, pid = rest.rpartition(":")
    return where == host and pid.isdigit() and not psutil.pid_exists(int(pid))


def lost(job: JobRecord, *, now: datetime, lease: float, host: str) -> str | None:
    """Say why a running job has lost its worker; none if it has not."""
    if job.state is not JobState.RUNNING:
        return None
    if is_gone(job.worker, host=host):
        return "its worker died"
    if job.beat_at is None or now - job.beat_at > timedelta(seconds=lease):
        return "its worker has fallen silent"
    return None


class Recovery:
    """Takes up what died with a worker."""

    def __init__(self, database: Database, clock: Clock, *, lease: float, source: str) -> None:
        self._database = database
        self._clock = clock
        self._lease = lease
        self._source = source
        self._host = socket.gethostname()

    async def pass_(self) -> int:
        """Make jobs due again whose worker is gone; return how many."""
        async with self._database.read() as session:
            found = await self._lost(session)
        if not found:
            return 0
        async with self._database.write() as session:
            found = await self._lost(session)
            for job, reason in found:
                log.warning("job has lost its worker", job=job.id, worker=job.worker, reason=reason)
                await self._give_back(session, job, reason)
        return len(found)

    async def _lost(self, session: AsyncSession) -> list[tuple[JobRecord, str]]:
        now = self._clock.now()
        running = await Jobs().in_state(session, JobState.RUNNING)
        told = [(job, lost(job, now=now, lease=self._lease, host=self._host)) for job in running]
        return [(job, reason) for job, reason in told if reason]

    async def _give_back(self, session: AsyncSession, job: JobRecord, reason: str) -> None:
        now = self._clock.now()
        if job.attempts < LOST:
            await Jobs().lost(session, job.id, reason=reason, now=now, source=self._source)
            return
        await Jobs().fail(
            session,
            job.id,
            job.claim or "",
            reason=f"{reason}, {job.attempts} times",
            retry_at=None,
            now=now,
            source=self._source,
        )

    async def take_up(self, *, stage: str, recipe: str) -> int:
        """Settle frames that were placed again after their file was lost; return how many.

        Where their maps are still held nothing is to be done; where a map was
        lost, or lies on a node that is missing, the job is due again with the frame.
        """
        async with self._database.read() as session:
            found = await Returns().placed(session, stage=stage, recipe=recipe)
        for again in found:
            async with self._database.write() as session:
                if not again.lost:
                    await self._say_weighted(session, again.frame_id, again.node_id)
                else:
                    reason = "its maps were lost with their node or disk"
                    await Jobs().lost(session, again.job_id, reason=reason, now=self._clock.now(), source=self._source)
                    await Jobs().rehome(session, again.frame_id, again.node_id)
        return len(found)

    async def _say_weighted(self, session: AsyncSession, frame_id: int, node_id: int) -> None:
        now = self._clock.now()
        message = "has its maps from before its file was lost"
        frame = await Frames().get(session, frame_id)
        if frame.state is not FrameState.PLACED:
            return
        await Frames().advance(
            session, frame_id, FrameState.WEIGHTED, now=now, source=self._source, message=message, event="weighted"
        )
        await Leases().settle(session, frame_id, node_id, frame=True, products=True, now=now)

    async def remake(self) -> int:
        """Have products made again that were lost, of frames that are held; return how many jobs are due again."""
        async with self._database.read() as session:
            found = await Returns().bereft(session)
        again = 0
        for bereft in found:
            async with self._database.write() as session:
                again += await self._make_again(session, bereft.job_id, "a product of it was lost", home=bereft.node_id)
        return again

    async def check_products(self, nodes: Sequence[NodeRecord]) -> int:
        """Make jobs due again whose products are no longer on a node that answers; return how many."""
        again = 0
        for node in nodes:
            root = Path(node.directory)
            if not node.state.answers or not await asyncio.to_thread((root / "products").is_dir):
                continue
            async with self._database.read() as session:
                held = await Products().on_node(session, node.id)
            gone = await asyncio.to_thread(_gone, root, held)
            for job_id, path in gone.items():
                log.warning("product is gone and is made again", job=job_id, node=node.name, path=path)
                async with self._database.write() as session:
                    again += await self._make_again(session, job_id, f"{path} is gone from {node.name}")
        return again

    async def follow(self, marks: Marks, *, stage: str) -> int:
        """Make jobs due again that were made of other marks than lie there now; return how many.

        Those that began after the marks were seen to change have read them: where they tell of others all the same,
        their node's host has other files, and making them again would not help.
        """
        async with self._database.read() as session:
            made = await Products().made_of(session, stage=stage, kind=MAP, kinds=KINDS)
        again = 0
        for each in made:
            if each.began is not None and marks.changed_at is not None and each.began > marks.changed_at:
                continue
            try:
                wanted = await asyncio.to_thread(marks.facts, each.name, each.runid)
            except OSError as problem:
                log.warning("marks cannot be read; the next look does", frame=each.name, problem=str(problem))
                continue
            changed = [kind for kind in KINDS if wanted.get(kind) != each.facts.get(kind)]
            if not changed:
                continue
            reason = f"what is marked by hand has changed ({', '.join(changed)})"
            async with self._database.write() as session:
                again += await self._make_again(session, each.job_id, reason)
        return again

    async def _make_again(self, session: AsyncSession, job_id: int, reason: str, *, home: int | None = None) -> bool:
        """Put the job back, where the frame is on its node or has another home; the frame too if it lacks its maps."""
        job = await Jobs().get(session, job_id)
        frame = await Frames().get(session, job.frame_id)
        replicas = await Replicas().of_frame(session, frame.id)
        home = home or job.node_id
        there = any(r.node_id == home and r.state is ReplicaState.HELD for r in replicas)
        if job.state is not JobState.DONE or frame.state is not FrameState.WEIGHTED or not there:
            return False
        now = self._clock.now()
        await Jobs().lost(session, job.id, reason=reason, now=now, source=self._source)
        await Jobs().rehome(session, frame.id, home)
        if job.stage != stages.WEIGHT:
            return True
        await Frames().advance(
            session, frame.id, FrameState.PLACED, now=now, source=self._source, message=f"is due again: {reason}"
        )
        return True


def _gone(root: Path, products: Sequence[ProductRecord]) -> dict[int, str]:
    """Give the jobs whose products are not where they were registered, each with the first such path."""
    gone: dict[int, str] = {}
    for product in products:
        if not (root / product.path).is_file():
            gone.setdefault(product.job_id, product.path)
    return gone
