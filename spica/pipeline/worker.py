"""The worker: does one job on the node where the frame lies, and records it in one transaction.

Runs in a process of its own, which Dask calls by the node's name. A job is taken
by a token; only who holds it may record. A worker that dies, or is so slow that
its job was given to another one, loses the token and leaves nothing behind.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.database import Database
from dbclient.records import FrameRecord, JobRecord, NewProduct
from dbclient.schema import ReplicaState
from dbclient.stores import Frames, Jobs, Nodes, Replicas
from spica.pipeline.marks import marked_by_hand
from spica.pipeline.orders import Order, Outcome
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


class OtherVersion(TerapixError):
    """The node's software would not make what the job was made for."""

    retryable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a stage works on."""

    frame: FrameRecord
    path: Path
    flat: Path | None
    mask: Path | None
    regions: tuple[Path, ...]
    """What people marked on the frame, and on all frames of its run."""
    hot: Path | None
    """What is hot all over the run."""
    star_catalogues: tuple[Path, ...]
    """Stars whose haloes, spikes and ghosts are marked."""
    into: Path
    """Directory of the products."""
    scratch: Path
    """Directory for what the stage unpacks; it clears up after itself there, also after one that was killed."""
    recipe: str
    """Digest that the job was made for."""
    provenance: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Made:
    """What a stage made."""

    products: tuple[NewProduct, ...]
    """Paths are absolute still."""
    summary: dict[str, Any]


Stage = Callable[[Order, Inputs, Callable[[float], None]], Made]


def warm(directory: Path) -> None:
    """See that every kernel is compiled: takes half a minute once, and a second when the cache has them.

    The first process that comes compiles, the others of this host wait for it.
    """
    from processing.kernels import compile as kernels  # noqa: PLC0415 - compilers are loaded on the nodes alone

    directory.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    with (directory / "compile.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kernels.warm()
    log.info("kernels are compiled", seconds=round(time.monotonic() - begin, 1))


def recipe_digest(name: str) -> str:
    """Digest of a recipe with the software that runs it."""
    from processing.recipes import load_recipe  # noqa: PLC0415 - so that the console can ask without loading pixels

    return str(load_recipe(name).digest)


def weigh(order: Order, inputs: Inputs, progress: Callable[[float], None]) -> Made:
    """Make weight and flag maps of a frame."""
    from processing.recipes import load_recipe  # noqa: PLC0415 - as above
    from processing.weightwatcher import weigh_frame  # noqa: PLC0415 - as above

    recipe = load_recipe(order.recipe)
    if recipe.digest != inputs.recipe:
        raise OtherVersion(
            f"{order.node} has another version of recipe {order.recipe}: {recipe.digest}, wanted is {inputs.recipe}"
        )
    made = weigh_frame(
        inputs.path,
        flat=inputs.flat,
        mask=inputs.mask,
        regions=inputs.regions,
        hot=inputs.hot,
        star_catalogues=inputs.star_catalogues,
        into=inputs.into,
        recipe=recipe,
        scratch=inputs.scratch,
        workers=order.workers,
        progress=progress,
        provenance=inputs.provenance,
    )
    products = tuple(
        NewProduct(
            kind=file.kind, path=str(file.path), size=file.size, digest=f"md5:{file.md5}", provenance=file.provenance
        )
        for file in made.products
    )
    return Made(products, dict(made.summary))


STAGES: Mapping[str, Stage] = {"weight": weigh}


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
        reached("job.recorded")
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
            paths: dict[str, Path | None] = {}
            provenance = {"frame": held[1] if held else "", "generation": str(frame.generation)}
            for kind, name in (("flat", frame.flat), ("mask", frame.mask)):
                calibration = await Frames().named(session, name) if name else None
                found = await self._held(session, calibration.id) if calibration else None
                if name and found is None:
                    raise InputGone(f"{kind} {name} is not on {self._order.node}")
                paths[kind] = found[0] if found else None
                if found:
                    provenance[kind] = found[1]
        if held is None or not held[0].is_file():
            raise InputGone(
                f"{frame.name} is not on {self._order.node}: {held[0] if held else 'no replica'} is missing"
            )
        into = self._root / "products" / _directory(frame.runid)
        await asyncio.to_thread(into.mkdir, parents=True, exist_ok=True)
        regions, hot = await asyncio.to_thread(marked_by_hand, self._order.masks, frame.name, frame.runid)
        return Inputs(
            frame,
            held[0],
            paths["flat"],
            paths["mask"],
            regions,
            hot,
            tuple(map(Path, self._order.star_catalogues)),
            into,
            self._root / "scratch",
            job.recipe,
            provenance,
        )

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
