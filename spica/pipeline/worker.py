"""The worker: does one job on the node where the frame lies, and records it in one transaction.

Runs in a process of its own, which Dask calls by the node's name. A job is taken
by a token; only who holds it may record. A worker that dies, or is so slow that
its job was given to another one, loses the token and leaves nothing behind.
"""

import asyncio
import contextlib
import errno
import os
import secrets
import socket
import threading
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient import stages as names
from dbclient.database import Database
from dbclient.records import FrameRecord, JobRecord, NewProduct
from dbclient.schema import ProductState, ReplicaState
from dbclient.stores import Frames, Jobs, Nodes, Products, Replicas
from spica.pipeline.marks import marked_by_hand
from spica.pipeline.orders import Order, Outcome
from spica.pipeline.stages import STAGES, Inputs, Made, Stage
from terapix.clock import Clock, SystemClock
from terapix.errors import TerapixError
from terapix.identity import safe_name
from terapix.journal import logger
from terapix.retry import Backoff
from terapix.steps import reached

log = logger("spica.worker")

AGAIN = Backoff(first=5.0, factor=4.0, ceiling=600.0, attempts=1_000_000)
"""A job that failed is tried again after this; how often, the settings say."""
LOST = 10
"""Tries after which a job counts as failed although it was a process that died each time: it may be what kills them."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk without room says."""
BEAT = 2.0
"""Seconds between two heartbeats of a running job, and its progress as the page shows it."""
stopping = threading.Event()
"""Set when this process is asked to end: a running job is given back."""
idle = threading.Event()
"""Set while no job runs in this process."""
idle.set()


class ClaimLost(TerapixError):
    """The job was given to another worker."""


class Stopping(TerapixError):
    """Its process is asked to end."""


class InputGone(TerapixError):
    """A file that the job needs is not on the node."""

    retryable: ClassVar[bool] = True


def work(order: Order, *, stages: Mapping[str, Stage] = STAGES, clock: Clock | None = None) -> Outcome:
    """Do one job; every end of it is written in the database."""
    idle.clear()
    try:
        return asyncio.run(Attempt(order, stages[order.stage], clock or SystemClock()).run())
    finally:
        idle.set()


class Attempt:
    """One try of one job."""

    def __init__(self, order: Order, stage: Stage, clock: Clock) -> None:
        self._order = order
        self._stage = stage
        self._clock = clock
        self._token = secrets.token_hex(16)
        self._root = Path(order.directory)
        self._share = 0.0
        self._lost = threading.Event()
        self._jobs = Jobs()

    @property
    def name(self) -> str:
        """Node, host and process: who has the job."""
        return worker_name(self._order.node, os.getpid())

    async def run(self) -> Outcome:
        database = await Database.open(self._order.url)
        try:
            return await self._run(database)
        finally:
            await database.close()

    async def _run(self, database: Database) -> Outcome:
        job = await self._claim(database)
        if job is None:
            return Outcome.NOT_OURS
        reached("job.claimed")
        source = f"worker:{self._order.node}"
        begin = self._clock.monotonic()
        try:
            inputs = await self._inputs(database, job)
            async with self._beating(database):
                made = await asyncio.to_thread(self._stage, self._order, inputs, self._progress)
            recorded = await self._record(database, made, seconds=self._clock.monotonic() - begin, source=source)
        except ClaimLost:
            return Outcome.NOT_OURS
        except Stopping as problem:
            await self._give_back(database, str(problem), source=source)
            return Outcome.GIVEN_BACK
        except Exception as problem:
            if not isinstance(problem, TerapixError | OSError):
                log.exception("stage failed", job=self._order.job, node=self._order.node)
            await self._fail(database, job, problem, source=source)
            return Outcome.FAILED
        if not recorded:
            return Outcome.NOT_OURS
        reached("job.recorded" if self._order.stage == names.WEIGHT else f"{self._order.stage}.recorded")
        log.info("job done", job=self._order.job, frame=inputs.frame.name, node=self._order.node)
        return Outcome.DONE

    async def _claim(self, database: Database) -> JobRecord | None:
        """Take the job, if it has not gone to another node with its frame, and nobody else has it."""
        async with database.write() as session:
            job = await self._jobs.get(session, self._order.job)
            if job.node != self._order.node:
                return None
            ours = await self._jobs.claim(session, job.id, worker=self.name, token=self._token, now=self._clock.now())
            return await self._jobs.get(session, job.id) if ours else None

    async def _inputs(self, database: Database, job: JobRecord) -> Inputs:
        async with database.read() as session:
            frame = await Frames().get(session, job.frame_id)
            held = await self._held(session, frame.id)
            provenance = {"frame": held[1] if held else "", "generation": str(frame.generation)}
            read = await self._read(session, frame)
        if held is None or not held[0].is_file():
            raise InputGone(
                f"{frame.name} is not on {self._order.node}: {held[0] if held else 'no replica'} is missing"
            )
        into = self._root / "products" / _directory(frame.runid)
        await asyncio.to_thread(into.mkdir, parents=True, exist_ok=True)
        paths = {kind: path for kind, (path, _) in read.items()}
        provenance |= {kind: digest for kind, (_, digest) in read.items()}
        regions, hot = await asyncio.to_thread(marked_by_hand, self._order.masks, frame.name, frame.runid)
        return Inputs(
            frame,
            held[0],
            paths.get("flat"),
            paths.get("mask"),
            regions,
            hot,
            tuple(map(Path, self._order.star_catalogues)),
            into,
            self._root / "scratch",
            job.recipe,
            provenance,
            paths,
        )

    async def _read(self, session: AsyncSession, frame: FrameRecord) -> dict[str, tuple[Path, str]]:
        """Path and digest of what the stage reads beside the frame: its calibrations, or its maps."""
        found: dict[str, tuple[Path, str]] = {}
        wanted = names.READS[self._order.stage]
        if wanted:
            node = await Nodes().named(session, self._order.node)
            for product in await Products().of_frame(session, frame.id):
                here = node is not None and product.node_id == node.id and product.state is ProductState.HELD
                if here and product.stage == names.WEIGHT and product.kind in wanted:
                    found[product.kind] = self._root / product.path, product.digest
            for kind in wanted:
                if kind not in found or not found[kind][0].is_file():
                    raise InputGone(f"the {kind} map of {frame.name} is not on {self._order.node}")
            return found
        for kind, name in (("flat", frame.flat), ("mask", frame.mask)):
            calibration = await Frames().named(session, name) if name else None
            held = await self._held(session, calibration.id) if calibration else None
            if name and held is None:
                raise InputGone(f"{kind} {name} is not on {self._order.node}")
            if held:
                found[kind] = held
        return found

    async def _held(self, session: AsyncSession, frame_id: int) -> tuple[Path, str] | None:
        """Path and digest of a frame or calibration on this node."""
        node = await Nodes().named(session, self._order.node)
        for replica in await Replicas().of_frame(session, frame_id):
            if node and replica.node_id == node.id and replica.state is ReplicaState.HELD:
                return self._root / replica.path, replica.digest
        return None

    def _progress(self, share: float) -> None:
        """Told by the stage, in its thread: how far it is. Ends the stage when it works in vain."""
        self._share = share
        if self._lost.is_set():
            raise ClaimLost(f"job {self._order.job} was given to another worker")
        if stopping.is_set():
            raise Stopping("its worker was stopped")

    @contextlib.asynccontextmanager
    async def _beating(self, database: Database) -> AsyncIterator[None]:
        beats = asyncio.create_task(self._beat(database))
        try:
            yield
        finally:
            beats.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beats

    async def _beat(self, database: Database) -> None:
        while True:
            await self._clock.sleep(min(BEAT, self._order.lease / 4))
            async with database.write() as session:
                ours = await self._jobs.beat(
                    session, self._order.job, self._token, share=self._share, now=self._clock.now()
                )
            if not ours:
                self._lost.set()
                return

    async def _record(self, database: Database, made: Made, *, seconds: float, source: str) -> bool:
        products = [_below(product, self._root) for product in made.products]
        async with database.write() as session:
            return await self._jobs.finish(
                session,
                self._order.job,
                self._token,
                products=products,
                summary={"seconds": round(seconds, 3), **made.summary},
                now=self._clock.now(),
                source=source,
                followed=bool(self._order.after),
            )

    async def _give_back(self, database: Database, reason: str, *, source: str) -> None:
        now = self._clock.now()
        async with database.write() as session:
            await self._jobs.fail(
                session, self._order.job, self._token, reason=reason, retry_at=now, now=now, source=source
            )

    async def _fail(self, database: Database, job: JobRecord, problem: Exception, *, source: str) -> None:
        now = self._clock.now()
        retry_at = again(problem, attempts=job.attempts, allowed=self._order.attempts, now=now)
        reason = in_words(problem)
        log.warning("job failed", job=job.id, node=self._order.node, reason=reason, retry_at=retry_at)
        async with database.write() as session:
            await self._jobs.fail(
                session, job.id, self._token, reason=reason, retry_at=retry_at, now=now, source=source
            )


def again(problem: Exception, *, attempts: int, allowed: int, now: datetime) -> datetime | None:
    """Say when a failed job is due again; none if its tries are used up. Pure.

    A full disk is not the frame's fault and never uses its tries up. What cannot
    get better by waiting, as a damaged file, is not tried again; what was killed
    from outside is tried at once, `LOST` times at the most.
    """
    if isinstance(problem, OSError) and problem.errno in FULL:
        return now + timedelta(seconds=AGAIN.delay(attempts))
    if isinstance(problem, TerapixError):
        if not problem.retryable or attempts >= LOST:
            return None
        return now + timedelta(seconds=0 if attempts < allowed else AGAIN.delay(attempts - allowed + 1))
    return None if attempts >= allowed else now + timedelta(seconds=AGAIN.delay(attempts))


def in_words(problem: Exception) -> str:
    """Say why a stage failed, for a person."""
    if isinstance(problem, MemoryError):
        return "its node has not enough memory"
    if isinstance(problem, OSError) and problem.errno in FULL:
        return (
            f"the disk of its node is full ({problem.filename})" if problem.filename else "the disk of its node is full"
        )
    said = str(problem) or "no reason given"
    return said if isinstance(problem, TerapixError) else f"{type(problem).__name__}: {said}"


def worker_name(node: str, pid: int) -> str:
    """Name a worker process as jobs remember it."""
    return f"{node}:{socket.gethostname()}:{pid}"


def _below(product: NewProduct, root: Path) -> NewProduct:
    path = Path(product.path).relative_to(root)
    return NewProduct(
        kind=product.kind, path=str(path), size=product.size, digest=product.digest, provenance=product.provenance
    )


def _directory(runid: str | None) -> str:
    try:
        return safe_name(runid or "no-run")
    except ValueError:
        return "no-run"
