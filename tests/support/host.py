"""A whole host for flow tests: a stand-in archive, real daemon processes, and what must hold at the end."""

import asyncio
import contextlib
import hashlib
import os
import random
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameState, JobState, ProductState, RequestKind
from dbclient.stores import Chronicles, Frames, Jobs, Leases, Nodes, Products, Replicas, Requests, Transfers
from snooppix.standin.faults import Faults
from snooppix.standin.server import StandIn
from spica.chain import Summary, summarise
from spica.demo import Night, prepare
from spica.story import tell
from spica.supervisor import Supervisor, daemons_of
from terapix.clock import SystemClock
from terapix.retry import Backoff
from terapix.sections import Settings
from terapix.settings import load
from tests.support.zygote import ForkingSupervisor

KERNELS = Path(tempfile.gettempdir()) / f"terapix-kernels-{os.getuid()}"
"""Compiled kernels, shared by all hosts of the flow tests."""
IN_A_HURRY = {
    "TERAPIX_DATATRANSFER__INTERVAL": "2",
    "TERAPIX_PROCESSING__STAGES": '["weight"]',
    "TERAPIX_PROCESSING__LEASE": "5",
    "TERAPIX_SNOOPPIX__POLL": "1",
    "TERAPIX_SNOOPPIX__READ_TIMEOUT": "8",
    "TERAPIX_SPICA__PORT": "0",
}
"""Settings of a host whose nights are short."""
BOTH_STAGES = {"TERAPIX_PROCESSING__STAGES": '["weight", "sources"]'}
"""The whole chain, for the nights that are about it: a frame takes twice as long."""
AT_ONCE = Backoff(first=0.05, factor=1.0, ceiling=0.05, attempts=1_000_000)
"""A daemon that was killed is started again."""
WORKING = ("scratch", "cache", "log")
"""Directories in which files come and go."""


Found = TypeVar("Found")


@dataclass(slots=True)
class Host:
    """Daemons at work in one directory."""

    night: Night
    settings: Settings
    database: Database
    archive: StandIn
    supervisor: Supervisor

    async def summary(self) -> Summary:
        async with self.database.read() as session:
            return await summarise(session, now=SystemClock().now(), settings=self.settings)

    async def pause(self, seconds: float) -> None:
        """Let the daemons work for a while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await self.database.changed(timeout=seconds)

    async def until(self, condition: Callable[[], Awaitable[Found | None]], *, seconds: float) -> Found:
        """Wait until a condition finds something; what a person would look at is the message if it does not."""
        try:
            async with asyncio.timeout(seconds):
                while (found := await condition()) is None:
                    await self.database.changed(timeout=0.5)
        except TimeoutError:
            raise AssertionError(await self.evidence()) from None
        return found

    async def until_weighted(self, frames: int, *, seconds: float = 180.0) -> Summary:
        async def weighted() -> Summary | None:
            summary = await self.summary()
            return summary if summary.states.get(FrameState.WEIGHTED, 0) == frames else None

        return await self.until(weighted, seconds=seconds)

    async def until_in_order(self, *, apart_from: str = "", seconds: float = 30.0) -> None:
        """Wait until nothing is wrong: what a killed process has left is cleared up by the next passes."""
        wrong: list[str] = []

        async def in_order() -> bool | None:
            wrong[:] = [fault for fault in await self.faults() if not apart_from or apart_from not in fault]
            return None if wrong else True

        try:
            await self.until(in_order, seconds=seconds)
        except AssertionError as late:
            raise AssertionError("\n".join([*wrong, str(late)])) from None

    async def frame(self, name: str) -> FrameRecord | None:
        async with self.database.read() as session:
            return await Frames().named(session, name)

    async def until_frame(
        self, name: str, state: FrameState, *, because: str | None = None, seconds: float = 120.0
    ) -> FrameRecord:
        """Wait until a frame is in a state, with a reason in which these words stand."""

        async def there() -> FrameRecord | None:
            frame = await self.frame(name)
            if frame is None or frame.state is not state or (because and because not in (frame.reason or "")):
                return None
            return frame

        return await self.until(there, seconds=seconds)

    async def story(self, name: str) -> str:
        """Give what `terapix why` tells of a frame."""
        async with self.database.read() as session:
            frame = await Frames().named(session, name)
            assert frame is not None, name
            chronicle = await Chronicles().of(session, frame)
        return "\n".join(tell(chronicle, now=SystemClock().now()))

    async def ask(self, name: str) -> None:
        """Ask that a frame be tried again at once, as an operator does."""
        async with self.database.write() as session:
            arguments = {"frame": name}
            await Requests().ask(session, RequestKind.RETRY, arguments, by="test", now=SystemClock().now())

    async def evidence(self) -> str:
        """Give what a person would look at when frames do not arrive."""
        async with self.database.read() as session:
            frames = await Frames().search(session, limit=100)
            jobs = await Jobs().counts(session)
        lines = [f"{f.name} {f.state} attempts={f.attempts} why={f.reason}" for f in frames] + [f"jobs {jobs}"]
        for log in sorted((self.night.directory / "log").glob("*.log")):
            lines += [f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-15:]]
        return "\n".join(lines)

    def processes(self) -> list[psutil.Process]:
        """Every process of ours that a power cut could take: daemons, workers and their children."""
        found: list[psutil.Process] = []
        for pid in self.supervisor.pids().values():
            with contextlib.suppress(psutil.NoSuchProcess):
                daemon = psutil.Process(pid)
                found += [daemon, *daemon.children(recursive=True)]
        return found

    def kill_one(self, chance: random.Random) -> str:
        """Kill one of our processes, chosen by `chance`; one that ends by itself just now is as good."""
        victim = chance.choice(sorted(alive(self.processes()), key=lambda p: p.pid))
        try:
            name = " ".join(victim.cmdline()[1:4])
            victim.kill()
        except psutil.NoSuchProcess:
            return f"{victim.pid}, which had just ended"
        return name

    async def faults(self) -> list[str]:
        """List everything that is not as it must be once all frames are weighted: empty when all is well."""
        async with self.database.read() as session:
            frames = await Frames().search(session, limit=1000, superseded=True)
            nodes = {node.id: node for node in await Nodes().all(session)}
            wrong = [f"open lease of frame {lease.frame_id}" for lease in await Leases().open(session)]
            wrong += [f"transfer of {t.frame} still {t.state}" for t in await Transfers().running(session)]
            known: set[Path] = set()
            stages = list(self.settings.processing.stages)
            for frame in frames:
                jobs = await Jobs().of_frame(session, frame.id)
                done = [job.stage for job in jobs if job.state is JobState.DONE]
                if frame.state is FrameState.WEIGHTED and (done != stages or len(jobs) != len(done)):
                    wrong.append(f"{frame.name} has jobs {[(job.stage, job.state.value) for job in jobs]}")
                for product in await Products().of_frame(session, frame.id):
                    known.add(path := Path(nodes[product.node_id].directory) / product.path)
                    if product.state is ProductState.HELD:
                        wrong += _differs(path, product.digest)
            for node in nodes.values():
                for replica in await Replicas().on_node(session, node.id):
                    known.add(path := Path(node.directory) / replica.path)
                    wrong += _differs(path, replica.digest)
        for node in nodes.values():
            wrong += [f"orphan {path}" for path in _files(Path(node.directory)) if path not in known]
        wrong += [
            f"left in reception: {path}"
            for path in _files(self.settings.reception)
            if not {"calibrations", "to_CADC"} & set(path.parts)
        ]
        return wrong


def free_port() -> int:
    """Find a port that a process can take, also again after it was killed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def alive(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Give those that still run; one that has ended and that nobody has asked for its code is gone all the same."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _files(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if p.is_file() and not set(WORKING) & set(p.relative_to(root).parts)]


def _differs(path: Path, digest: str) -> list[str]:
    if not path.exists():
        return [f"{path} is registered and not there"]
    found = f"md5:{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"
    return [] if found == digest else [f"{path} has digest {found}, registered is {digest}"]


@contextlib.asynccontextmanager
async def host(
    night: Night,
    *,
    environment: Mapping[str, str] | None = None,
    faults: Faults | None = None,
    daemons: bool = True,
) -> AsyncIterator[Host]:
    """Start a host on frames that were painted before.

    Parameters
    ----------
    environment : settings that the daemons get beside those of the demo, as ``TERAPIX_SECTION__KEY``; with any for the
        publisher, it runs too
    faults : what goes wrong at the archive
    daemons : whether the daemons run; a test may also start them by another way
    """
    around = {**IN_A_HURRY, "TERAPIX_PATHS__CACHE": str(KERNELS), **(environment or {})}
    prepare(night)
    settings = load(night.config, environment=around).settings
    async with contextlib.AsyncExitStack() as exits:
        database = await Database.open(settings.database_url, create=True)
        exits.push_async_callback(database.close)
        archive = await exits.enter_async_context(StandIn(night.archive, faults=faults, clock=SystemClock()))
        around["TERAPIX_ARCHIVE__REGISTRY"] = archive.registry
        supervisor = ForkingSupervisor(
            night.config,
            logs=night.directory / "log",
            environment=around,
            restart=AT_ONCE,
            daemons=daemons_of(settings),
        )
        if daemons:
            await supervisor.start()
            exits.push_async_callback(supervisor.stop)
        yield Host(night, settings, database, archive, supervisor)
