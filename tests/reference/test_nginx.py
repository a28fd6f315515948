"""Downloads from Debian's nginx, which knows nothing of archives: segments, resume, limits, and a proxy between."""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from snooppix.bandwidth import BURST, Limits
from snooppix.carrier import Progress, Wanted
from snooppix.download import Downloader
from snooppix.errors import Unreachable
from snooppix.segments import Growth
from snooppix.wire import Wire
from terapix.blocks import BLOCK, Bound
from terapix.clock import Clock, SetClock, SystemClock
from terapix.identity import Digest
from terapix.part import Part
from terapix.sections import ArchiveSection, LimitSection, SnooppixSection
from tests.snooppix.follower import passing
from tests.support.nginx import PROGRAM, Nginx, nginx
from tests.support.proxy import proxying

pytestmark = pytest.mark.reference

CONTENT = b"SIMPLE  =" + os.urandom(7 * BLOCK + 4711)
NAME = "979412p.fits.fz"
EAGER = Growth(most=4, period=0.1, gain=1.2, worth=2 * BLOCK)
NOON = datetime(2008, 3, 30, 12, tzinfo=UTC)


@pytest.fixture
def place(program: Callable[[str, str], str], tmp_path: Path) -> Path:
    program(PROGRAM, "nginx-light")
    return tmp_path / "nginx"


@pytest.fixture
def server(place: Path) -> Iterator[Nginx]:
    """Each connection brings 12 MB a second, so that several bring more."""
    with nginx(place, "limit_rate 12m;") as running:
        yield running


async def fetch(
    server: Nginx,
    part: Path,
    *,
    content: bytes = CONTENT,
    limits: tuple[LimitSection, ...] = (),
    proxy: str = "",
    growth: Growth = EAGER,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> Progress:
    told, clock = progress or Progress(), clock or SystemClock()
    digest = Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())
    section = ArchiveSection(registry=server.address, proxy=proxy)
    async with Wire(section, SnooppixSection(read_timeout=5.0)) as wire:
        downloader = Downloader(wire, growth=growth, limits=Limits(limits, clock=clock), clock=clock)
        wanted = Wanted(NAME.split(".", maxsplit=1)[0], part, len(content), digest)
        await downloader.fetch(wanted, f"{server.address}/{NAME}", told)
    return told


async def test_a_large_file_comes_over_several_connections_where_each_makes_it_faster(
    server: Nginx, tmp_path: Path
) -> None:
    server.offer(NAME, CONTENT)
    await fetch(server, tmp_path / "a.part")
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    server.stop()  # then all it was asked is in its log
    ranges = [line for line in server.asked() if line.startswith("206")]
    assert len(ranges) >= 2
    assert server.asked()[-1].startswith(("200", "206"))
    assert sum(int(line.rsplit(" ", 1)[1]) for line in ranges) < len(CONTENT)


async def test_a_server_that_ends_and_comes_back_is_gone_on_with(server: Nginx, tmp_path: Path) -> None:
    server.offer(NAME, CONTENT)
    progress = Progress()
    fetching = asyncio.create_task(fetch(server, tmp_path / "a.part", progress=progress))
    while progress.done < 2 * BLOCK:
        await asyncio.sleep(0.01)
    server.stop()
    with pytest.raises(Unreachable):
        await fetching
    held = Part.open(tmp_path / "a.part")
    here = held.done
    held.close()
    (server.root / "asked.log").unlink()
    server.start()

    await fetch(server, tmp_path / "a.part")

    assert (tmp_path / "a.part").read_bytes() == CONTENT
    server.stop()
    given = sum(int(line.rsplit(" ", 1)[1]) for line in server.asked())
    assert here >= BLOCK
    assert given <= len(CONTENT) - here + 4 * BLOCK


async def test_a_server_that_lets_in_one_at_a_time_gives_the_file_over_one(place: Path, tmp_path: Path) -> None:
    with nginx(place, "limit_rate 24m; limit_conn one 1; limit_conn_status 503;") as server:
        server.offer(NAME, CONTENT)
        progress = await fetch(server, tmp_path / "a.part")
        server.stop()
        assert [line[:3] for line in server.asked()].count("503") == 1
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert progress.interruptions == 0


async def test_a_file_that_is_replaced_by_a_longer_one_while_it_comes_is_never_mixed(
    server: Nginx, tmp_path: Path
) -> None:
    """Nginx goes on with the old file on the connections it has, and gives the new one to later ones."""
    server.offer(NAME, CONTENT)
    progress = Progress()
    fetching = asyncio.create_task(fetch(server, tmp_path / "a.part", progress=progress))
    while progress.done < BLOCK:
        await asyncio.sleep(0.01)
    server.offer(NAME, CONTENT + b"more")
    await fetching
    assert (tmp_path / "a.part").read_bytes() == CONTENT


async def test_an_empty_rest_and_a_part_too_long_are_answered_416_and_settled(server: Nginx, tmp_path: Path) -> None:
    server.offer(NAME, CONTENT[:1000])
    for held in (CONTENT[:1000], CONTENT[:1000] + b"not of this file"):
        part = Part.open(tmp_path / "a.part")
        part.restart()
        part.bind(Bound(f"md5:{hashlib.md5(CONTENT[:1000], usedforsecurity=False).hexdigest()}", "", -1))
        part.close()
        (tmp_path / "a.part").write_bytes(held)
        await fetch(server, tmp_path / "a.part", content=CONTENT[:1000])
        assert (tmp_path / "a.part").read_bytes() == CONTENT[:1000]
    server.stop()
    assert [line[:3] for line in server.asked()] == ["416", "416", "200"], "what was whole was not asked for again"


async def test_nothing_comes_packed_though_the_server_packs_for_whoever_lets_it(server: Nginx, tmp_path: Path) -> None:
    content = b"SIMPLE  =" + b"\0" * BLOCK
    server.offer(NAME, content)
    await fetch(server, tmp_path / "a.part", content=content)
    server.stop()
    assert (tmp_path / "a.part").read_bytes() == content
    assert server.asked()[-1].endswith(f" {len(content)}")


async def test_through_a_proxy_the_limits_of_the_host_hold_over_all_connections(place: Path, tmp_path: Path) -> None:
    """Four files at once, by the test's clock: bytes a second and connections, and every byte through the proxy."""
    clock, rate, size = SetClock(NOON), 1_000_000, 1_000_000
    limits = Limits((LimitSection(connections=2, rate=rate),), clock=clock)
    content = CONTENT[:size]
    digest = Digest("md5", hashlib.md5(content, usedforsecurity=False).hexdigest())
    with nginx(place) as server:
        address = server.offer(NAME, content)
        async with proxying() as proxy:
            section = ArchiveSection(registry=server.address, proxy=proxy.address)
            async with Wire(section, SnooppixSection(read_timeout=5.0)) as wire:
                downloader = Downloader(wire, limits=limits, growth=EAGER, clock=clock)
                parts = [tmp_path / f"{number}.part" for number in range(4)]
                fetches = (
                    downloader.fetch(Wanted("979412p", part, size, digest), address, Progress()) for part in parts
                )
                await passing(clock, _all(*fetches))
    assert [part.read_bytes() == content for part in parts] == [True] * 4
    assert proxy.lines == [f"GET {address} HTTP/1.1"] * 4
    assert proxy.most_open == 2
    assert not +limits.open
    assert 4 * size / rate - BURST <= clock.monotonic() <= 1.3 * 4 * size / rate


async def test_segments_through_a_proxy_stay_within_the_limit_of_connections(server: Nginx, tmp_path: Path) -> None:
    server.offer(NAME, CONTENT)
    async with proxying() as proxy:
        limits = (LimitSection(connections=2),)
        await fetch(server, tmp_path / "a.part", proxy=proxy.address, limits=limits)
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert len(proxy.lines) >= 2
    assert proxy.most_open == 2


async def _all(*fetches: object) -> None:
    await asyncio.gather(*fetches)  # type: ignore[call-overload]
