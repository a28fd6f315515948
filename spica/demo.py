"""The demo night: painted MegaCam frames at a stand-in archive, and the whole chain behind it.

``terapix demo`` paints while the chain already runs, as a night goes: the first
frames are on their nodes while later ones are still being exposed.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Self

import tomlkit
from yarl import URL

from dbclient.database import Database
from dbclient.records import JobRecord
from dbclient.schema import FrameState, JobState
from dbclient.stages import SOURCES
from dbclient.stores import Frames, Jobs, Products
from processing.skymaker.painter import paint_run
from snooppix.standin.server import StandIn
from spica.accounts import ensure_operator
from spica.chain import Summary, summarise
from spica.supervisor import Role, Supervisor, daemons_of
from terapix.clock import SystemClock
from terapix.errors import TerapixError
from terapix.http import bind
from terapix.settings import Loaded, load

WHOLE = 36
"""CCDs of a MegaCam frame."""
ROOM_EACH = 3_500_000_000
"""Bytes a demo node is given for each 36-CCD frame: frame, maps and scratch, with some to spare."""


DISK_EACH = 1_900_000_000
"""Bytes on the disk for each 36-CCD frame: itself at the archive and on its node (0.6 GB), a flat there and at the
reception (0.5), its maps (0.4) and the maps that frames of the flat share (0.4)."""


class AnotherCamera(TerapixError):
    """The directory holds a demo with frames of another size."""

    def __init__(self, night: "Night", held: str) -> None:
        super().__init__(
            f"{night.directory} holds a demo of {held} and {night.instrument} is wanted: "
            f"give another --directory, or the --ccds of that demo"
        )
        self.held = held


class OtherHosts(TerapixError):
    """The directory holds a demo on another number of hosts."""

    def __init__(self, night: "Night", held: int) -> None:
        what = f"{held} hosts" if held else "one host"
        super().__init__(f"{night.directory} holds a demo on {what}: give another --directory")
        self.held = held


class NoSpace(TerapixError):
    """The disk cannot hold the demo."""

    def __init__(self, directory: Path, *, needed: int, free: int) -> None:
        super().__init__(
            f"{directory} has {free / 1e9:.1f} GB free and the demo needs about {needed / 1e9:.1f} GB: "
            f"choose another place with --directory, or less with --frames and --ccds"
        )


class Interrupted(TerapixError):
    """The painter was asked to stop; what it had finished is kept."""


@dataclass(frozen=True, slots=True)
class Night:
    """What to simulate, and where."""

    directory: Path
    frames: int
    ccds: int
    seed: int = 2003
    served: Path | None = None
    """Directory of the archive's files, where it is not the directory's own."""
    hosts: int = 0
    """Hosts that the night is spread over, each with an agent and a worker on an address of its own; 0: none."""

    @property
    def archive(self) -> Path:
        """Directory that the stand-in archive serves."""
        return self.served or self.directory / "archive"

    @property
    def instrument(self) -> str:
        """Camera of the night: MegaCam, or its first CCDs."""
        return "megacam" if self.ccds == WHOLE else f"megacam:{self.ccds}"

    @property
    def config(self) -> Path:
        return self.directory / "terapix.toml"


def paint(night: Night, progress: Callable[[str, float], None]) -> None:
    """Paint the night's frames and calibrations, on all cores; what is painted already is kept.

    The painter's kernels are compiled before its processes start, which would else compile them side by side.
    """
    from processing.kernels import compile as kernels  # noqa: PLC0415 - brings the compiler

    kernels.warm(lambda share: progress(f"kernels, {share:.0%}", 0.0), kernels.PAINTER)
    paint_run(
        night.archive,
        frames=night.frames,
        ccds=night.ccds,
        seed=night.seed,
        workers=os.cpu_count() or 1,
        truth=night.directory / "truth",
        progress=progress,
    )


def prepare(night: Night) -> Loaded:
    """Make the demo's directory and its settings file; what an earlier demo left there is kept."""
    night.archive.mkdir(parents=True, exist_ok=True)
    if not night.config.exists():
        needed = int(night.frames * DISK_EACH * night.ccds / WHOLE)
        free = shutil.disk_usage(night.directory).free
        if free < needed:
            raise NoSpace(night.directory, needed=needed, free=free)
        night.config.write_text(tomlkit.dumps(_settings(night)))
    _find_ports(night)
    loaded = load(night.config)
    if night.hosts and (night.hosts != len(loaded.settings.nodes) or not loaded.settings.agent.serves):
        raise OtherHosts(night, len(loaded.settings.nodes) if loaded.settings.agent.serves else 0)
    if loaded.settings.snooppix.instrument != night.instrument:
        raise AnotherCamera(night, loaded.settings.snooppix.instrument)
    return loaded


def _settings(night: Night) -> dict[str, Any]:
    """Give the settings of the demo, where they differ from the defaults."""
    capacity = max(2_000_000_000, int(ROOM_EACH * (night.frames + 2) * night.ccds / WHOLE))
    return {
        **(_hosts(night) if night.hosts else {}),
        "paths": {"directory": str(night.directory.absolute())},
        "archive": {"registry": "http://127.0.0.1:1/reg/resource-caps"},
        "snooppix": {
            "poll": 5.0,
            "reserve": 200_000_000,
            "instrument": night.instrument,
        },
        "datatransfer": {"interval": 20.0, **({"policy": "balance"} if night.hosts else {})},
        "nodes": [
            {"name": f"node{n}", "directory": f"nodes/node{n}", "capacity": capacity, "reserve": 100_000_000}
            for n in range(1, (night.hosts or 2) + 1)
        ],
    }


def _hosts(night: Night) -> dict[str, Any]:
    """Give the sections of a night on several hosts: a token for their agents, and a scheduler that they find."""
    token = night.directory.absolute() / "agent-token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(24))
    return {
        "agent": {"token": str(token), "nodes": ["node1"]},
        "spica": {},
    }


def _find_ports(night: Night) -> None:
    """Write down where agents and scheduler listen: on ports that are free at this start, on every address."""
    held = tomlkit.parse(night.config.read_text())
    if "agent" not in held:
        return
    nodes = held["nodes"]
    addresses = [f"127.0.0.{number}" for number in range(1, len(nodes) + 1)]
    agents, scheduler = _free_port(addresses), _free_port(addresses[:1])
    held["agent"]["port"] = agents
    held["spica"]["scheduler_port"] = scheduler
    held["spica"]["scheduler"] = f"127.0.0.1:{scheduler}"
    for node, address in zip(nodes, addresses, strict=True):
        node["address"] = f"http://{address}:{agents}"
    night.config.write_text(tomlkit.dumps(held))


def _free_port(addresses: Sequence[str]) -> int:
    """Give a port that nobody has on any of these addresses now."""
    for _ in range(20):
        with contextlib.ExitStack() as bound, contextlib.suppress(OSError):
            port = int(bound.enter_context(bind(addresses[0], 0)).getsockname()[1])
            for address in addresses[1:]:
                bound.enter_context(bind(address, port))
            return port
    raise TerapixError(f"no port is free on all of {', '.join(addresses)}")


class Demo:
    """A night in progress: the painter, the stand-in archive and the daemons."""

    def __init__(self, night: Night, loaded: Loaded) -> None:
        self.night = night
        self.loaded = loaded
        self.painting = "begins (its kernels are compiled at the first start)"
        """What the painter does now; empty when all is painted."""
        self.painted = 0.0
        """Share of the painting done, 0 to 1."""
        self.password: str | None = None
        """The operator's new password, to be shown once."""
        self._clock = SystemClock()
        self._stopped = threading.Event()
        self._exits = contextlib.AsyncExitStack()
        self._paint: asyncio.Task[None] | None = None
        self.database: Database

    async def __aenter__(self) -> Self:
        try:
            await self._begin()
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self._exits.aclose()

    async def _begin(self) -> None:
        settings = self.loaded.settings
        self.database = await Database.open(settings.database_url, create=True)
        self._exits.push_async_callback(self.database.close)
        async with self.database.write() as session:
            self.password = await ensure_operator(session, self._clock.now())
        archive = StandIn(self.night.archive, clock=self._clock)
        address = await archive.start("127.0.0.1", 0)
        self._exits.push_async_callback(archive.close)
        supervisor = Supervisor(
            self.night.config,
            logs=self.night.directory / "log",
            environment={"TERAPIX_ARCHIVE__REGISTRY": f"{address.rstrip('/')}/reg/resource-caps"},
            daemons=daemons_of(settings),
        )
        self._paint = asyncio.create_task(self._paint_all())
        self._exits.push_async_callback(self._stop_painting)
        await supervisor.start()
        self._exits.push_async_callback(supervisor.stop)
        for host in hosts_of(self.night, self.loaded):
            await host.start()
            self._exits.push_async_callback(host.stop)

    async def _paint_all(self) -> None:
        loop = asyncio.get_running_loop()

        def progress(what: str, share: float) -> None:
            if self._stopped.is_set():
                raise Interrupted
            loop.call_soon_threadsafe(self._progress, what, share)

        await asyncio.to_thread(paint, self.night, progress)
        self.painting, self.painted = "", 1.0

    def _progress(self, what: str, share: float) -> None:
        self.painting, self.painted = what, share

    async def _stop_painting(self) -> None:
        self._stopped.set()
        if self._paint:
            with contextlib.suppress(Interrupted):
                await self._paint

    async def look(self) -> Summary:
        """See how far the night has come."""
        if self._paint and self._paint.done():
            self._paint.result()
        async with self.database.read() as session:
            return await summarise(session, now=self._clock.now(), settings=self.loaded.settings)

    async def finished(self, summary: Summary) -> bool:
        """Tell whether every painted frame has come to its end."""
        return self.painted >= 1.0 and sum(summary.states.values()) >= self.night.frames and summary.finished

    async def page(self) -> str | None:
        """Address of the console, once it is open."""
        async with self.database.read() as session:
            summary = await summarise(session, now=self._clock.now(), settings=self.loaded.settings)
        for daemon in summary.daemons:
            if daemon.name == "spica" and daemon.figures and daemon.figures.get("page"):
                return str(daemon.figures["page"])
        return None


def hosts_of(night: Night, loaded: Loaded) -> list[Supervisor]:
    """Give the supervisors of the other hosts of a night: each an agent and a worker, with a directory of its own."""
    found = []
    for node in loaded.settings.nodes:
        if not node.address or node.address == loaded.settings.agent.own:
            continue
        home = night.directory.absolute() / "hosts" / node.name
        home.mkdir(parents=True, exist_ok=True)
        environment = {
            "TERAPIX_PATHS__DIRECTORY": str(home),
            "TERAPIX_PATHS__CACHE": str(loaded.settings.at(loaded.settings.paths.cache)),
            "TERAPIX_AGENT__LISTEN": str(URL(node.address).host),
            "TERAPIX_AGENT__NODES": node.name,
        }
        settings = load(night.config, environment={**os.environ, **environment}).settings
        daemons = daemons_of(settings, Role.NODE)
        found.append(Supervisor(night.config, logs=home / "log", environment=environment, daemons=daemons))
    return found


async def account(database: Database, *, seconds: float, catalogues: bool = True) -> dict[str, Any]:
    """Sum the night up: each frame, what became of it, and how long it took.

    Parameters
    ----------
    catalogues : whether weighted frames get catalogues
    """
    async with database.read() as session:
        frames = await Frames().search(session, limit=100_000)
        listed = []
        for frame in reversed(frames):
            products = await Products().of_frame(session, frame.id)
            jobs = await Jobs().of_frame(session, frame.id)
            listed.append(
                {
                    "name": frame.name,
                    "generation": frame.generation,
                    "state": frame.state.value,
                    "reason": frame.reason,
                    "runid": frame.runid,
                    "filter": frame.filter,
                    "node": frame.node,
                    "seconds": _seconds(frame.spotted_at, frame.weighted_at),
                    "products": {
                        product.kind: {"path": product.path, "size": product.size, "digest": product.digest}
                        for product in products
                    },
                    "catalogued": _seconds(frame.spotted_at, frame.catalogued_at),
                    **_found(jobs),
                    "jobs": [
                        {
                            "stage": job.stage,
                            "state": job.state.value,
                            "attempts": job.attempts,
                            "seconds": _seconds(job.started_at, job.ended_at),
                        }
                        for job in jobs
                    ],
                }
            )
    weighted = sum(frame["state"] == FrameState.WEIGHTED.value for frame in listed)
    catalogued = sum(frame["catalogued"] is not None for frame in listed)
    seeings = [frame["seeing"] for frame in listed if frame["seeing"] is not None]
    return {
        "frames": len(listed),
        "weighted": weighted,
        "catalogued": catalogued,
        "sources": sum(frame["sources"] or 0 for frame in listed),
        "seeing": median(seeings) if seeings else None,
        "ok": weighted == len(listed) > 0 and (catalogued == weighted or not catalogues),
        "seconds": round(seconds, 1),
        "night": listed,
    }


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return round((end - begin).total_seconds(), 2) if begin and end else None


def _found(jobs: Sequence[JobRecord]) -> dict[str, Any]:
    """What the latest sources job counted: sources, stars, and the seeing (")."""
    done = [job.summary for job in jobs if job.stage == SOURCES and job.state is JobState.DONE and job.summary]
    last = done[-1] if done else {}
    return {key: last.get(key) for key in ("sources", "stars", "seeing")}
