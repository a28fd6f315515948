"""Whatever the archive does, and in whatever order: at the end what is held is what is offered, byte for byte, once.

The archive is the stand-in with its faults, over HTTP; SNOOPPIX is whole, on a
clock that the test sets, and each of its steps is taken when the test says so.
The model is a dictionary: what the archive offers now, and what it ever did.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dbclient.schema import FrameState, TransferState
from dbclient.stores import Frames, Transfers
from snooppix.errors import ArchiveError
from snooppix.standin.kinds import (
    Busy,
    ClockSkew,
    Dropped,
    DuplicateRows,
    Expired,
    Failing,
    Fault,
    Flipped,
    Forbidden,
    Gzip,
    HexDigest,
    Hidden,
    Listed,
    LoginPage,
    Missing,
    NoDigest,
    Overflow,
    QueryError,
    Redirected,
    Refused,
    Renewed,
    Replaced,
    Short,
    Unauthorised,
    Unlocated,
    WholeForRange,
    Withdrawn,
    WrongDigest,
    WrongRange,
)
from terapix.clock import SetClock
from tests.snooppix.desk import Desk, laid_out, settings_for, small_camera
from tests.support.archive import ServedArchive, small_fits

T = TypeVar("T")

NAMES = tuple(f"{number}p" for number in range(979412, 979416))
CCDS = 2
CAMERA = small_camera().with_ccds(CCDS)
CONTENTS = {(name, seed): small_fits(name, ccds=CCDS, seed=seed) for name in NAMES for seed in range(3)}
SIZE = len(CONTENTS[NAMES[0], 0])
NIGHT = datetime(2008, 3, 30, 6, tzinfo=UTC)
PATIENCE = 20
"""Passes in which all must have come right once the faults are over; each lets an hour go by."""

names = st.sampled_from(NAMES)
places = st.integers(0, SIZE - 1)
services = st.sampled_from(["minoc*", "raven", "argus", "reg"])
files = names.map("{}*".format)
faults = st.one_of(
    st.builds(Dropped, name=files, after=places, times=st.integers(1, 3)),
    st.builds(Flipped, name=files, byte=places, times=st.integers(1, 4)),
    st.builds(Short, name=files, missing=st.integers(1, SIZE)),
    st.builds(Missing, name=files),
    st.builds(Busy, retry_after=st.sampled_from(["", "1", "120", "Sun, 30 Mar 2008 06:30:00 GMT"])),
    st.builds(Busy, status=st.just(429), at=services),
    st.builds(Failing, status=st.sampled_from([500, 502, 504, 408, 404]), at=services),
    st.builds(LoginPage, at=services),
    st.builds(Refused, at=services, times=st.integers(1, 3)),
    st.builds(Unauthorised, at=services),
    st.builds(Forbidden, at=services),
    st.builds(Redirected, at=services),
    st.builds(Expired, name=files, status=st.sampled_from([401, 403])),
    st.builds(WrongRange, name=files, shift=st.integers(-3, 3)),
    st.builds(Overflow, rows=st.integers(0, 3)),
    st.builds(Hidden, name=files),
    st.builds(Withdrawn, name=files),
    st.builds(ClockSkew, seconds=st.sampled_from([-90_000.0, -60.0, 60.0, 90_000.0])),
    st.builds(Listed, name=files, lag=st.sampled_from([60.0, 7_200.0])),
    st.builds(Listed, name=files, length=st.integers(0, 2 * SIZE)),
    st.builds(Listed, name=files, checksum=st.just("md5:" + "0" * 32)),
    st.sampled_from(
        [WrongDigest(), NoDigest(), HexDigest(), Gzip(), QueryError(), DuplicateRows(), Unlocated(), WholeForRange()]
    ),
)
"""All that pass by themselves or are taken back at the end; those that stall need real time and are tested alone."""


class WhateverTheOrder(RuleBasedStateMachine):
    """An archive that offers, replaces, withdraws and fails; a follower that is stopped and started."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.place = Path(tempfile.mkdtemp(prefix="whatever-"))
        self.clock = SetClock(NIGHT)
        self.offered: dict[str, bytes] = {}
        """By name, what the archive has now."""
        self.ever: dict[str, set[bytes]] = {name: set() for name in NAMES}
        self.open = contextlib.AsyncExitStack()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        for directory in ("archive", "other"):
            (self.place / directory).mkdir()
        self.archive = ServedArchive(self.place / "archive", clock=self.clock)
        self.do(self.archive.standin.start("127.0.0.1", 0))
        self.do(self._start())

    async def _start(self) -> None:
        wanted = settings_for(self.place / "host", self.archive.registry, attempts=3)
        self.desk: Desk = await self.open.enter_async_context(laid_out(wanted, camera=CAMERA, clock=self.clock))
        await asyncio.to_thread(self.desk.snooppix.receptions.prepare)
        await self.desk.snooppix.healer.close_transfers()
        await self.desk.snooppix.healer.heal(busy=())

    async def _stop(self) -> None:
        await self.desk.snooppix.fetcher.stop()
        self.desk.snooppix.receptions.release()
        await self.open.aclose()

    @rule(name=names, seed=st.integers(0, 2))
    def offer(self, name: str, seed: int) -> None:
        content = CONTENTS[name, seed]
        self.archive.offer(name, content=content)
        self.ever[name].add(content)
        self.clock.advance(1.0)

    @rule(name=names)
    def withdraw(self, name: str) -> None:
        if (self.archive.directory / f"{name}.fits.fz").exists():
            self.archive.withdraw(name)

    @rule(fault=faults)
    def go_wrong(self, fault: Fault) -> None:
        self.archive.faults.add(fault)

    @rule(name=names, seed=st.integers(0, 2), after=places, kind=st.sampled_from([Replaced, Renewed]))
    def change_while_it_is_read(self, name: str, seed: int, after: int, kind: type[Replaced | Renewed]) -> None:
        other = self.place / "other" / f"{name}.{seed}"
        other.write_bytes(CONTENTS[name, seed])
        self.ever[name].add(CONTENTS[name, seed])
        where = {"after": after} if kind is Replaced else {}
        self.archive.faults.add(kind(name=f"{name}*", source=str(other), **where))

    @rule()
    def come_right(self) -> None:
        self.archive.faults.clear()

    @rule()
    def look(self) -> None:
        self.do(self._look())

    @rule()
    def compare(self) -> None:
        self.do(self.desk.snooppix.discovery.differ.compare(asked_by="the clock"))

    @rule()
    def fetch(self) -> None:
        self.do(self._fetch())

    @rule(turns=st.integers(0, 40))
    def fetch_and_be_cut(self, turns: int) -> None:
        self.do(self._fetch(turns))

    @rule()
    def sort(self) -> None:
        self.do(self.desk.snooppix.sorter.sort_due(asyncio.Event()))

    @rule(seconds=st.sampled_from([1.0, 60.0, 3600.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def start_again(self) -> None:
        self.do(self._stop())
        self.do(self._start())

    @invariant()
    def nothing_wrong_stands_under_a_final_name(self) -> None:
        for path in (self.place / "host" / "reception" / "from_CADC" / "headervalid").glob("*"):
            assert path.read_bytes() in self.ever[path.name.split(".")[0]], path.name

    def teardown(self) -> None:
        try:
            if hasattr(self, "desk"):
                self.do(self._come_to_rest())
                self.do(self._check())
        finally:
            if hasattr(self, "desk"):
                self.do(self._stop())
                self.do(self.archive.standin.close())
            self.runner.close()
            shutil.rmtree(self.place)

    async def _look(self) -> None:
        with contextlib.suppress(ArchiveError):
            await self.desk.snooppix.watcher.look()

    async def _fetch(self, turns: int | None = None) -> None:
        fetcher = self.desk.snooppix.fetcher
        await fetcher.start_due(4)
        for _ in range(turns or 0):
            await asyncio.sleep(0)
        if turns is None:
            await asyncio.gather(*(running.task for running in fetcher.running.values() if running.task))
        else:
            await fetcher.stop()

    async def _come_to_rest(self) -> None:
        """Let the archive behave, an operator ask once more for what was given up, and time pass."""
        self.archive.faults.clear()
        self.offered = {path.name.split(".")[0]: path.read_bytes() for path in self.archive.directory.glob("*.fz")}
        for _ in range(PATIENCE):
            await self._look()
            await self.desk.snooppix.discovery.differ.compare(asked_by="the end", trusting=True)
            await self._ask_again()
            await self._fetch()
            await self.desk.snooppix.sorter.sort_due(asyncio.Event())
            self.clock.advance(3600.0)
            if await self._all_held():
                return

    async def _ask_again(self) -> None:
        async with self.desk.snooppix.database.write() as session:
            for name in self.offered:
                frame = await Frames().named(session, name)
                if frame is not None and frame.state in {FrameState.REJECTED, FrameState.FAILED}:
                    await Frames().retry(session, frame.id, now=self.clock.now(), source="operator")

    async def _all_held(self) -> bool:
        frames = [await self.desk.frame(name) for name in self.offered]
        return all(frame is not None and frame.state is FrameState.VALID for frame in frames)

    async def _check(self) -> None:
        reception = self.desk.settings.reception
        told = [event.message for event in await self.desk.events()]
        for name, content in self.offered.items():
            newest, *older = await self.desk.generations(name)
            assert newest.state is FrameState.VALID, (newest, told)
            assert newest.withdrawn_at is None, told
            assert newest.path is not None
            assert (reception / newest.path).read_bytes() == content, told
            assert {frame.state for frame in older} <= {FrameState.SUPERSEDED}, told
        fetched = Counter(event.frame_id for event in await self.desk.events() if event.kind == "fetched")
        lost = Counter(event.frame_id for event in await self.desk.events() if event.kind in {"lost", "retry"})
        assert all(count <= 1 + lost[frame] for frame, count in fetched.items()), told
        async with self.desk.database.read() as session:
            assert await Transfers().running(session) == []
            ended = await Transfers().history(session, limit=1000)
        assert all(transfer.reason for transfer in ended if transfer.state is TransferState.FAILED)
        await self.desk.snooppix.healer.heal(busy=())
        waiting = {name for name in NAMES if name not in self.offered}
        assert [file for file in self.desk.incoming() if file.split(".")[0] not in waiting] == [], told


TestWhateverTheOrder = WhateverTheOrder.TestCase
TestWhateverTheOrder.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
