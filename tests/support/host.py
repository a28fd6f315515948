"""A whole host for flow tests: a stand-in archive, real daemon processes, and what must hold at the end."""

import asyncio
import contextlib
import hashlib
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from dbclient.database import Database
from dbclient.schema import FrameState, JobState
from dbclient.stores import Frames, Jobs, Leases, Nodes, Products, Replicas, Transfers
from snooppix.standin.server import StandIn
from spica.chain import Summary, summarise
from spica.demo import Night, prepare
from spica.supervisor import Supervisor
from terapix.clock import SystemClock
from terapix.sections import Settings

KERNELS = Path(tempfile.gettempdir()) / f"terapix-kernels-{os.getuid()}"
"""Compiled kernels, shared by all hosts of the flow tests."""
WORKING = ("scratch", "cache", "log")
"""Directories in which files come and go."""


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

    async def until(self, condition: "object", *, seconds: float) -> Summary:
        """Wait for a condition on the summary; the daemons' logs are the message if it does not come."""
        async with asyncio.timeout(seconds):
            while True:
                summary = await self.summary()
                if condition(summary):  # type: ignore[operator]
                    return summary
                await self.database.changed(timeout=0.5)

    async def until_weighted(self, frames: int, *, seconds: float = 180.0) -> Summary:
        try:
            return await self.until(lambda s: s.states.get(FrameState.WEIGHTED, 0) == frames, seconds=seconds)
        except TimeoutError:
            raise AssertionError(await self.evidence()) from None

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
        """Kill one of our processes, chosen by `chance`."""
        victim = chance.choice(sorted(self.processes(), key=lambda p: p.pid))
        name = " ".join(victim.cmdline()[1:4])
        os.kill(victim.pid, signal.SIGKILL)
        return name

    async def faults(self) -> list[str]:
        """List everything that is not as it must be once all frames are weighted: empty when all is well."""
        async with self.database.read() as session:
            frames = [f for f in await Frames().search(session, limit=1000) if f.state is FrameState.WEIGHTED]
            nodes = {node.id: node for node in await Nodes().all(session)}
            wrong = [f"open lease of frame {lease.frame_id}" for lease in await Leases().open(session)]
            wrong += [f"transfer of {t.frame} still {t.state}" for t in await Transfers().running(session)]
            known: set[Path] = set()
            for frame in frames:
                jobs = await Jobs().of_frame(session, frame.id)
                if [job.state for job in jobs] != [JobState.DONE]:
                    wrong.append(f"{frame.name} has jobs {[job.state.value for job in jobs]}")
                for product in await Products().of_frame(session, frame.id):
                    known.add(path := Path(nodes[product.node_id].directory) / product.path)
                    wrong += _differs(path, product.digest)
            for node in nodes.values():
                for replica in await Replicas().on_node(session, node.id):
                    known.add(path := Path(node.directory) / replica.path)
                    wrong += _differs(path, replica.digest)
        for node in nodes.values():
            wrong += [f"orphan {path}" for path in _files(Path(node.directory)) if path not in known]
        wrong += [
            f"left in reception: {path}" for path in _files(self.settings.reception) if "calibrations" not in path.parts
        ]
        return wrong


def _files(root: Path) -> list[Path]:
    return [p for p in root.rglob("*") if p.is_file() and not set(WORKING) & set(p.relative_to(root).parts)]


def _differs(path: Path, digest: str) -> list[str]:
    if not path.exists():
        return [f"{path} is registered and not there"]
    found = f"md5:{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"
    return [] if found == digest else [f"{path} has digest {found}, registered is {digest}"]


@contextlib.asynccontextmanager
async def host(night: Night, *, environment: Mapping[str, str] | None = None) -> AsyncIterator[Host]:
    """Start a host on frames that were painted before."""
    settings = prepare(night).settings
    database = await Database.open(settings.database_url, create=True)
    archive = StandIn(night.archive, clock=SystemClock())
    address = await archive.start("127.0.0.1", 0)
    supervisor = Supervisor(
        night.config,
        logs=night.directory / "log",
        environment={
            "TERAPIX_ARCHIVE__REGISTRY": f"{address.rstrip('/')}/reg/resource-caps",
            "TERAPIX_PATHS__CACHE": str(KERNELS),
            **(environment or {}),
        },
    )
    await supervisor.start()
    try:
        yield Host(night, settings, database, archive, supervisor)
    finally:
        await supervisor.stop()
        await archive.close()
        await database.close()
