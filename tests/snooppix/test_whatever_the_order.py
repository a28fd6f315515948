"""Whatever the archive does, and in whatever order: at the end what is held is what is offered, byte for byte, once.

The archive is the stand-in with all its faults, over HTTP; SNOOPPIX is whole, on
a clock that the test sets, and each of its steps is taken when the test says so,
one after the other or at once. Frames are processed again and withdrawn while
they are fetched; the daemon is stopped, started and killed. The model is a
dictionary: what the archive offers now, and what it ever did.

Ordinarily it tells the same stories each time. Others, and more of them:

    HYPOTHESIS_PROFILE=many python -m pytest tests/snooppix/test_whatever_the_order.py

(300 of 50 steps, ten minutes; ORDER_EXAMPLES=3000 for more.) What fails is
printed as a program of steps, shortened as far as it goes.
"""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dbclient.schema import FrameState, TransferState
from dbclient.stores import Frames, Transfers
from snooppix.standin.kinds import Fault, Renewed, Replaced
from snooppix.standin.orders import KINDS
from terapix.clock import SetClock
from tests.snooppix.desk import small_camera
from tests.snooppix.follower import Follower, passing, place_in_memory
from tests.snooppix.misfortunes import NEED_A_FILE, OF_PUTTING, drawn, misfortunes
from tests.support.archive import ServedArchive, small_fits

T = TypeVar("T")

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "order")
pytestmark = pytest.mark.timeout(300 if PROFILE == "order" else 0)

NAMES = tuple(f"{number}p" for number in range(979412, 979416))
CCDS = 2
CAMERA = small_camera().with_ccds(CCDS)
CONTENTS = {(name, seed): small_fits(name, ccds=CCDS, seed=seed) for name in NAMES for seed in range(3)}
SIZE = len(CONTENTS[NAMES[0], 0])
NIGHT = datetime(2008, 3, 30, 6, tzinfo=UTC)
PATIENCE = 20
"""Passes in which all must have come right once the faults are over; each lets an hour go by."""

settings.register_profile(
    "order",
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "many",
    settings.get_profile("order"),
    max_examples=int(os.environ.get("ORDER_EXAMPLES", "300")),
    stateful_step_count=50,
    derandomize=False,
    database=None,
)

names = st.sampled_from(NAMES)
seeds = st.integers(0, 2)
places = st.integers(0, SIZE - 1)
turns = st.integers(0, 60)
WAYS = misfortunes(NAMES, SIZE)
faults = drawn(WAYS)


class WhateverTheOrder(RuleBasedStateMachine):
    """An archive that offers, replaces, withdraws and fails; a follower that is stopped, started and killed."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.place = place_in_memory()
        self.clock = SetClock(NIGHT)
        self.offered: dict[str, bytes] = {}
        """By name, what the archive has now."""
        self.ever: dict[str, set[bytes]] = {name: set() for name in NAMES}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(passing(self.clock, work))

    @initialize()
    def begin(self) -> None:
        for directory in ("archive", "other"):
            (self.place / directory).mkdir()
        self.archive = ServedArchive(self.place / "archive", clock=self.clock)
        self.do(self.archive.standin.start("127.0.0.1", 0))
        self.follower = Follower(self.place, self.archive.registry, camera=CAMERA, clock=self.clock)
        self.do(self.follower.start())

    @rule(name=names, seed=seeds)
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

    @rule(name=names, seed=seeds, after=places, kind=st.sampled_from(NEED_A_FILE))
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
        self.do(self.follower.look())

    @rule()
    def look_at_releases(self) -> None:
        self.do(self.follower.look_at_releases())

    @rule(trusting=st.booleans())
    def compare(self, trusting: bool) -> None:
        self.do(self.follower.compare(trusting=trusting))

    @rule()
    def fetch(self) -> None:
        self.do(self.follower.fetch())

    @rule(turns=turns)
    def begin_to_fetch(self, turns: int) -> None:
        """What comes next happens while the files come."""
        self.do(self.follower.begin(turns))

    @rule()
    def sort(self) -> None:
        self.do(self.follower.sort())

    @rule()
    def heal(self) -> None:
        self.do(self.follower.heal())

    @rule()
    def do_all_at_once(self) -> None:
        steps = (self.follower.look(), self.follower.fetch(), self.follower.sort(), self.follower.compare())
        self.do(_together(*steps))

    @rule(name=names)
    def ask_again(self, name: str) -> None:
        self.do(self._ask_again(name))

    @rule(seconds=st.sampled_from([1.0, 60.0, 3600.0, 90_000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def start_again(self) -> None:
        self.do(self.follower.stop())
        self.do(self.follower.start())

    @rule(turns=turns)
    def be_killed(self, turns: int) -> None:
        self.do(self.follower.begin(turns))
        self.do(self.follower.die())

    @invariant()
    def nothing_wrong_stands_under_a_final_name(self) -> None:
        for path in (self.follower.root / "reception" / "from_CADC" / "headervalid").glob("*"):
            assert path.read_bytes() in self.ever[path.name.split(".")[0]], path.name

    def teardown(self) -> None:
        try:
            if hasattr(self, "follower"):
                self.do(self._come_to_rest())
                self.do(self._check())
        finally:
            if hasattr(self, "follower"):
                self.do(self.follower.stop())
                self.do(self.archive.standin.close())
            self.runner.close()
            shutil.rmtree(self.place)

    async def _ask_again(self, name: str) -> None:
        async with self.follower.desk.snooppix.database.write() as session:
            frame = await Frames().named(session, name)
            if frame is not None and frame.state in {FrameState.REJECTED, FrameState.FAILED}:
                await Frames().retry(session, frame.id, now=self.clock.now(), source="operator")

    async def _come_to_rest(self) -> None:
        """Let the archive behave, an operator ask once more for what was given up, and time pass."""
        self.archive.faults.clear()
        await self.follower.fetch()  # what comes still may change what is offered
        self.offered = {path.name.split(".")[0]: path.read_bytes() for path in self.archive.directory.glob("*.fz")}
        for _ in range(PATIENCE):
            await self.follower.look()
            await self.follower.compare(trusting=True)
            for name in self.offered:
                await self._ask_again(name)
            await self.follower.fetch()
            await self.follower.sort()
            self.clock.advance(3600.0)
            if await self._all_held():
                return

    async def _all_held(self) -> bool:
        frames = [await self.follower.desk.frame(name) for name in self.offered]
        return all(frame is not None and frame.state is FrameState.VALID for frame in frames)

    async def _check(self) -> None:
        desk = self.follower.desk
        reception, events = desk.settings.reception, await desk.events()
        told = [event.message for event in events]
        for name, content in self.offered.items():
            newest, *older = await desk.generations(name)
            assert newest.state is FrameState.VALID, (newest, told)
            assert newest.withdrawn_at is None, told
            assert newest.path is not None
            assert (reception / newest.path).read_bytes() == content, told
            assert {frame.state for frame in older} <= {FrameState.SUPERSEDED}, told
        gone = [name for name in NAMES if name not in self.offered]
        for name in gone if self.offered else ():  # a listing of nothing at all is not believed
            for frame in await desk.generations(name):
                assert frame.withdrawn_at is not None or frame.state is FrameState.SUPERSEDED, (frame, told)
                if frame.state is FrameState.VALID:  # marked, and never deleted by us
                    assert (reception / str(frame.path)).read_bytes() in self.ever[name], told
        fetched = Counter(event.frame_id for event in events if event.kind == "fetched")
        lost = Counter(event.frame_id for event in events if event.kind in {"lost", "retry"})
        assert all(count <= 1 + lost[frame] for frame, count in fetched.items()), told
        async with desk.database.read() as session:
            assert await Transfers().running(session) == []
            ended = await Transfers().history(session, limit=1000)
        assert all(transfer.reason for transfer in ended if transfer.state is TransferState.FAILED)
        await self.follower.heal()
        assert [file for file in desk.incoming() if file.split(".")[0] not in gone] == [], told


async def _together(*steps: Coroutine[Any, Any, None]) -> None:
    await asyncio.gather(*steps)


TestWhateverTheOrder = WhateverTheOrder.TestCase
TestWhateverTheOrder.settings = settings.get_profile(PROFILE)


def test_all_that_the_stand_in_may_do_wrong_is_among_it() -> None:
    assert {kind for kind, _ in WAYS} | set(NEED_A_FILE) | set(OF_PUTTING) == set(KINDS.values())
