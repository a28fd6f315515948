"""Two modes with a countdown each: the database decides when they run, and remembers that they are paused."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datatransfer.schedule import Alarm, Cause, decide
from dbclient.rulebook import ModeRecord
from dbclient.schema import FrameState, RequestKind, RequestState, TransferMode
from dbclient.stores import Events, Modes, Requests, Transfers
from terapix.hosts import DatatransferSection
from tests.support.site import Site, open_site

NOW = datetime(2003, 12, 20, 23, 0, tzinfo=UTC)
AUTOMATIC, IMMEDIATE = TransferMode.AUTOMATIC, TransferMode.IMMEDIATE
PATIENT = DatatransferSection(prompt=False)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def due(section: DatatransferSection = PATIENT, **automatic: Any) -> Cause | None:
    modes = {AUTOMATIC: ModeRecord(AUTOMATIC, **automatic), IMMEDIATE: ModeRecord(IMMEDIATE, paused=True)}
    return decide(modes, section, now=NOW).due.get(AUTOMATIC)


def test_a_mode_runs_at_the_start_at_the_end_of_its_countdown_and_when_asked() -> None:
    assert due() is Cause.COUNTDOWN
    assert due(next_at=NOW) is Cause.COUNTDOWN
    assert due(next_at=later(1)) is None
    assert due(next_at=later(1), asked_at=NOW) is Cause.ASKED
    assert due(next_at=NOW, asked_at=NOW, paused=True) is None


def test_news_start_a_run_only_where_the_settings_want_that() -> None:
    assert due(DatatransferSection(prompt=True), next_at=later(1)) is Cause.NEWS
    assert due(DatatransferSection(prompt=False), next_at=later(1)) is None


def test_a_clock_that_was_set_back_holds_a_mode_up_for_one_interval_at_most() -> None:
    modes = {AUTOMATIC: ModeRecord(AUTOMATIC, next_at=later(86400 * 365)), IMMEDIATE: ModeRecord(IMMEDIATE)}
    found = decide(modes, PATIENT, now=NOW)
    assert found.next_at == {AUTOMATIC: later(600), IMMEDIATE: NOW}


@pytest.fixture
async def patient(tmp_path: Any) -> Any:
    """A site whose modes run by their countdowns alone."""
    opened = await open_site(tmp_path, datatransfer={"prompt": False})
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


async def modes(site: Site) -> dict[TransferMode, ModeRecord]:
    async with site.database.read() as session:
        return await Modes().all(session)


async def state(site: Site, name: str = "979412p") -> FrameState:
    return (await site.frame(name)).state


async def test_a_frame_waits_for_the_countdown_which_anybody_can_read(patient: Site) -> None:
    await patient.settle(passes=1)
    await patient.valid("979412p")
    await patient.settle()
    assert await state(patient) is FrameState.VALID
    held = (await modes(patient))[AUTOMATIC]
    assert held.next_at is not None
    assert (held.every, (held.next_at - patient.clock.now()).total_seconds()) == (600.0, 600.0)

    patient.clock.advance(600.0)
    await patient.settle()

    assert await state(patient) is FrameState.PLACED
    assert (await modes(patient))[AUTOMATIC].said == "1 frame was promised room"


async def test_run_now_does_not_wait_and_begins_the_countdown_anew(patient: Site) -> None:
    await patient.settle(passes=1)
    await patient.valid("979412p")
    patient.clock.advance(100.0)
    async with patient.database.write() as session:
        await Modes().ask_run(session, AUTOMATIC, by="night", now=patient.clock.now())
    await patient.settle()
    assert await state(patient) is FrameState.PLACED
    held = (await modes(patient))[AUTOMATIC]
    assert (held.asked_at, held.next_at) == (None, patient.clock.now() + timedelta(seconds=600))


async def test_an_order_waits_for_immediate_mode_which_is_every_minute(patient: Site) -> None:
    await patient.settle(passes=1)
    await patient.valid("979412p")
    async with patient.database.write() as session:
        arguments = {"runid": "08AC14", "node": "node2", "filter": None}
        number = await Requests().ask(session, RequestKind.TRANSFER, arguments, by="night", now=patient.clock.now())
    await patient.settle()
    assert await state(patient) is FrameState.VALID
    patient.clock.advance(60.0)
    await patient.settle()
    assert [node for node, _ in await patient.replicas("979412p")] == ["node2"]
    async with patient.database.read() as session:
        assert (await Requests().get(session, number)).state is RequestState.DONE
        [transfer] = await Transfers().history(session)
    assert (transfer.mode, transfer.priority) == (IMMEDIATE, 100)


async def test_a_paused_mode_begins_nothing_not_even_after_a_restart(site: Site) -> None:
    await site.valid("979412p")
    async with site.database.write() as session:
        assert await Modes().set_paused(session, AUTOMATIC, paused=True, by="night", now=site.clock.now())
        assert not await Modes().set_paused(session, AUTOMATIC, paused=True, by="day", now=site.clock.now())
    said = await site.settle()
    assert "automatic transfers are paused" in said
    site.restarted()
    await site.settle()
    assert await state(site) is FrameState.VALID

    async with site.database.write() as session:
        await Modes().set_paused(session, AUTOMATIC, paused=False, by="night", now=site.clock.now())
        told = [event.message for event in await Events().latest(session)]
    await site.settle()

    assert await state(site) is FrameState.PLACED
    assert "night resumes automatic transfers" in told
    assert "night pauses automatic transfers" in told


async def test_what_a_paused_mode_has_promised_waits_with_its_room(site: Site) -> None:
    await site.valid("979412p")
    await site.coordinator.start()
    await site.coordinator.roster.look()
    await site.coordinator.assignment.pass_()
    async with site.database.write() as session:
        await Modes().set_paused(session, AUTOMATIC, paused=True, by="night", now=site.clock.now())
    await site.settle()
    assert await site.open_things() == (1, 1)
    async with site.database.write() as session:
        await Modes().set_paused(session, AUTOMATIC, paused=False, by="night", now=site.clock.now())
    await site.settle()
    assert await state(site) is FrameState.PLACED


async def test_the_alarm_rings_at_the_end_of_a_countdown_and_when_the_daemon_stops() -> None:
    stopping = asyncio.Event()
    alarm = Alarm(stopping)
    await alarm.start()
    try:
        async with asyncio.timeout(60):
            alarm.set({AUTOMATIC: datetime.now(UTC) + timedelta(seconds=0.05)})
            await alarm.rang.wait()
            alarm.set({AUTOMATIC: datetime.now(UTC) + timedelta(hours=1)})
            assert not alarm.rang.is_set()
            stopping.set()
            await alarm.rang.wait()
        alarm.set({})
        assert alarm.rang.is_set()
    finally:
        await alarm.close()
