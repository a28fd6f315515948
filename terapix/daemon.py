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
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from terapix import __version__
from terapix.clock import Clock, SystemClock
from terapix.errors import TerapixError
from terapix.heap import Heap
from terapix.http import address, bind, status_app
from terapix.journal import keep_journal, logger
from terapix.metrics import Metrics
from terapix.notify import Notifier
from terapix.overlay import Overlay
from terapix.sections import Settings, StatusSection
from terapix.settings import Loaded, SettingsError, load

Work = Callable[["Daemon"], Awaitable[None]]
OnBeat = Callable[[str, dict[str, Any]], Awaitable[None]]
OnReload = Callable[[Settings], None]

SILENCE: Final = 120.0
"""Seconds without a beat after which a daemon says of itself that it is not alive; WatchdogSec of the units."""
ENDED, FAILED, BAD_SETTINGS, INTERRUPTED = 0, 1, 2, 128 + signal.SIGINT
"""Exit codes: ended as asked; the work failed; settings or arguments are bad; a second Ctrl-C cut it off."""

log = logger("daemon")


class EndpointTaken(TerapixError):
    """The status endpoint's address is not to be had."""

    def __init__(self, name: str, host: str, port: int, problem: OSError) -> None:
        super().__init__(
            f"{name} cannot listen on {host}:{port}: {problem.strerror or problem}; "
            f"set another status.{port_key(name)}, or 0 for any free port"
        )
        self.host, self.port = host, port


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
        """Replaced on SIGHUP: look here on every pass instead of keeping a copy."""
        self.started_at: datetime = self.clock.now()
        self.stopping = asyncio.Event()
        """Set on SIGTERM or SIGINT: finish what is begun, begin nothing new."""
        self.endpoint: str | None = None
        """Address of the status endpoint once it listens."""
        self.on_beat: list[OnBeat] = []
        """Told status and figures when the daemon is ready and after every pass; what they raise is logged."""
        self.on_reload: list[OnReload] = []
        self.hangups = 0
        """How often SIGHUP asked to read the settings again."""
        self._loaded = loaded
        self._status_at = status
        self._notifier = notifier or Notifier()
        self._ready = False
        self._status = "starts"
        self._complaint = ""
        self._figures: dict[str, Any] = {}
        self._beat_at = self.started_at
        self._beat = self.clock.monotonic()
        self._interrupts = 0
        self._heap: Heap | None = None

    async def run(self, work: Work) -> int:
        """Run the work to its end and give the exit code: `ENDED` or `FAILED`."""
        loop = asyncio.get_running_loop()
        self._heap = Heap(self.clock)
        handlers = {signal.SIGTERM: self._stop, signal.SIGINT: self._interrupt, signal.SIGHUP: self._hangup}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        names = frozenset({socket.gethostname(), *self.settings.status.names})
        runner = web.AppRunner(status_app(self, names=names), access_log=None, shutdown_timeout=1.0)
        code = FAILED
        try:
            await self._listen(runner)
            await work(self)
            code = ENDED
        except TerapixError as problem:
            log.error("daemon failed", reason=str(problem))  # noqa: TRY400 - the reason says it all, a trace would hide it
            self._notifier.send(STATUS=f"failed: {problem}")
        except Exception as problem:
            log.exception("daemon failed", reason=f"{type(problem).__name__}: {problem}")
            self._notifier.send(STATUS=f"failed: {type(problem).__name__}: {problem}")
        finally:
            self._ready = False
            self._notifier.send(STOPPING=1)
            await runner.cleanup()
            for number in handlers:
                loop.remove_signal_handler(number)
        if code == ENDED:
            log.info("daemon ended")
        return code

    async def ready(self, status: str) -> None:
        """Say that the daemon serves from now on."""
        self._ready = True
        self._note(status, {})
        self._notifier.send(READY=1, STATUS=self._said())
        log.info("daemon is ready", endpoint=self.endpoint, status=status)
        await self._tell()

    async def beat(self, status: str, **figures: Any) -> None:
        """Say that a pass of the work ended well, and what there is to show.

        Call it at least every `SILENCE` / 3 seconds, and from the work itself: a
        beat from a timer would hide work that hangs. Figures stay until they are
        told again; numbers among them stand in /metrics as ``terapix_figure{name}``.
        """
        self._note(status, figures)
        self._notifier.send(WATCHDOG=1, STATUS=self._said())
        self.metrics.counter("terapix_passes_total", "Passes of the work loop").inc()
        for name, value in figures.items():
            if isinstance(value, (int, float)):
                self.metrics.gauge("terapix_figure", "What the daemon says of itself", "name").labels(name).set(value)
        if self._heap:
            self._heap.pass_()
        await self._tell()

    def alive(self) -> bool:
        """Tell whether the last beat is recent enough."""
        return self.clock.monotonic() - self._beat < SILENCE

    def is_ready(self) -> bool:
        """Tell whether the daemon serves."""
        return self._ready and not self.stopping.is_set()

    def report(self) -> dict[str, Any]:
        """Give what /status shows."""
        return {
            "daemon": self.name,
            "version": __version__,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": self.started_at.isoformat(),
            "uptime": (self.clock.now() - self.started_at).total_seconds(),
            "alive": self.alive(),
            "ready": self.is_ready(),
            "stopping": self.stopping.is_set(),
            "status": self._said(),
            "last_beat": self._beat_at.isoformat(),
            "settings": str(self._loaded.path or "defaults"),
            "figures": self._figures,
        }

    def figures_text(self) -> bytes:
        """Give what /metrics shows."""
        silence = self.metrics.gauge("terapix_silence_seconds", "Seconds since the last pass of the work loop")
        silence.set(self.clock.monotonic() - self._beat)
        self.metrics.gauge("terapix_ready", "1 while the daemon serves").set(self.is_ready())
        return self.metrics.text()

    def _said(self) -> str:
        return f"{self._status} ({self._complaint})" if self._complaint else self._status

    def _note(self, status: str, figures: Mapping[str, Any]) -> None:
        self._status = status
        self._figures = {**self._figures, **figures}
        self._beat, self._beat_at = self.clock.monotonic(), self.clock.now()

    async def _tell(self) -> None:
        for listener in self.on_beat:
            try:
                await listener(self._said(), dict(self._figures))
            except Exception:
                log.exception("a beat was not heard")

    async def _listen(self, runner: web.AppRunner) -> None:
        await runner.setup()
        try:
            bound = bind(*self._status_at)
        except OSError as problem:
            raise EndpointTaken(self.name, *self._status_at, problem) from problem
        await web.SockSite(runner, bound).start()
        self.endpoint = address(bound)

    def _stop(self) -> None:
        if not self.stopping.is_set():
            log.info("daemon is asked to stop and finishes what it does")
            self._notifier.send(STOPPING=1, STATUS="finishes what it does")
        self.stopping.set()

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            os._exit(INTERRUPTED)
        self._stop()

    @property
    def loaded(self) -> Loaded:
        """The settings in force, and where they come from."""
        return self._loaded

    def reload(self, overlay: Overlay | None) -> str | None:
        """Read the settings again, with what operators edited laid over the file.

        Returns
        -------
        str
            What is wrong with them; then nothing changes but the status, which says so. None if all is well.
        """
        self._notifier.reloading()
        try:
            fresh = load(self._loaded.path, overlay=overlay)
            for listener in self.on_reload:
                listener(fresh.settings)
        except SettingsError as failure:
            log.error("settings are bad, the old ones stay", problems=failure.problems)  # noqa: TRY400 - as above
            self._complaint = f"settings are bad, the old ones stay: {failure.problems[0]}"
        except Exception as problem:
            log.exception("settings cannot be taken over, the old ones stay")
            self._complaint = f"settings cannot be taken over, the old ones stay: {problem}"
        else:
            self._loaded, self.settings, self._complaint = fresh, fresh.settings, ""
            log.info("settings were read again", path=str(fresh.path or "defaults"))
        if self._ready:
            self._notifier.send(READY=1, STATUS=self._said())
        return self._complaint or None

    def _hangup(self) -> None:
        """SIGHUP: what operators edited meanwhile is looked up by whoever looks after it, on its next pass."""
        self.hangups += 1
        self.reload(self._loaded.overlay)


def port_key(name: str) -> str:
    """Give the key in [status] that holds a daemon's port: ``node`` for datatransfer-node, else its name."""
    short = name.removeprefix("datatransfer-").replace("publisher", "publish")
    if short not in StatusSection.model_fields:
        raise ValueError(f"no port is declared for daemon {name!r} in [status]")
    return short


def command(name: str, work: Work, argv: Sequence[str] | None = None) -> int:
    """Run a daemon from the command line: ``NAME [-c FILE] [--version]``.

    Returns
    -------
    int
        `ENDED`, `FAILED`, `BAD_SETTINGS` or `INTERRUPTED`.
    """
    parser = argparse.ArgumentParser(prog=name, description=f"TERAPIX daemon {name}")
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="settings file (terapix.toml)")
    parser.add_argument("--version", action="version", version=f"{name} {__version__}")
    arguments = parser.parse_args(argv)
    try:
        loaded = load(arguments.config)
    except SettingsError as failure:
        sys.stderr.write(f"{failure}\n")
        return BAD_SETTINGS
    keep_journal(loaded.settings, daemon=name)
    section = loaded.settings.status

    async def whole() -> int:
        daemon = Daemon(name, loaded=loaded, status=(section.host, getattr(section, port_key(name))))
        daemon.on_reload.append(lambda settings: keep_journal(settings, daemon=name))
        return await daemon.run(work)

    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(whole())
    return INTERRUPTED
