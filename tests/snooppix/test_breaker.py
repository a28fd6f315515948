"""Hosts rest after failures in a row or as they ask, one request probes them, and a restart does not storm them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbclient.database import Database
from dbclient.schema import HostState
from dbclient.stores import Events
from snooppix.breaker import LONGEST, Breaker, Breakers, Rules
from snooppix.carrier import Arrived, Carrier, Progress, Wanted, carry
from snooppix.errors import Busy, FetchError, NotStored, Resting, Unreachable
from terapix.clock import SetClock
from terapix.identity import Digest

NOW = datetime(2008, 3, 30, 3, 0, tzinfo=UTC)
RULES = Rules(failures=3, rest=60.0)
ARRIVED = Arrived(1, Digest("md5", "0" * 32))


def after(*events: str, rules: Rules = RULES) -> Breaker:
    """What becomes of a breaker: f failure, a answer, p probe once its rest is over."""
    breaker, now = Breaker(), NOW
    for event in events:
        if event == "p":
            now = breaker.until or now
            breaker = breaker.probed(now)
        else:
            breaker = breaker.answered(now) if event == "a" else breaker.failed("cut", now, rules)
    return breaker


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ("ff", HostState.CLOSED),
        ("fff", HostState.OPEN),
        ("ffaff", HostState.CLOSED),
        ("fffp", HostState.PROBING),
        ("fffpf", HostState.OPEN),
        ("fffpa", HostState.CLOSED),
        ("fffpaff", HostState.CLOSED),
    ],
)
def test_failures_in_a_row_open_it_and_an_answer_closes_it(events: str, state: HostState) -> None:
    assert after(*events).state is state


@pytest.mark.parametrize(("probes", "seconds"), [(0, 60), (1, 120), (2, 240), (6, 3600), (60, 3600)])
def test_the_rest_doubles_while_probes_fail_and_lasts_an_hour_at_most(probes: int, seconds: float) -> None:
    breaker = after("f", "f", "f", *("p", "f") * probes)
    assert breaker.until is not None
    assert breaker.changed_at is not None
    assert breaker.until - breaker.changed_at == timedelta(seconds=seconds)


def test_what_ran_on_when_it_opened_does_not_lengthen_the_rest() -> None:
    opened = after("f", "f", "f")
    assert opened.failed("cut", NOW + timedelta(seconds=30), RULES) == opened


def test_what_ran_on_when_it_asked_for_a_rest_does_not_end_the_rest() -> None:
    opened = Breaker().asked_to_rest("busy", 600.0, NOW)
    answered = opened.answered(NOW + timedelta(seconds=30))
    assert (answered.state, answered.until) == (HostState.OPEN, opened.until)
    assert opened.answered(NOW + timedelta(seconds=601)).state is HostState.CLOSED


@pytest.mark.parametrize(("asked", "rests"), [(0.0, 1), (7.0, 7), (86400.0, LONGEST)])
def test_a_host_that_asks_for_a_rest_gets_it_within_reason(asked: float, rests: float) -> None:
    assert Breaker().asked_to_rest("busy", asked, NOW).until == NOW + timedelta(seconds=rests)


def test_before_its_time_nothing_probes_it() -> None:
    opened = after("f", "f", "f")
    assert opened.probed(NOW + timedelta(seconds=59)) == opened


@pytest.fixture
async def database(tmp_path: Path) -> Database:
    return await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)


async def test_one_request_alone_probes_and_the_others_wait(database: Database) -> None:
    clock = SetClock(NOW)
    breakers = Breakers(database, clock=clock, rules=RULES)
    for _ in range(3):
        assert await breakers.ask("minoc") is None
        await breakers.failed("minoc", "no byte came in time")
    resting = str(await breakers.ask("minoc"))
    clock.advance(61)
    first, second = await breakers.ask("minoc"), await breakers.ask("minoc")
    await breakers.answered("minoc")

    assert resting == "minoc rests until 03:01 after 3 failures: no byte came in time; asked next then"
    assert first is None
    assert "one request probes it" in str(second)
    assert await breakers.ask("minoc") is None
    async with database.read() as session:
        told = [event.kind for event in await Events().latest(session)]
    assert told == ["host-answers", "host-probed", "host-rests"]
    await database.close()


async def test_a_restart_does_not_storm_a_host_that_rests(database: Database) -> None:
    clock = SetClock(NOW)
    before = Breakers(database, clock=clock, rules=RULES)
    await before.asked_to_rest("minoc", "status 503", 300.0)

    after_restart = Breakers(database, clock=clock, rules=RULES)
    await after_restart.load()

    assert "until 03:05 as it asked" in str(await after_restart.ask("minoc"))
    clock.advance(301)
    assert await after_restart.ask("minoc") is None
    killed_in_the_probe = Breakers(database, clock=clock, rules=RULES)
    await killed_in_the_probe.load()
    assert await killed_in_the_probe.ask("minoc") is None
    await database.close()


class Mirrors(Carrier):
    """Does with each host what it is told."""

    def __init__(self, **problems: FetchError | None) -> None:
        self.problems = problems
        self.asked: list[str] = []

    async def fetch(self, wanted: Wanted, sources: object, progress: Progress) -> Arrived:
        del progress
        host = str(sources).split("//")[1].split("/")[0]
        self.asked.append(host)
        if (problem := self.problems[host]) is not None:
            raise problem
        return ARRIVED


def wanted(tmp_path: Path) -> Wanted:
    return Wanted("979412p", tmp_path / "part", 1, None)


async def test_a_host_that_rests_is_passed_over_for_its_mirror(database: Database, tmp_path: Path) -> None:
    breakers = Breakers(database, clock=SetClock(NOW), rules=RULES)
    mirrors = Mirrors(one=Unreachable("979412p", "one", "cut"), two=None)
    for _ in range(5):
        await carry({"http": mirrors}, breakers, wanted(tmp_path), ["http://one/a", "http://two/a"], Progress())
    assert mirrors.asked == ["one", "two"] * 3 + ["two"] * 2
    await database.close()


async def test_where_every_host_rests_the_frame_waits_for_the_first(database: Database, tmp_path: Path) -> None:
    breakers = Breakers(database, clock=SetClock(NOW), rules=RULES)
    busy = {
        "one": Busy("979412p", "one", "status 503", retry_after=600.0),
        "two": Busy("979412p", "two", "status 429", retry_after=120.0),
    }
    sources = ["http://one/a", "http://two/a"]
    with pytest.raises(Busy):
        await carry({"http": Mirrors(**busy)}, breakers, wanted(tmp_path), sources, Progress())
    with pytest.raises(Resting, match="two rests until 03:02") as resting:
        await carry({"http": Mirrors(**busy)}, breakers, wanted(tmp_path), sources, Progress())
    assert resting.value.until == NOW + timedelta(minutes=2)
    await database.close()


async def test_a_host_that_answers_about_one_file_is_not_at_fault(database: Database, tmp_path: Path) -> None:
    breakers = Breakers(database, clock=SetClock(NOW), rules=RULES)
    mirrors = Mirrors(one=NotStored("979412p", "one", "status 404"))
    for _ in range(10):
        with pytest.raises(NotStored):
            await carry({"http": mirrors}, breakers, wanted(tmp_path), ["http://one/a"], Progress())
    assert breakers.resting("one") is None
    await database.close()
