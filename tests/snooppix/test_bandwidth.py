"""Limits a host: connections and bytes a second, by the hour; and what aiohttp does to a slow reader."""

import asyncio
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from snooppix.bandwidth import Bucket, Limit, Limits, limit_of
from snooppix.carrier import Progress, Wanted
from snooppix.download import Downloader
from snooppix.wire import Wire
from terapix.blocks import BLOCK
from terapix.clock import SetClock, SystemClock
from terapix.identity import Digest
from terapix.sections import ArchiveSection, LimitSection, SnooppixSection
from tests.support.mirror import Mirror, mirrors
from tests.support.patience import PATIENCE

NOON = datetime(2008, 3, 30, 12, tzinfo=UTC)
DAY = LimitSection(host="*.cadc.ca", connections=2, rate=10_000_000, begin="08:00", end="18:00")
NIGHT = LimitSection(host="*.cadc.ca", connections=8, rate=100_000_000, begin="18:00", end="08:00")
ALWAYS = LimitSection(host="minoc.*", connections=4)


@pytest.mark.parametrize(
    ("host", "hour", "minute", "limit"),
    [
        ("a.cadc.ca", 12, 0, Limit(2, 10_000_000)),
        ("A.CADC.CA", 8, 0, Limit(2, 10_000_000)),
        ("a.cadc.ca", 18, 0, Limit(8, 100_000_000)),
        ("a.cadc.ca", 23, 59, Limit(8, 100_000_000)),
        ("a.cadc.ca", 7, 59, Limit(8, 100_000_000)),
        ("minoc.cadc.ca", 0, 0, Limit(4, 100_000_000)),
        ("minoc.cadc.ca", 12, 0, Limit(2, 10_000_000)),
        ("elsewhere.org", 12, 0, Limit()),
    ],
)
def test_the_strictest_limit_of_the_hour_holds(host: str, hour: int, minute: int, limit: Limit) -> None:
    assert limit_of((DAY, NIGHT, ALWAYS), host, NOON.replace(hour=hour, minute=minute)) == limit


async def test_bytes_beyond_the_rate_wait_their_time() -> None:
    clock = SetClock(NOON)
    bucket = Bucket(clock)
    await bucket.draw(250_000, 1_000_000)
    waits = asyncio.create_task(bucket.draw(500_000, 1_000_000))
    await asyncio.sleep(0)
    begun = waits.done()
    clock.advance(0.4)
    await asyncio.sleep(0)
    early = waits.done()
    clock.advance(0.2)
    await waits
    assert not begun
    assert not early


async def test_a_connection_too_many_waits_until_one_is_closed() -> None:
    limits = Limits((LimitSection(connections=1),), clock=SetClock(NOON))
    order: list[str] = []

    async def ask(name: str) -> None:
        async with limits.connection("minoc"):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    await asyncio.gather(ask("one"), ask("two"))
    assert order == ["one begins", "one ends", "two begins", "two ends"]
    assert not +limits.open


async def test_a_throttled_download_of_a_server_that_closes_early_has_every_byte(tmp_path: Path) -> None:
    """Aiohttp 3.14 tells a slow reader ContentLengthError with all bytes received (#13348)."""
    content = b"SIMPLE  =" + os.urandom(BLOCK)
    digest = Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())
    server, progress = Mirror(content, headers={"Connection": "close"}), Progress()
    async with mirrors(server) as [address], Wire(ArchiveSection(registry=address), SnooppixSection()) as wire:
        clock = SystemClock()
        limits = Limits((LimitSection(rate=4_000_000),), clock=clock)
        begin = clock.monotonic()
        await Downloader(wire, limits=limits).fetch(
            Wanted("979412p", tmp_path / "a.part", len(content), digest), address, progress
        )
        seconds = clock.monotonic() - begin

    assert (tmp_path / "a.part").read_bytes() == content
    assert seconds >= 0.7
    assert server.given <= len(content)


async def test_a_download_may_last_longer_than_any_total_time(tmp_path: Path) -> None:
    """By itself aiohttp ends everything after 300 s (#2249); here only a pause between bytes counts."""
    content = b"SIMPLE  =" + os.urandom(2 * 1024**2)
    digest = Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())
    server, progress = Mirror(content, pause=0.3), Progress()
    settings = SnooppixSection(read_timeout=2.0, connect_timeout=PATIENCE)
    async with mirrors(server) as [address], Wire(ArchiveSection(registry=address), settings) as wire:
        assert wire._session is not None
        assert wire._session.timeout.total is None
        wanted = Wanted("979412p", tmp_path / "a.part", len(content), digest)
        await Downloader(wire).fetch(wanted, address, progress)
    assert progress.interruptions == 0
    assert server.asked == [""]
