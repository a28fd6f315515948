"""Each fault does what it says, as often as it says, and leaves the others alone."""

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from snooppix.standin.faults import Faults
from snooppix.standin.kinds import (
    Busy,
    Down,
    Dropped,
    Fault,
    Flipped,
    Gzip,
    HexDigest,
    LoginPage,
    Missing,
    NoDigest,
    Refused,
    Replaced,
    Short,
    Slow,
    Stalled,
    WholeForRange,
    WrongDigest,
)
from snooppix.standin.orders import KINDS, FaultsUnreadable
from snooppix.standin.server import serve
from terapix.clock import SetClock
from terapix.identity import Digest
from tests.support.archive import ServedArchive

CONTENT = bytes(range(256)) * 8000
"""2 MB: more than one block."""
NAME = "979412p.fits.fz"
MD5 = f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        yield client


@pytest.fixture
def archive(served_archive: ServedArchive) -> ServedArchive:
    served_archive.offer("979412p", content=CONTENT)
    served_archive.offer("979413p", content=CONTENT)
    return served_archive


def address(archive: ServedArchive, service: str = "minoc", name: str = "979412p") -> str:
    return f"{archive.address}/{service}/files/{archive.uri(name)}"


async def body(session: aiohttp.ClientSession, url: str, **headers: str) -> tuple[bytes, bool]:
    """Read as much of a body as comes; also whether it came to its announced end."""
    found = b""
    async with session.get(url, headers=headers) as answer:
        try:
            async for block in answer.content.iter_any():
                found += block
        except aiohttp.ClientPayloadError:
            return found, False
    return found, True


@pytest.mark.parametrize(
    ("fault", "length"),
    [
        (Dropped(after=1_500_000), 1_500_000),
        (Dropped(after=0), 0),
        (Dropped(after=-1), len(CONTENT) - 1),
    ],
)
async def test_a_dropped_connection_gives_the_bytes_before_it(
    archive: ServedArchive, session: aiohttp.ClientSession, fault: Dropped, length: int
) -> None:
    archive.faults.add(fault)
    assert await body(session, address(archive)) == (CONTENT[:length], False)
    assert await body(session, address(archive)) == (CONTENT, True)


async def test_a_resumed_range_may_be_dropped_too(archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    archive.faults.add(Dropped(name=NAME, after=10, times=2))
    assert await body(session, address(archive), Range="bytes=1000-") == (CONTENT[1000:1010], False)
    assert await body(session, address(archive, name="979413p")) == (CONTENT, True)
    assert await body(session, address(archive)) == (CONTENT[:10], False)
    assert archive.faults.standing == ()


async def test_a_short_body_looks_whole(archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    archive.faults.add(Short(missing=1000))
    assert await body(session, address(archive)) == (CONTENT[:-1000], True)


async def test_digests_may_be_wrong_absent_or_of_another_age(
    archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    async def digest(method: str = "GET") -> str | None:
        async with session.request(method, address(archive)) as answer:
            text = answer.headers.get("Digest")
            return str(Digest.of_header(text)) if text else None

    assert await digest() == MD5
    archive.faults.add(WrongDigest())
    assert MD5 != await digest("HEAD") == await digest("GET") != MD5
    assert await digest() == MD5
    archive.faults.add(HexDigest())
    assert await digest() == MD5
    archive.faults.add(NoDigest())
    assert await digest() is None


async def test_one_byte_is_flipped_where_it_is_asked(archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    archive.faults.add(Flipped(byte=1_800_000))
    found, ended = await body(session, address(archive))
    assert ended
    assert [place for place, (a, b) in enumerate(zip(found, CONTENT, strict=True)) if a != b] == [1_800_000]


async def test_a_range_may_be_answered_by_the_whole(archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    archive.faults.add(WholeForRange())
    async with session.get(address(archive), headers={"Range": "bytes=5-9"}) as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT)
    async with session.get(address(archive), headers={"Range": "bytes=5-9"}) as answer:
        assert (answer.status, await answer.read()) == (206, CONTENT[5:10])


async def test_a_file_is_replaced_while_it_is_read(
    archive: ServedArchive, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (tmp_path / "other").write_bytes(b"other")
    archive.faults.add(Replaced(after=100, source=str(tmp_path / "other")))
    async with session.head(address(archive)) as answer:
        before = answer.headers["x-artifact-id"]
    assert await body(session, address(archive)) == (CONTENT[:100], False)
    async with session.get(address(archive)) as answer:
        assert await answer.read() == b"other"
        assert answer.headers["x-artifact-id"] != before


async def test_a_body_may_be_compressed_on_its_way(archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    archive.faults.add(Gzip())
    async with session.get(address(archive)) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await answer.read()) == CONTENT


async def test_services_refuse_in_their_ways(archive: ServedArchive, session: aiohttp.ClientSession) -> None:
    archive.faults.add(Missing(), Busy(status=429, retry_after="Tue, 24 Nov 2026 03:00:00 GMT"), LoginPage())
    async with session.get(address(archive)) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "Tue, 24 Nov 2026 03:00:00 GMT")
    async with session.get(address(archive)) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "Digest" not in answer.headers
    async with session.get(address(archive)) as answer:
        assert answer.status == 404
    assert await body(session, address(archive)) == (CONTENT, True)
    assert [type(fault).__name__ for fault, _ in archive.faults.committed] == ["Busy", "LoginPage", "Missing"]


async def test_an_archive_that_is_down_is_down_everywhere(
    archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    archive.faults.add(Down())
    for url in (archive.registry, f"{archive.address}/argus/sync?QUERY=SELECT", address(archive, "raven")):
        async with session.get(url) as answer:
            assert answer.status == 503
    archive.faults.clear()
    archive.faults.add(Refused(at="argus"))
    with pytest.raises(aiohttp.ClientConnectionError):
        await session.post(f"{archive.address}/argus/sync", data={"QUERY": "SELECT 1"})
    async with session.get(archive.registry) as answer:
        assert answer.status == 200


async def test_a_stalled_body_stops_and_its_connection_stays(
    archive: ServedArchive, session: aiohttp.ClientSession
) -> None:
    archive.faults.add(Stalled(after=1000))
    async with session.get(address(archive)) as answer:
        assert await answer.content.readexactly(1000) == CONTENT[:1000]
        rest = asyncio.ensure_future(answer.content.readany())
        await body(session, address(archive, name="979413p"))
        assert not rest.done()
        await archive.standin.close()
        with pytest.raises(aiohttp.ClientPayloadError):
            await rest


async def test_a_slow_body_keeps_to_its_rate(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    clock = SetClock(datetime(2026, 11, 24, tzinfo=UTC))
    archive = ServedArchive(tmp_path, clock=clock)
    archive.offer("979412p", content=CONTENT)
    archive.faults.add(Slow(rate=1_000_000))
    async with archive.standin, session.get(address(archive)) as answer:
        found = b""
        while len(found) < 300_000:
            found += await answer.content.readexactly(100_000)
            while not clock.sleepers:
                await asyncio.sleep(0)
            clock.advance(0.1)
        assert clock.monotonic() == pytest.approx(0.3)
        assert found == CONTENT[:300_000]


def test_faults_are_frozen_counted_and_chosen_by_name() -> None:
    fault = Dropped(name="97*", times=2)
    with pytest.raises(FrozenInstanceError):
        fault.times = 3  # type: ignore[misc]
    faults = Faults(fault, Slow(times=0))
    assert faults.take(Dropped, "1p.fits") is None
    assert faults.peek(Dropped, NAME) is faults.take(Dropped, NAME) is faults.take(Dropped, NAME) is fault
    assert faults.take(Dropped, NAME) is None
    assert all(faults.take(Slow, NAME) for _ in range(5))
    assert faults.committed.count((fault, NAME)) == 2


def _least(kind: str) -> str:
    """Order a fault with no more than it needs."""
    return f'[[fault]]\nkind = "{kind}"\n' + 'source = "new.fits"\n' * (kind in {"replaced", "renewed"})


def test_faults_are_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text('[[fault]]\nkind = "dropped"\nname = "97*"\nafter = 5\n[[fault]]\nkind = "down"\nat = "argus"\n')
    assert Faults.read(path).standing == (Dropped(name="97*", after=5), Down(at="argus"))
    (tmp_path / "new.fits").write_bytes(b"another")
    path.write_text("".join(_least(kind) for kind in KINDS))
    assert [type(fault) for fault in Faults.read(path).standing] == list(KINDS.values())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[fault]]\nkind = "drop"', "fault 1: kind = 'drop' is none of busy, .*; did you mean 'dropped'"),
        ("[[fault]]\nkind = []", r"fault 1: kind = \[\] is none of busy"),
        ('[[faults]]\nkind = "down"', r"faults.toml: there is 'faults'; each fault begins with \[\[fault\]\]"),
        ('[fault]\nkind = "down"', r"faults.toml: each fault begins with \[\[fault\]\], in double brackets"),
        ('[[fault]]\nkind = "renewed"', 'fault 1 .renewed.: source = "" names no file; give the path'),
        ('[[fault]]\nkind = "replaced"\nsource = "gone.fits"', "source = .*gone.fits' is no file; give the path"),
        ('[[fault]]\nkind = "short"\nprobability = 50', "probability = 50 makes no sense: a share from 0 to 1"),
        ('[[fault]]\nkind = "short"\nprobability = nan', "probability = nan makes no sense"),
        ('[[fault]]\nkind = "short"\ntimes = -1', "times = -1 makes no sense: a number of times, 0 for ever"),
        ('[[fault]]\nkind = "slow"\nrate = 0', "rate = 0 makes no sense: at least 1 byte"),
        ('[[fault]]\nkind = "busy"\nstatus = 200', "status = 200 makes no sense: a status from 400 to 599"),
        ('[[fault]]\nkind = "expired"\nstatus = 404', "status = 404 makes no sense: 401 or 403"),
        ('[[fault]]\nkind = "hidden"\nuntil = "noon"', "until = 'noon' makes no sense: a time"),
        ('[[fault]]\nkind = "down"\nat = "agrus"', "at = 'agrus' is no service; did you mean 'argus'"),
        ('[[fault]]\nkind = "down"\nat = "vospace"', "at = 'vospace' is no service; there are reg, argus"),
        ('[[fault]]\nkind = "down"\n[[fault]]\nkind = "dropped"\nafer = 5', "fault 2 .* did you mean 'after'"),
        ('[[fault]]\nkind = "dropped"\nafter = "5"', "after = '5' makes no sense: a whole number is expected"),
        ("[[fault]", "faults.toml"),
    ],
)
async def test_unreadable_faults_say_where_and_what(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(FaultsUnreadable, match=reason):
        await serve(tmp_path, "127.0.0.1", 0, path, asyncio.Event())


def test_every_fault_and_its_keys_are_documented(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "stand-in.md").read_text()
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `") and "/" not in line[:4]}
    common = {field.name for field in fields(Fault)}
    assert common <= set(rows)
    assert {kind for kind, row in rows.items() if row.count("|") == 5} == set(KINDS)
    (tmp_path / "new.fits").write_bytes(b"another")
    for kind, fault in KINDS.items():
        for field in fields(fault):
            assert field.name in common or f"`{field.name}`" in rows[kind], (kind, field.name)
        example = tmp_path / f"{kind}.toml"
        example.write_text(f'[[fault]]\nkind = "{kind}"\n{rows[kind].split("|")[4].strip(" `")}\n')
        assert [type(read) for read in Faults.read(example).standing] == [fault]
