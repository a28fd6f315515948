"""The life of a daemon: ready, beating, reloading, draining.

A daemon's work is one coroutine. It calls `Daemon.ready` once it can serve,
`Daemon.beat` after every pass (which feeds systemd's watchdog, the status
endpoint and whoever else listens), and ends when `Daemon.stopping` is set.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aiohttp import web

from terapix.clock import Clock, SystemClock
from terapix.errors import TerapixError
from terapix.http import status_app
from terapix.journal import logger, open_journal
from terapix.metrics import Metrics
from terapix.notify import Notifier
from terapix.sections import Settings
from terapix.settings import Loaded, load

Work = Callable[["Daemon"], Awaitable[None]]
OnBeat = Callable[[str, dict[str, Any]], Awaitable[None]]
OnReload = Callable[[Settings], None]

SILENCE = 120.0
"""Seconds without a beat after which a daemon says of itself that it is not alive."""
HARD_STOP = 128 + signal.SIGINT
"""Exit code when a second Ctrl-C ends it at once."""

log = logger("daemon")


class Daemon:
    """One process: readiness, status, watchdog, signals, status endpoint."""

    def __init__(
        self,
        name: str,
        *,
        loaded: Loaded,
        status: tuple[str, int],
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        self.name = name
        self.clock: Clock = clock or SystemClock()
        self.metrics = metrics or Metrics()
        self.settings = loaded.settings
        self.started_at: datetime = self.clock.now()
        self.stopping = asyncio.Event()
        self.endpoint: str | None = None
        """Address of the status endpoint once it listens."""
        self.on_beat: list[OnBeat] = []
        self.on_reload: list[OnReload] = []
        self._loaded = loaded
        self._status_at = status
        self._notifier = notifier or Notifier()
        self._ready = False
        self._said = "starts"
        self._figures: dict[str, Any] = {}
        self._beat = self.clock.monotonic()
        self._interrupts = 0

    async def run(self, work: Work) -> int:
        """Run the work to its end and give the exit code: 0 ended as asked, 1 failed."""
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self._stop, signal.SIGINT: self._interrupt, signal.SIGHUP: self._reload}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        runner = web.AppRunner(status_app(self), access_log=None, shutdown_timeout=1.0)
        try:
            await self._listen(runner)
            await work(self)
        except TerapixError as problem:
            log.error("daemon failed", reason=str(problem))  # noqa: TRY400 - the reason is the message, not a trace
            self._notifier.send(STATUS=f"failed: {problem}")
            return 1
        except Exception:
            log.exception("daemon failed")
            return 1
        finally:
            self._ready = False
            self._notifier.send(STOPPING=1)
            await runner.cleanup()
            for number in handlers:
                loop.remove_signal_handler(number)
        log.info("daemon ended")
        return 0

    async def ready(self, status: str) -> None:
        """Say that the daemon serves from now on."""
        self._ready = True
        self._note(status, {})
        self._notifier.send(READY=1, STATUS=status)
        log.info("daemon is ready", endpoint=self.endpoint, status=status)
        await self._tell()

    async def beat(self, status: str, **figures: Any) -> None:
        """Say that a pass of the work ended well, and what there is to show."""
        self._note(status, figures)
        self._notifier.send(WATCHDOG=1, STATUS=status)
        await self._tell()

    def alive(self) -> bool:
        return self.clock.monotonic() - self._beat < SILENCE

    def is_ready(self) -> bool:
        return self._ready and not self.stopping.is_set()

    def report(self) -> dict[str, Any]:
        """Give what /status shows."""
        return {
            "daemon": self.name,
            "version": version("terapix"),
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": self.started_at.isoformat(),
            "uptime": (self.clock.now() - self.started_at).total_seconds(),
            "ready": self.is_ready(),
            "stopping": self.stopping.is_set(),
            "status": self._said,
            "last_beat": self.clock.monotonic() - self._beat,
            "settings": str(self._loaded.path or "defaults"),
            "figures": self._figures,
        }

    def figures_text(self) -> bytes:
        self.metrics.gauge("terapix_last_beat_seconds", "Seconds since the work loop's last pass").set(
            self.clock.monotonic() - self._beat
        )
        return self.metrics.text()

    def _note(self, status: str, figures: dict[str, Any]) -> None:
        self._said = status
        self._figures = {**self._figures, **figures}
        self._beat = self.clock.monotonic()

    async def _tell(self) -> None:
        for listener in self.on_beat:
            await listener(self._said, self._figures)

    async def _listen(self, runner: web.AppRunner) -> None:
        host, port = self._status_at
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as problem:
            raise EndpointTaken(self.name, host, port, problem) from problem
        bound = runner.addresses[0][1]
        self.endpoint = f"http://{f'[{host}]' if ':' in host else host}:{bound}"

    def _stop(self) -> None:
        if not self.stopping.is_set():
            log.info("daemon is asked to stop and finishes what it does")
            self._notifier.send(STOPPING=1, STATUS="finishes what it does")
        self.stopping.set()

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            os._exit(HARD_STOP)
        self._stop()

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            fresh = load(self._loaded.path)
        except TerapixError as problem:
            log.error("settings are bad, the old ones stay", reason=str(problem))  # noqa: TRY400 - as above
            self._said = f"settings are bad, the old ones stay: {problem}".splitlines()[0]
        else:
            self._loaded, self.settings = fresh, fresh.settings
            for listener in self.on_reload:
                listener(fresh.settings)
            log.info("settings were read again", path=str(fresh.path or "defaults"))
        self._notifier.send(READY=1, STATUS=self._said)


class EndpointTaken(TerapixError):
    """The status endpoint's port belongs to another program."""

    def __init__(self, name: str, host: str, port: int, problem: OSError) -> None:
        super().__init__(
            f"{name} cannot listen on {host}:{port} ({problem.strerror}): set another status port, or 0 for any"
        )


def command(name: str, work: Work, argv: Sequence[str] | None = None) -> int:
    """Run a daemon from the command line: ``NAME [-c FILE] [--version]``.

    Returns
    -------
    int
        0 ended as asked, 1 failed, 2 the settings are bad.
    """
    parser = argparse.ArgumentParser(prog=name, description=f"TERAPIX daemon {name}")
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="settings file (terapix.toml)")
    parser.add_argument("--version", action="version", version=f"{name} {version('terapix')}")
    arguments = parser.parse_args(argv)
    try:
        loaded = load(arguments.config)
    except TerapixError as problem:
        parser.exit(2, f"{problem}\n")
    open_journal(loaded.settings.journal, daemon=name)
    section = loaded.settings.status
    port = getattr(section, name.removeprefix("datatransfer-"))

    async def whole() -> int:
        return await Daemon(name, loaded=loaded, status=(section.host, port)).run(work)

    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(whole())
    return HARD_STOP
