"""Each knob that an archive's stand-in must have, by frame, by count, and by a share with its seed.

The knobs are those of the project's page on archives, section 1.9, in its words and its order.
"""

import gzip
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import aiohttp
import pytest

from snooppix.protocol.facts import digest_header
from snooppix.standin.access import Access
from snooppix.standin.kinds import (
    Busy,
    ClockSkew,
    Dropped,
    DuplicateRows,
    Expired,
    Fault,
    Flipped,
    Forbidden,
    Gzip,
    Hidden,
    Listed,
    LoginPage,
    Missing,
    Overflow,
    QueryError,
    Renewed,
    Replaced,
    Short,
    Stalled,
    Standing,
    Unauthorised,
    Unlocated,
    WholeForRange,
    WrongDigest,
)
from terapix.clock import SetClock
from tests.support.archive import ServedArchive, small_fits

NOW = datetime(2026, 11, 25, tzinfo=UTC)
CONTENT = small_fits("979412p", ccds=1)
OTHER = CONTENT + bytes(2880)
NAMES = [f"{number}p" for number in range(979400, 979424)]
ROWS = "SELECT a.uri, a.contentLength, a.lastModified FROM caom2.Artifact a"
SEEN = f"{ROWS} JOIN caom2.Plane p ON a.planeID = p.planeID"
LOCATE = """<vos:transfer xmlns:vos="http://www.ivoa.net/xml/VOSpace/v2.0" version="2.1"><vos:target>{}</vos:target>
<vos:direction>pullFromVoSpace</vos:direction><vos:protocol uri="ivo://ivoa.net/vospace/core#httpsget"/></vos:transfer>"""


class Client:
    """Asks an archive, and finds out what is wrong with what it says of one frame."""

    def __init__(self, archive: ServedArchive, session: aiohttp.ClientSession) -> None:
        self.archive = archive
        self.session = session

    async def get(self, name: str, **headers: str) -> tuple[int, Any, bytes, bool]:
        """Read a file; give status, headers, body, and whether it came to its announced end."""
        return await self.read(f"{self.archive.address}/minoc/files/{self.archive.uri(name)}", **headers)

    async def read(self, address: str, **headers: str) -> tuple[int, Any, bytes, bool]:
        body = b""
        async with self.session.get(address, headers=headers) as answer:
            try:
                async for block in answer.content.iter_any():
                    body += block
            except aiohttp.ClientPayloadError:
                return answer.status, answer.headers, body, False
        return answer.status, answer.headers, body, True

    async def places(self, name: str) -> list[str]:
        document = LOCATE.format(escape(self.archive.uri(name)))
        async with self.session.post(f"{self.archive.address}/raven/locate", data=document) as answer:
            return [part.partition("<")[0] for part in (await answer.text()).split("<vos:endpoint>")[1:]]

    async def table(self, query: str, name: str) -> str:
        """Ask for what is told of one file, as a VOTable."""
        asked = f"{query} WHERE a.uri = '{self.archive.uri(name)}'"
        async with self.session.get(f"{self.archive.address}/argus/sync", params={"QUERY": asked}) as answer:
            assert answer.status == 200
            return await answer.text()

    async def stamp(self, name: str) -> datetime:
        told = (await self.table(ROWS, name)).split("<TD>")[3].partition("<")[0]
        return datetime.fromisoformat(told).replace(tzinfo=UTC)


Symptom = Callable[[Client, str], Awaitable[bool]]


async def refused(client: Client, name: str, status: int, header: str = "", text: str = "") -> bool:
    found, headers, body, _ = await client.get(name)
    assert found in {200, status}
    return found == status and headers.get(header, "").startswith(text) and body != CONTENT


async def drops(client: Client, name: str) -> bool:
    _, _, body, ended = await client.get(name)
    assert ended is (len(body) == len(CONTENT))
    return len(body) == 100


async def stalls(client: Client, name: str) -> bool:
    before = len(client.archive.faults.committed)
    async with client.session.get(f"{client.archive.address}/minoc/files/{client.archive.uri(name)}") as answer:
        await answer.content.readexactly(100)
        stalled = len(client.archive.faults.committed) > before
        if not stalled:
            assert len(await answer.content.read()) == len(CONTENT) - 100
        return stalled


async def tells_another_digest(client: Client, name: str) -> bool:
    _, headers, _, _ = await client.get(name)
    return headers["Digest"] != digest_header(hashlib.md5(CONTENT, usedforsecurity=False).digest())


async def flips(client: Client, name: str) -> bool:
    _, _, body, _ = await client.get(name)
    return [place for place, (a, b) in enumerate(zip(body, CONTENT, strict=True)) if a != b] == [7]


async def is_short(client: Client, name: str) -> bool:
    _, headers, body, ended = await client.get(name)
    assert ended
    assert int(headers["Content-Length"]) == len(body)
    return len(body) == len(CONTENT) - 2880


async def gives_the_whole(client: Client, name: str) -> bool:
    status, _, body, _ = await client.get(name, Range="bytes=5-9")
    return (status, len(body)) == (200, len(CONTENT))


async def is_replaced_meanwhile(client: Client, name: str) -> bool:
    _, before, _, ended = await client.get(name)
    async with client.session.head(f"{client.archive.address}/minoc/files/{client.archive.uri(name)}") as answer:
        after = answer.headers
    client.archive.offer(name, content=CONTENT)
    changed = before["x-artifact-id"] != after["x-artifact-id"]
    return not ended and changed and int(after["Content-Length"]) == len(OTHER)


async def has_another_content(client: Client, name: str) -> bool:
    _, headers, _, ended = await client.get(name)
    client.archive.offer(name, content=CONTENT)
    return ended and int(headers["Content-Length"]) == len(OTHER)


async def is_zipped(client: Client, name: str) -> bool:
    _, headers, body, _ = await client.get(name)
    return headers.get("Content-Encoding") == "gzip" and gzip.decompress(body) == CONTENT


async def comes_twice(client: Client, name: str) -> bool:
    return (await client.table(ROWS, name)).count("<TR>") == 2


async def overflows(client: Client, name: str) -> bool:
    text = await client.table(ROWS, name)
    return 'value="OVERFLOW"' in text and "<TR>" not in text


async def fails_inside_a_200(client: Client, name: str) -> bool:
    return 'value="ERROR">the database is away<' in await client.table(ROWS, name)


async def is_hidden(client: Client, name: str) -> bool:
    return "<TR>" not in await client.table(SEEN, name) and "<TR>" in await client.table(ROWS, name)


async def has_no_place(client: Client, name: str) -> bool:
    return not await client.places(name)


async def is_committed_late(client: Client, name: str) -> bool:
    return await client.stamp(name) < NOW - timedelta(hours=1, minutes=-1)


async def is_ahead_of_time(client: Client, name: str) -> bool:
    return await client.stamp(name) > NOW + timedelta(minutes=59)


async def expires(client: Client, name: str) -> bool:
    place = (await client.places(name))[0]
    status, _, _, _ = await client.read(place)
    return status == 403 and (await client.read(place))[0] == 401


def signed(status: int, header: str = "", text: str = "") -> Symptom:
    return lambda client, name: refused(client, name, status, header, text)


async def shows_a_page(client: Client, name: str) -> bool:
    status, headers, body, _ = await client.get(name)
    return status == 200 and headers["Content-Type"].startswith("text/html") and b"Sign in" in body


KNOBS: dict[str, tuple[type[Fault], dict[str, Any], Symptom]] = {
    "MAXREC truncation": (Overflow, {}, overflows),
    "row hiding by metaRelease": (Hidden, {}, is_hidden),
    "ERROR inside 200": (QueryError, {}, fails_inside_a_200),
    "locate, empty list": (Unlocated, {}, has_no_place),
    "auth outcome: 401 with challenges": (Unauthorised, {}, signed(401, "WWW-Authenticate", "Bearer")),
    "auth outcome: 403": (Forbidden, {}, signed(403)),
    "expiring pre-auth URLs": (Expired, {}, expires),
    "drop after N bytes": (Dropped, {"after": 100}, drops),
    "stall": (Stalled, {"after": 100}, stalls),
    "wrong Digest": (WrongDigest, {}, tells_another_digest),
    "flipped byte with right length": (Flipped, {"byte": 7}, flips),
    "short body with right Content-Length": (Short, {"missing": 2880}, is_short),
    "200 in place of 206": (WholeForRange, {}, gives_the_whole),
    "file replaced mid-download": (Replaced, {"after": 100}, is_replaced_meanwhile),
    "404-then-200": (Missing, {}, signed(404)),
    "429 + Retry-After in seconds": (Busy, {"status": 429, "retry_after": "7"}, signed(429, "Retry-After", "7")),
    "503 + Retry-After as a date": (Busy, {"date_in": 60}, signed(503, "Retry-After", "Wed, 25 Nov 2026 00:01")),
    "late commit of old lastModified": (Listed, {"lag": 3600.0}, is_committed_late),
    "clock skew": (ClockSkew, {"seconds": 3600.0}, is_ahead_of_time),
    "duplicate rows": (DuplicateRows, {}, comes_twice),
    "same name new checksum": (Renewed, {}, has_another_content),
    "html login page with 200": (LoginPage, {}, shows_a_page),
    "gzip Content-Encoding": (Gzip, {}, is_zipped),
}
"""Words of the page; the kind that stands for them, its own keys, and how a client sees it."""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    (tmp_path / "archive").mkdir()
    (tmp_path / "other").write_bytes(OTHER)
    archive = ServedArchive(tmp_path / "archive", clock=SetClock(NOW), access=Access(users=()))
    for name in NAMES:
        os.utime(archive.offer(name, content=CONTENT), (NOW.timestamp(), NOW.timestamp()))
    async with archive.standin, aiohttp.ClientSession(auto_decompress=False) as session:
        yield Client(archive, session)


def ordered(client: Client, knob: str, **more: Any) -> tuple[Fault, Symptom]:
    kind, keys, symptom = KNOBS[knob]
    if kind in {Replaced, Renewed}:
        keys = keys | {"source": str(client.archive.directory.parent / "other")}
    return kind(**keys, **more), symptom


@pytest.mark.parametrize("knob", KNOBS)
async def test_a_knob_strikes_the_frame_that_is_named_as_often_as_is_said(client: Client, knob: str) -> None:
    fault, symptom = ordered(client, knob, name=f"{NAMES[1]}*", times=2)
    client.archive.faults.add(fault)
    assert not await symptom(client, NAMES[0])
    standing = isinstance(fault, Standing)  # holds until it is taken back: its count is of files
    assert [await symptom(client, NAMES[1]) for _ in range(3)] == [True, True, standing]
    client.archive.faults.clear()
    assert not await symptom(client, NAMES[1])


@pytest.mark.parametrize("knob", KNOBS)
async def test_a_knob_is_counted_over_all_frames(client: Client, knob: str) -> None:
    fault, symptom = ordered(client, knob, times=2, skip=1)
    client.archive.faults.add(fault)
    assert [await symptom(client, name) for name in NAMES[:4]] == [False, True, True, False]


@pytest.mark.parametrize("knob", KNOBS)
async def test_a_share_is_struck_and_its_seed_says_which(client: Client, knob: str) -> None:
    async def struck(seed: int) -> list[bool]:
        client.archive.faults.__init__()  # type: ignore[misc]  # as a stand-in that was started again
        fault, symptom = ordered(client, knob, times=0, probability=0.5, seed=seed)
        client.archive.faults.add(fault)
        return [await symptom(client, name) for name in NAMES]

    found = await struck(7)
    assert 3 < sum(found) < 21
    assert await struck(7) == found
    assert await struck(8) != found
