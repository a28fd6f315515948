"""The daemon `datatransfer`: finds frames room on a node, moves them there and records it."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from datatransfer.archivist import Archivist
from datatransfer.assignment import Assignment
from datatransfer.audit import Audit
from datatransfer.bookkeeper import Bookkeeper
from datatransfer.calibrations import Calibrations
from datatransfer.clearing import Clearing
from datatransfer.depots import Depots
from datatransfer.missing import Missing
from datatransfer.moves import Moves
from datatransfer.nodes import Roster
from datatransfer.orders import Orders
from datatransfer.rounds import Rounds
from datatransfer.schedule import IMMEDIATE_FIRST, Alarm, Schedule, Turn
from datatransfer.scrub import Scrub
from datatransfer.sealer import Sealer
from datatransfer.sweep import Sweep
from datatransfer.taking_back import TakingBack
from datatransfer.upkeep import Upkeep
from dbclient.database import Database
from dbclient.heartbeat import keep_heartbeat
from dbclient.schema import TransferMode
from terapix.clock import Clock
from terapix.daemon import Daemon, command
from terapix.errors import TerapixError
from terapix.journal import logger
from terapix.sections import Settings

log = logger("datatransfer")

NAME = "datatransfer"
IDLE = 20.0
"""Seconds between two passes when nothing changed: below the watchdog's limit and a daemon's silence."""
SWEEP = 60.0
"""Seconds between two sweeps at least: what needs one is left by a process that died, and each start makes one."""
BREATH = 0.1
"""Seconds between two passes at least; a long pass is followed by as long a pause."""
LOCK = Path("datatransfer.lock")
"""File in paths.directory that the one datatransfer of a host holds locked."""
LOCK_AGAIN = 0.5
"""Seconds between two tries of the lock while an older process ends."""


class Coordinator:
    """One pass of everything: what is wanted against what is held."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._clock = clock
        self._interval = settings.datatransfer.interval
        self._sweep_at = clock.monotonic()
        self.refused = 0
        """Frames that fitted nowhere in the last pass."""
        self.schedule = Schedule(database, settings.datatransfer, clock)
        self.depots = Depots(settings, clock)
        self.roster = Roster(database, settings, clock, self.depots, source=NAME)
        self.assignment = Assignment(database, settings, clock, self.roster, source=NAME)
        self.orders = Orders(database, clock, self.assignment)
        self.moves = Moves(
            database, clock, self.roster, self.depots, settings, keep_away=self.assignment.keep_away, source=NAME
        )
        self.calibrations = Calibrations(database, clock, self.roster, self.depots, source=NAME)
        self.sweep = Sweep(database, settings, clock, self.roster, self.depots, source=NAME)
        self.sealer = Sealer(database, clock)
        scrub = Scrub(database, clock, self.depots, source=NAME)
        back = TakingBack(database, clock, self.depots, source=NAME)
        self.missing = Missing(database, clock, days=settings.datatransfer.missing_days, source=NAME)
        self.upkeep = Upkeep(scrub, back, settings, clock, busy=lambda: bool(self.moves.under_way))
        self.bookkeeper = Bookkeeper(database, clock)
        self.archivist = Archivist(database, settings.retention, settings.at(settings.retention.archive), clock)
        self.rounds = Rounds(
            database,
            settings,
            clock,
            audit=Audit(database, settings, clock, self.depots, source=NAME),
            clearing=Clearing(database, settings, clock, self.depots, source=NAME),
            source=NAME,
        )

    async def start(self) -> None:
        await self.roster.register()

    async def pass_(self) -> str:
        """Compare and act; return what there is to say."""
        await self.roster.look()
        if self._clock.monotonic() >= self._sweep_at:
            await self.sweep.pass_(moving=self.moves.files)
            self._sweep_at = self._clock.monotonic() + max(self._interval, SWEEP)
        await self.missing.pass_()
        turn = await self.schedule.look()
        await self.orders.obey()
        for mode in IMMEDIATE_FIRST:
            if mode in turn.due:
                await self._run(turn, mode)
        await self.moves.pass_(paused=turn.paused)
        self.calibrations.pass_()
        await self.sealer.pass_()
        self.upkeep.pass_([standing.node for standing in self.roster.standings.values()])
        self.rounds.pass_(list(self.roster.standings.values()))
        await self.bookkeeper.pass_()
        self.archivist.pass_()
        up = len(self.roster.standings)
        said = [f"{len(self.moves.under_way)} moving"]
        if self.refused:
            said.append(f"{self.refused} waiting for room")
        if self.moves.paused:
            said.append(f"{self.moves.paused} paused")
        if turn.paused:
            said.append(f"{' and '.join(sorted(turn.paused))} transfers are paused")
        said.append(f"{up} node answers" if up == 1 else f"{up} nodes answer")
        return ", ".join(said)

    async def _run(self, turn: Turn, mode: TransferMode) -> None:
        """Run one mode: promise room to what operators want, or to what the rules want."""
        if mode is TransferMode.IMMEDIATE:
            carried_out = await self.orders.pass_()
            said = f"{_orders(carried_out)} carried out" if carried_out else "there was no order"
            await self.schedule.ran(turn, mode, did=bool(carried_out), said=said)
            return
        plan = await self.assignment.pass_()
        self.refused = len(plan.refused)
        said = f"{_frames(len(plan.promises))} promised room" if plan.promises else "no frame was to be placed"
        if plan.refused:
            said += f", {len(plan.refused)} wait for room"
        await self.schedule.ran(turn, mode, did=bool(plan.promises), said=said)

    async def close(self) -> None:
        await self.archivist.close()
        await self.rounds.close()
        await self.upkeep.close()
        await self.calibrations.close()
        await self.moves.close()
        await self.depots.close()


def _frames(count: int) -> str:
    return "1 frame was" if count == 1 else f"{count} frames were"


def _orders(count: int) -> str:
    return "1 order was" if count == 1 else f"{count} orders were"


@contextlib.asynccontextmanager
async def alone(path: Path, stop: asyncio.Event) -> AsyncIterator[bool]:
    """Hold the host's lock: two coordinators would take each other's moves for left over. False if told to stop."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        told = False
        while not stop.is_set():
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    log.warning("another datatransfer runs here; this one waits for its end", lock=str(path))
                    told = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOCK_AGAIN)
            else:
                break
        yield not stop.is_set()
    finally:
        os.close(handle)


async def work(daemon: Daemon) -> None:
    """Pass after pass until the daemon is told to stop."""
    settings = daemon.settings
    database = await Database.open(settings.database_url)
    try:
        async with alone(settings.at(LOCK), daemon.stopping) as ours:
            if ours:
                await _work(daemon, database, settings)
    finally:
        await database.close()


async def _work(daemon: Daemon, database: Database, settings: Settings) -> None:
    coordinator = Coordinator(database, settings, daemon.clock)
    alarm = Alarm(daemon.stopping)
    try:
        heartbeat = keep_heartbeat(daemon, database)
        await alarm.start()
        await coordinator.start()
        await daemon.ready("looking at the nodes")
        while not daemon.stopping.is_set():
            if daemon.settings is not settings:
                settings = daemon.settings
                await coordinator.close()
                coordinator = Coordinator(database, settings, daemon.clock)
                await coordinator.start()
            begin = daemon.clock.monotonic()
            try:
                said = await coordinator.pass_()
            except TerapixError as problem:
                log.exception("pass broke off; the next one takes it up")
                said = f"a pass broke off: {problem}"
            _count(daemon, coordinator)
            await daemon.beat(said, moving=len(coordinator.moves.under_way))
            await _pause(daemon.stopping, max(BREATH, daemon.clock.monotonic() - begin))
            alarm.set(coordinator.schedule.next_at)
            await database.changed(timeout=IDLE, stop=alarm.rang)
        await heartbeat.end()
    finally:
        await alarm.close()
        await coordinator.close()


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


def _count(daemon: Daemon, coordinator: Coordinator) -> None:
    """Set the figures that monitors read."""
    gauge = daemon.metrics.gauge
    gauge("terapix_moves_running", "Frames that are being moved").set(len(coordinator.moves.under_way))
    gauge("terapix_frames_waiting_for_room", "Valid frames that fit on no node").set(coordinator.refused)
    free = gauge("terapix_node_free_bytes", "Bytes still to be had on a node, before promises", "node")
    for name, standing in coordinator.roster.standings.items():
        free.labels(name).set(standing.node.free)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon."""
    return command(NAME, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
