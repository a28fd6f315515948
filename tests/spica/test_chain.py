"""The overview's sentence and steps, and the story of a frame."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dbclient.database import Database
from dbclient.schema import FrameState, NodeState
from dbclient.stores import Chronicle, Chronicles, Frames, Nodes
from dbclient.stores.frames import Sighting
from spica.chain import summarise
from spica.story import tell
from terapix.sections import Settings

NOW = datetime(2008, 3, 30, 6, 23, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path):
    opened = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    yield opened
    await opened.close()


def sighting(name: str) -> Sighting:
    return Sighting(
        name=name, kind="object", uri=f"cadc:CFHT/{name}.fits.fz", size=1000, digest=f"md5:{name:0>32}"[:36]
    )


async def seen(database: Database, *names: str) -> list[int]:
    async with database.write() as session:
        for name in names:
            await Frames().sight(session, sighting(name), now=NOW, source="test")
        return [(await Frames().named(session, name)).id for name in names]


async def test_an_empty_database_says_what_to_do_next(database):
    async with database.read() as session:
        summary = await summarise(session, now=NOW, settings=Settings())
    assert "terapix up" in summary.sentence
    assert not summary.finished


async def test_a_spotted_frame_is_counted_once_and_is_on_the_way(database):
    await seen(database, "979412p", "979413p")
    async with database.read() as session:
        summary = await summarise(session, now=NOW, settings=Settings())
    assert {step.name: step.count for step in summary.chain} == {
        "spotted": 2, "fetched": 0, "valid": 0, "placed": 0, "weighted": 0, "catalogued": 0, "rejected": 0, "failed": 0,
    }  # fmt: skip
    assert summary.sentence == "All is well: 0 of 2 frames weighted, 2 frames on the way."


async def test_a_failed_frame_and_a_node_that_is_down_are_warnings(database):
    (frame,) = await seen(database, "979412p")
    async with database.write() as session:
        await Frames().fail(session, frame, reason="404 for 48 hours", now=NOW, source="snooppix")
        await Nodes().upsert(session, name="node1", directory="/n1", capacity=10**9, reserve=0, now=NOW)
        await Nodes().set_state(session, "node1", NodeState.DOWN, reason="directory is gone", now=NOW, source="test")
    async with database.read() as session:
        summary = await summarise(session, now=NOW, settings=Settings())
    assert summary.sentence.startswith("Something needs you")
    assert summary.warnings == (
        "node1 is down: directory is gone",
        "1 frame failed: terapix frames --state failed shows why",
    )
    assert summary.finished


async def test_a_silent_daemon_is_a_warning(database):
    async with database.write() as session:
        await Nodes().heartbeat(
            session,
            name="snooppix",
            host="h",
            pid=1,
            status="looks",
            endpoint=None,
            started_at=NOW,
            now=NOW,
            figures=None,
        )
    async with database.read() as session:
        summary = await summarise(session, now=NOW + timedelta(minutes=5), settings=Settings())
    assert summary.warnings == ("snooppix has been silent since 06:23:00 UTC",)


async def test_an_archive_that_does_not_answer_is_a_warning(database):
    async with database.write() as session:
        await Nodes().heartbeat(
            session,
            name="snooppix",
            host="h",
            pid=1,
            status="connection refused; waits for new frames",
            endpoint=None,
            started_at=NOW,
            now=NOW,
            figures={"archive_answers": False},
        )
    async with database.read() as session:
        summary = await summarise(session, now=NOW, settings=Settings())
    assert summary.warnings == ("the archive does not answer snooppix: connection refused; waits for new frames",)


async def test_a_rest_that_somebody_asked_for_is_not_forgotten(database):
    async with database.write() as session:
        await Nodes().heartbeat(
            session,
            name="snooppix",
            host="h",
            pid=1,
            status="rests since 2008-03-30 06:00 UTC by ann; begins nothing new",
            endpoint=None,
            started_at=NOW,
            now=NOW,
            figures={"wish_seen": "rest"},
        )
    async with database.read() as session:
        summary = await summarise(session, now=NOW, settings=Settings())
    assert summary.warnings == ("snooppix rests since 2008-03-30 06:00 UTC by ann; begins nothing new",)


async def test_the_story_says_why_a_frame_waits_and_until_when(database):
    (frame,) = await seen(database, "979412p")
    later = NOW + timedelta(seconds=90)
    async with database.write() as session:
        await Frames().wait(session, frame, reason="503 from 127.0.0.1", retry_at=later, now=NOW, source="snooppix")
    async with database.read() as session:
        held = await Frames().get(session, frame)
        story = tell(await Chronicles().of(session, held), now=NOW)
    assert story[0] == "979412p, generation 1: spotted."
    assert "Why: 503 from 127.0.0.1." in story[1]
    assert "in 90 s" in story[1]
    assert any("503 from 127.0.0.1" in line for line in story[2:])


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (timedelta(seconds=90), "The next try is at 06:24:30 UTC, in 90 s."),
        (timedelta(minutes=30), "The next try is at 06:53:00 UTC, in 30 minutes."),
        (timedelta(hours=20), "The next try is on 2008-03-31 at 02:23 UTC, in 20 hours."),
        (timedelta(days=518, hours=2), "The next try is on 2009-08-30 at 08:23 UTC, in 518 days."),
        (timedelta(seconds=-1), "It is due again now."),
        (None, "It is due again now."),
    ],
)
async def test_a_wait_ends_at_a_moment_that_a_person_can_plan_with(database, wait, words):
    (frame,) = await seen(database, "979412p")
    async with database.read() as session:
        held = replace(await Frames().get(session, frame), reason="not public", retry_at=wait and NOW + wait)
    assert words in tell(Chronicle(held), now=NOW)[1]


@pytest.mark.parametrize("state", list(FrameState))
async def test_every_state_has_a_sentence(database, state):
    (frame,) = await seen(database, "979412p")
    async with database.read() as session:
        held = replace(await Frames().get(session, frame), state=state)
    assert tell(Chronicle(held), now=NOW)[1].endswith(".")
