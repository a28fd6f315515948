"""All daemons on one host: started together, restarted when they die, stopped together."""

import asyncio
import enum
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from datatransfer.agent.service import here
from terapix.errors import TerapixError
from terapix.journal import logger
from terapix.retry import Backoff
from terapix.sections import Settings

log = logger("supervisor")

DAEMONS = {"snooppix": "snooppix.service", "datatransfer": "datatransfer.service", "spica": "spica.service"}
"""Daemon and the module that runs it."""
PUBLISHER = {"publisher": "snooppix.publisher.service"}
"""The daemon for the way back, which runs where [publisher] says anything."""
RESTART = Backoff(first=0.5, factor=2.0, ceiling=30.0, attempts=1_000_000)
"""A daemon that dies at once is not restarted in a tight loop."""
STEADY = 60.0
"""Seconds after which a daemon counts as steady and its next death starts the backoff anew."""
PATIENCE = 30.0
"""Seconds that a daemon has to finish what it does before it is killed."""


AGENT = {"datatransfer-node": "datatransfer.agent.service"}
"""The agent of a host, which runs where [agent] names a certificate or a token."""


class Role(enum.StrEnum):
    """What a host does."""

    COORDINATOR = "coordinator"  #: reception, database, console; its own nodes too
    NODE = "node"  #: agent and workers of the nodes that lie there


class NoScheduler(TerapixError):
    """A host of nodes does not know where its workers shall join."""

    def __init__(self) -> None:
        super().__init__("spica.scheduler names no scheduler for the workers of this host, as reception:8786")


def daemons_of(settings: Settings, role: Role = Role.COORDINATOR) -> dict[str, str]:
    """Give the daemons that a host runs by its settings, each with the module that runs it and its arguments.

    The publisher is among them once [publisher] says anything, the agent once [agent] names what proves it.
    """
    if role is Role.NODE:
        if not settings.spica.scheduler:
            raise NoScheduler
        workers = {f"worker-{node}": f"spica.pipeline.outpost --node {node}" for node in sorted(here(settings))}
        return AGENT | workers
    publisher = PUBLISHER if settings.publisher != type(settings.publisher)() else {}
    return DAEMONS | publisher | (AGENT if settings.agent.serves else {})


@dataclass(slots=True)
class Child:
    """One daemon under supervision."""

    name: str
    process: asyncio.subprocess.Process | None = None
    deaths: int = 0
    """In a row, without a steady time between them."""
    log_file: IO[bytes] | None = field(default=None, repr=False)


class Supervisor:
    """Keeps the daemons of one host alive, each in a process of its own."""

    def __init__(
        self,
        config: Path,
        *,
        logs: Path | None,
        environment: Mapping[str, str] | None = None,
        daemons: Mapping[str, str] = DAEMONS,
        restart: Backoff = RESTART,
    ) -> None:
        self.config = config
        self.logs = logs
        """Directory of one log file a daemon; none: they write to our standard error."""
        self.environment = {**os.environ, **(environment or {})}
        self.daemons = dict(daemons)
        self.children = {name: Child(name) for name in daemons}
        self._restart = restart
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Start every daemon; from now on each is restarted when it dies."""
        if self.logs:
            self.logs.mkdir(parents=True, exist_ok=True)
        self._keepers = [
            asyncio.create_task(self._keep(child), name=f"keep {child.name}") for child in self.children.values()
        ]

    async def stop(self) -> None:
        """Ask every daemon to finish, wait for it, and kill what does not."""
        self._stopping.set()
        for child in self.children.values():
            self._signal(child, signal.SIGTERM)
        done, late = await asyncio.wait(self._keepers, timeout=PATIENCE) if self._keepers else (set(), set())
        for task in late:
            log.warning("daemon did not stop in time and is killed", daemon=task.get_name())
        for child in self.children.values():
            self._signal(child, signal.SIGKILL)
        await asyncio.gather(*done, *late, return_exceptions=True)
        for child in self.children.values():
            if child.log_file:
                child.log_file.close()

    def reload(self) -> None:
        """Pass SIGHUP on: the daemons read their settings again."""
        for child in self.children.values():
            self._signal(child, signal.SIGHUP)

    def pids(self) -> dict[str, int]:
        """Process numbers of the daemons that run now."""
        return {
            name: child.process.pid
            for name, child in self.children.items()
            if child.process and child.process.returncode is None
        }

    def _signal(self, child: Child, number: signal.Signals) -> None:
        if child.process and child.process.returncode is None:
            child.process.send_signal(number)

    async def _keep(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            child.process = await self._spawn(child)
            code = await child.process.wait()
            if self._stopping.is_set():
                return
            child.deaths = 1 if loop.time() - started > STEADY else child.deaths + 1
            delay = self._restart.delay(child.deaths)
            log.warning(
                "daemon died and is started again", daemon=child.name, code=code, deaths=child.deaths, delay=delay
            )
            try:
                await asyncio.wait_for(self._stopping.wait(), delay)
            except TimeoutError:
                continue

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        if self.logs and child.log_file is None:
            child.log_file = (self.logs / f"{child.name}.log").open("ab")
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *self.daemons[child.name].split(),
            "-c",
            str(self.config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=child.log_file,
            stderr=child.log_file,
            env=self.environment,
            start_new_session=True,  # Ctrl-C reaches us alone; we pass it on as SIGTERM
        )
