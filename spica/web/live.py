"""The stream of server-sent events that keeps pages fresh.

One watcher waits for commits; each open stream is told at most twice a second
(topic ``tick``: something changed) and, if it wants, what happened (topic
``history``: the new rows of the event table) and that a daemon has logged
something (topic ``log``). Messages carry the number of the
newest event, so that a stream that was cut is told what it missed.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from dbclient.database import Database
from dbclient.records import EventRecord
from dbclient.stores import Events
from spica.web.policy import HEADERS
from terapix.http import set_guards

QUIET = 0.5
"""Seconds between two ticks: at most two a second."""
PING = 15.0
"""Seconds after which a silent stream says that it lives."""
LIFE = 900.0
"""Seconds after which a stream is ended; the browser comes back, and whether it may is looked at again."""
LOOK = 30.0
"""Seconds of one wait for a commit."""
MOST = 64
"""Streams open at the same time."""
REPLAY = 500
"""Events told again at most to a stream that was cut."""
TOPICS = frozenset({"tick", "history", "log"})
LINES = 1.0
"""Seconds between two looks at whether a daemon has logged something."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one stream wants to hear."""

    topics: frozenset[str]
    after: int | None
    """Number of the newest event that the page knows of."""
    again: bool
    """The stream was open before and was cut: something may have changed without an event."""

    @classmethod
    def of(cls, query: Mapping[str, str], last_event_id: str | None) -> "Wanted":
        """Read it from the query and from Last-Event-ID; nonsense counts as not said."""
        topics = frozenset(query.get("topics", "tick").split(",")) & TOPICS
        said = last_event_id if last_event_id is not None else query.get("after", "")
        after = int(said) if said.isdecimal() and len(said) < 19 else None
        return cls(topics or frozenset({"tick"}), after, last_event_id is not None)


class Live:
    """The watcher and the streams that it wakes."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.open = 0
        """Streams open now."""
        self.pulses = 0
        """How often something changed so far."""
        self.lines = 0
        """How often a log was found to have grown so far."""
        self._someone = asyncio.Event()
        self._pulse = asyncio.Event()

    async def watch(self, database: Database) -> None:
        """Wake the streams whenever something was committed; rests while nobody listens."""
        while not self.stopping.is_set():
            await _first(self._someone, self.stopping)
            if self.stopping.is_set():
                break
            if await database.changed(timeout=LOOK, stop=self.stopping, progress=True):
                self.tell()
                await self._rest(QUIET)

    async def watch_logs(self, stamps: Callable[[], Hashable]) -> None:
        """Wake the streams whenever the logs' stamps change; rests while nobody listens."""
        known = await asyncio.to_thread(stamps)
        while not self.stopping.is_set():
            await _first(self._someone, self.stopping)
            await self._rest(LINES)
            found = await asyncio.to_thread(stamps)
            if found != known:
                known = found
                self.lines += 1
                self._wake()

    def tell(self) -> None:
        """Wake all streams."""
        self.pulses += 1
        self._wake()

    def _wake(self) -> None:
        woken, self._pulse = self._pulse, asyncio.Event()
        woken.set()

    def stop(self) -> None:
        """End all streams."""
        self.stopping.set()
        self.tell()

    async def pulse(self, seen: int, *, timeout: float) -> int:
        """Wait until something changed since pulse `seen`, or for `timeout` seconds; give the newest pulse."""
        if self.pulses == seen and not self.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._pulse.wait(), timeout)
        return self.pulses

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Count a stream while it is open."""
        self.open += 1
        self._someone.set()
        try:
            yield
        finally:
            self.open -= 1
            if not self.open:
                self._someone.clear()

    async def _rest(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def messages(live: Live, database: Database, wanted: Wanted) -> AsyncIterator[bytes]:
    """Give the bytes of a stream: first what was missed, then what happens."""
    loop = asyncio.get_running_loop()
    end = loop.time() + LIFE
    seen, read = live.pulses, live.lines
    async with database.read() as session:
        newest = await Events().newest_id(session)
    known = newest if wanted.after is None else min(wanted.after, newest)
    yield b"retry: 2000\n: welcome\n\n"
    due = wanted.again or known < newest
    while not live.stopping.is_set() and loop.time() < end:
        if due:
            async for news, number in _news(database, wanted.topics, known):
                known = number
                yield news
        if "log" in wanted.topics and read != live.lines:
            read = live.lines
            yield message("log", {"newest": known}, known)
        found = await live.pulse(seen, timeout=min(PING, max(0.0, end - loop.time())))
        due = found != seen
        seen = found
        if not due:
            yield b": ping\n\n"


async def _news(database: Database, topics: frozenset[str], known: int) -> AsyncIterator[tuple[bytes, int]]:
    async with database.read() as session:
        newest = await Events().newest_id(session)
        happened = await Events().after(session, known, limit=REPLAY) if "history" in topics else []
    for event in happened:
        yield message("history", in_words(event), event.id), event.id
    if "tick" in topics:
        yield message("tick", {"newest": newest}, newest), newest


def in_words(event: EventRecord) -> dict[str, Any]:
    """Give what a stream tells of an event."""
    return {
        "id": event.id,
        "at": event.at.isoformat(),
        "source": event.source,
        "kind": event.kind,
        "level": event.level.value,
        "message": event.message,
    }


def message(topic: str, data: Any, number: int) -> bytes:
    """Write one message; JSON holds no bare line end, so it is one line."""
    return f"id: {number}\nevent: {topic}\ndata: {json.dumps(data)}\n\n".encode()


async def stream(request: web.Request, live: Live, database: Database) -> web.StreamResponse:
    """Answer with a stream until the browser leaves, its time is over or the service stops."""
    if live.open >= MOST or live.stopping.is_set():
        raise web.HTTPServiceUnavailable(
            text="Too many live pages are open; reload by hand.\n", headers={"Retry-After": "60"}
        )
    wanted = Wanted.of(request.query, request.headers.get("Last-Event-ID"))
    answer = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        }
    )
    set_guards(answer, HEADERS)
    with live.listening(), contextlib.suppress(ConnectionResetError):
        await answer.prepare(request)
        async for chunk in messages(live, database, wanted):
            await answer.write(chunk)
    return answer
