"""The stream that keeps pages fresh: told of changes, at most twice a second, and of what was missed."""

import asyncio
import json

import pytest

from dbclient.stores import Frames, Sighting
from spica.web import live
from spica.web.console import CONSOLE
from spica.web.live import Live, Wanted
from tests.support.console import console
from tests.support.full_night import NOW


@pytest.fixture
async def page(tmp_path):
    async with console(tmp_path, seeded=False) as running:
        yield running


async def sight(page, name):
    async with page.database.write() as session:
        await Frames().sight(session, Sighting(name=name, uri=f"cadc:CFHT/{name}"), now=NOW, source="test")


async def told(answer):
    """Read the next message of a stream, pings and comments aside."""
    found = {}
    async with asyncio.timeout(60):
        while True:
            line = (await answer.content.readline()).decode().rstrip("\n")
            if line.startswith((":", "retry")):
                continue
            if line:
                key, _, value = line.partition(": ")
                found[key] = value
            elif found:
                return found


async def test_a_change_is_told_with_the_number_of_the_newest_event(page):
    async with page.client.get("/events") as answer:
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await answer.content.readline() == b"retry: 2000\n"
        await sight(page, "979412p")
        first = await told(answer)
        await sight(page, "979413p")
        second = await told(answer)
    assert first["event"] == second["event"] == "tick"
    assert json.loads(second["data"])["newest"] == int(second["id"]) > int(first["id"])


async def test_a_stream_that_was_cut_is_told_what_it_missed(page):
    async with page.client.get("/events?topics=history") as answer:
        await answer.content.readline()
        await sight(page, "979412p")
        seen = await told(answer)
    await sight(page, "979413p")
    await sight(page, "979414p")
    async with page.client.get("/events?topics=history", headers={"Last-Event-ID": seen["id"]}) as answer:
        missed = [json.loads((await told(answer))["data"]) for _ in range(2)]
    assert [event["message"].split()[0] for event in missed] == ["979413p", "979414p"]
    assert missed[0]["kind"] == "spotted"


async def test_what_changed_between_the_page_and_its_stream_is_told_at_once(page):
    await sight(page, "979412p")
    async with page.client.get("/events?after=1") as answer:
        assert (await told(answer))["event"] == "tick"


async def test_a_silent_stream_says_that_it_lives(page, monkeypatch):
    monkeypatch.setattr(live, "PING", 0.05)
    async with page.client.get("/events?after=1") as answer, asyncio.timeout(60):
        while (await answer.content.readline()) != b": ping\n":
            pass


async def test_many_changes_are_told_as_few(page, monkeypatch):
    monkeypatch.setattr(live, "QUIET", 0.3)
    async with page.client.get("/events") as answer:
        await answer.content.readline()
        loop = asyncio.get_running_loop()
        begun, ticks = loop.time(), 0
        writer = asyncio.create_task(_write_much(page))
        while not writer.done() or ticks == 0:
            await told(answer)
            ticks += 1
            if writer.done():
                break
        spent = loop.time() - begun
    await writer
    assert ticks <= 2 + spent / 0.3


async def _write_much(page):
    for number in range(20):
        await sight(page, f"{979500 + number}p")


async def test_streams_end_when_the_service_stops(page):
    console_ = page.client.app[CONSOLE]
    async with page.client.get("/events") as answer:
        await answer.content.readline()
        assert console_.live.open == 1
        console_.live.stop()
        async with asyncio.timeout(60):
            await answer.content.read()
    assert (await page.client.get("/events")).status == 503


async def test_only_so_many_streams_are_open(page, monkeypatch):
    monkeypatch.setattr(live, "MOST", 1)
    async with page.client.get("/events") as answer:
        await answer.content.readline()
        assert (await page.client.get("/events")).status == 503


async def test_the_watcher_rests_while_nobody_listens():
    class Counted:
        looks = 0

        async def changed(self, **_):
            self.looks += 1
            return False

    database, watched = Counted(), Live()
    task = asyncio.create_task(watched.watch(database))
    await asyncio.sleep(0)
    assert database.looks == 0
    with watched.listening():
        watched.stop()
        await task
    assert database.looks == 0


@pytest.mark.parametrize(
    ("query", "header", "wanted"),
    [
        ({}, None, Wanted(frozenset({"tick"}), None, again=False)),
        ({"topics": "history,nonsense", "after": "7"}, None, Wanted(frozenset({"history"}), 7, again=False)),
        ({"after": "7"}, "9", Wanted(frozenset({"tick"}), 9, again=True)),
        ({"topics": "x", "after": "-1"}, "'; drop", Wanted(frozenset({"tick"}), None, again=True)),
        ({"after": "9" * 30}, None, Wanted(frozenset({"tick"}), None, again=False)),
    ],
)
def test_what_a_stream_asks_for(query, header, wanted):
    assert Wanted.of(query, header) == wanted
