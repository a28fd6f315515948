"""The schedule: when automatic and immediate mode run. The database decides; APScheduler wakes the daemon."""

import asyncio
import contextlib
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from dbclient.database import Database
from dbclient.rulebook import ModeRecord
from dbclient.schema import TransferMode
from dbclient.stores import Modes
from terapix.clock import Clock
from terapix.hosts import DatatransferSection

IMMEDIATE_FIRST: Final = (TransferMode.IMMEDIATE, TransferMode.AUTOMATIC)
"""Order in which modes run: what operators want is promised room before what the rules want."""


class Cause(enum.Enum):
    """Why a mode runs."""

    COUNTDOWN = "countdown"  #: its time has come
    ASKED = "asked"  #: an operator asked for it
    NEWS = "news"  #: something changed in the database


@dataclass(frozen=True, slots=True)
class Turn:
    """What runs in a pass."""

    due: Mapping[TransferMode, Cause]
    paused: frozenset[TransferMode]
    """Modes that begin nothing, not even what they have promised."""
    next_at: Mapping[TransferMode, datetime]
    """When the countdown of each mode that is not paused ends."""
    asked_at: Mapping[TransferMode, datetime | None]
    """The request of an operator that a run answers; another one that comes meanwhile has a run of its own."""


def decide(modes: Mapping[TransferMode, ModeRecord], section: DatatransferSection, *, now: datetime) -> Turn:
    """Decide which modes run now. Pure.

    A countdown that is longer than the mode's interval (the clock was set back,
    or the interval was shortened) begins anew.
    """
    due: dict[TransferMode, Cause] = {}
    next_at: dict[TransferMode, datetime] = {}
    for name, mode in modes.items():
        if mode.paused:
            continue
        interval = timedelta(seconds=interval_of(section, name))
        ends = min(mode.next_at or now, now + interval)
        if mode.asked_at is not None:
            due[name] = Cause.ASKED
        elif ends <= now:
            due[name] = Cause.COUNTDOWN
        elif section.prompt:
            due[name] = Cause.NEWS
        next_at[name] = ends
    paused = frozenset(name for name, mode in modes.items() if mode.paused)
    return Turn(due, paused, next_at, {name: mode.asked_at for name, mode in modes.items()})


def interval_of(section: DatatransferSection, mode: TransferMode) -> float:
    """Give the seconds between two runs of a mode."""
    return section.immediate if mode is TransferMode.IMMEDIATE else section.interval


class Schedule:
    """Keeps the countdowns, which anybody can read in the database."""

    def __init__(self, database: Database, section: DatatransferSection, clock: Clock) -> None:
        self._database = database
        self._section = section
        self._clock = clock
        self.next_at: dict[TransferMode, datetime] = {}
        """When the countdown of each mode ends that is not paused, as of the last look."""

    async def look(self) -> Turn:
        """Say which modes run in this pass; a countdown that makes no sense is written anew."""
        async with self._database.read() as session:
            modes = await Modes().all(session)
        now = self._clock.now()
        found = decide(modes, self._section, now=now)
        self.next_at = dict(found.next_at)
        for name, ends in found.next_at.items():
            if name not in found.due or found.due[name] is Cause.NEWS:
                held = modes[name]
                if held.next_at != ends:
                    async with self._database.write() as session:
                        every = interval_of(self._section, name)
                        await Modes().set_next(session, name, every=every, next_at=ends)
        return found

    async def ran(self, turn: Turn, mode: TransferMode, *, did: bool, said: str) -> None:
        """Write down that a mode has run, and when it runs next; news that came to nothing are not written down."""
        if turn.due[mode] is Cause.NEWS and not did:
            return
        now = self._clock.now()
        every = interval_of(self._section, mode)
        self.next_at[mode] = now + timedelta(seconds=every)
        async with self._database.write() as session:
            await Modes().ran(
                session,
                mode,
                every=every,
                next_at=self.next_at[mode],
                said=said,
                now=now,
                answers=turn.asked_at.get(mode),
            )


class Alarm:
    """Wakes the daemon when a countdown ends, or when it is to stop."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self.rang = asyncio.Event()
        self._stopping = stopping
        self._watch: asyncio.Task[None] | None = None
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    async def start(self) -> None:
        self._scheduler.start()
        self._watch = asyncio.create_task(self._until_stopped(), name="alarm")

    async def close(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch

    def set(self, next_at: Mapping[TransferMode, datetime]) -> None:
        """Ring at these moments, and at no others."""
        if not self._stopping.is_set():
            self.rang.clear()
        for mode in TransferMode:
            job = self._scheduler.get_job(mode.value)
            if mode in next_at:
                if job is None or job.next_run_time != next_at[mode]:
                    trigger = DateTrigger(next_at[mode])
                    self._scheduler.add_job(self._ring, trigger, id=mode.value, replace_existing=True)
            elif job is not None:
                self._scheduler.remove_job(mode.value)

    async def _ring(self) -> None:
        self.rang.set()

    async def _until_stopped(self) -> None:
        await self._stopping.wait()
        self.rang.set()
