"""Faults are ordered by count, by share and by mirror; those of catalogue, clock and way are what they say."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from snooppix.standin.faults import Faults
from snooppix.standin.kinds import (
    Busy,
    ClockSkew,
    Dropped,
    Failing,
    Fault,
    Flipped,
    Forbidden,
    Hidden,
    Listed,
    Missing,
    Redirected,
    Renewed,
    Short,
    Unauthorised,
    Withdrawn,
    WrongRange,
)
from snooppix.standin.server import StandIn
from terapix.clock import SetClock
from tests.support.archive import ServedArchive, small_fits

CONTENT = small_fits("979412p", ccds=1)
NAMES = [f"{number}p.fits" for number in range(1000)]
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[ServedArchive]:
    (tmp_path / "archive").mkdir()
    served = ServedArchive(tmp_path / "archive", clock=SetClock(NOW))
    for name in ("979412p", "979413p"):
        served.offer(name, ccds=1)
    async with served.standin:
        yield served


async def get(session: aiohttp.ClientSession, address: str, **headers: str) -> aiohttp.ClientResponse:
    async with session.get(address, headers=headers, allow_redirects=False) as answer:
        await answer.read()
        return answer


async def rows(session: aiohttp.ClientSession, archive: ServedArchive, query: str) -> list[str]:
    given = {"QUERY": query, "FORMAT": "csv"}
    async with session.get(f"{archive.address}/argus/sync", params=given) as answer:
        return (await answer.text()).splitlines()[1:]


def struck(names: list[str], **order: Any) -> list[str]:
    faults = Faults(Dropped(times=0, **order))
    return sorted(name for name in names if faults.take(Dropped, name))


def test_a_share_of_the_files_is_struck_and_always_the_same() -> None:
    found = struck(NAMES, probability=0.1, seed=7)
    assert 70 < len(found) < 130
    assert struck(list(reversed(NAMES)), probability=0.1, seed=7) == found
    assert struck(NAMES, probability=0.1, seed=8) != found
    again = Faults(Dropped(times=0, probability=0.5))
    assert 30 < sum(again.take(Dropped, "1p") is not None for _ in range(100)) < 70


def test_a_standing_fault_holds_for_the_same_files_all_the_time() -> None:
    faults = Faults(Listed(length=7, probability=0.1))
    found = [name for name in NAMES if faults.peek(Listed, name)]
    assert 70 < len(found) < 130
    assert [name for name in NAMES if faults.peek(Listed, name)] == found


def test_the_first_may_pass() -> None:
    faults = Faults(Missing(skip=2, times=1))
    assert [faults.take(Missing, "1p") is not None for _ in range(4)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("fault", "status", "header", "text"),
    [
        (Busy(status=429, date_in=60), 429, "Retry-After", "Wed, 25 Nov 2026 00:01:00 GMT"),
        (Failing(status=502), 502, "Content-Type", "text/plain; charset=utf-8"),
        (Unauthorised(), 401, "WWW-Authenticate", "Bearer"),
        (Forbidden(), 403, "Content-Type", "text/plain; charset=utf-8"),
        (Redirected(to="http://foreign.invalid/", status=307), 307, "Location", "http://foreign.invalid/minoc/files/"),
    ],
)
async def test_services_refuse_as_ordered(
    archive: ServedArchive, session: aiohttp.ClientSession, fault: Fault, status: int, header: str, text: str
) -> None:
    archive.faults.add(fault)
    answer = await get(session, f"{archive.address}/minoc/files/{archive.uri('979412p')}")
    assert answer.status == status
    assert answer.headers[header].startswith(text)


async def test_one_of_several_mirrors_is_bad(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    (tmp_path / "979412p.fits").write_bytes(CONTENT)
    faults = Faults(Short(at="minoc2", times=0))
    wanted = """<vos:transfer xmlns:vos="http://www.ivoa.net/xml/VOSpace/v2.0" version="2.1">
        <vos:target>cadc:CFHT/979412p.fits</vos:target><vos:direction>pullFromVoSpace</vos:direction>
        <vos:protocol uri="ivo://ivoa.net/vospace/core#httpsget"/></vos:transfer>"""
    async with StandIn(tmp_path, faults=faults, mirrors=3) as archive:
        async with session.post(f"{archive.address}/raven/locate", data=wanted) as answer:
            parts = (await answer.text()).split("<vos:endpoint>")[1:]
        places = [part.partition("<")[0] for part in parts]
        sizes = [(await get(session, place)).headers["Content-Length"] for place in places]
    assert len({place.split("/")[2] for place in places}) == 3  # each is a host of its own
    assert [len(CONTENT) - int(size) for size in sizes] == [0, 1, 0]


async def test_a_range_may_be_told_wrong(archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    address = f"{archive.address}/minoc/files/{archive.uri('979412p')}"
    archive.faults.add(WrongRange(shift=10, total=99), Flipped(at="minoc7"))
    answer = await get(session, address, Range="bytes=5-9")
    assert (answer.status, answer.headers["Content-Range"]) == (206, "bytes 15-19/99")
    assert (await get(session, address, Range="bytes=5-9")).headers["Content-Range"].startswith("bytes 5-9/")


async def test_a_name_gets_another_content(
    archive: ServedArchive, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    address = f"{archive.address}/minoc/files/{archive.uri('979412p')}"
    (tmp_path / "other").write_bytes(CONTENT + bytes(2880))
    before = await get(session, address)
    archive.faults.add(Renewed(source=str(tmp_path / "other")))
    after = await get(session, address)
    assert int(after.headers["Content-Length"]) == len(CONTENT) + 2880
    assert {before.headers[key] != after.headers[key] for key in ("Digest", "x-artifact-id")} == {True}


async def test_frames_are_hidden_until_their_time_and_withdrawn(
    archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    planes, artifacts = "SELECT productID FROM caom2.Plane", "SELECT COUNT(*) AS n FROM caom2.Artifact"
    archive.faults.add(Hidden(name="979412p*", until="2026-11-25T01:00:00"))
    assert await rows(session, archive, planes) == ["979413p"]
    assert await rows(session, archive, artifacts) == ["2"]
    archive.standin.clock.advance(3600)
    assert await rows(session, archive, planes) == ["979412p", "979413p"]
    archive.faults.add(Withdrawn(name="979413p*"))
    assert await rows(session, archive, artifacts) == ["1"]
    assert (await get(session, f"{archive.address}/raven/files/{archive.uri('979413p')}")).status == 404


async def test_the_archives_clock_may_be_wrong(archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    stamps = "SELECT lastModified FROM caom2.Artifact WHERE uri LIKE '%412p%'"
    address = f"{archive.address}/minoc/files/{archive.uri('979412p')}"
    right, told = (await rows(session, archive, stamps))[0], (await get(session, address)).headers
    archive.faults.add(ClockSkew(seconds=3600))
    wrong, skewed = (await rows(session, archive, stamps))[0], (await get(session, address)).headers
    assert (datetime.fromisoformat(wrong) - datetime.fromisoformat(right)).total_seconds() == pytest.approx(3600)
    assert (told["Date"], skewed["Date"]) == ("Wed, 25 Nov 2026 00:00:00 GMT", "Wed, 25 Nov 2026 01:00:00 GMT")
    assert told["Last-Modified"] != skewed["Last-Modified"]
