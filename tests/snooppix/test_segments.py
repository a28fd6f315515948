"""A large file over several connections: only as far as it pays, and always the same bytes."""

import asyncio
import contextlib
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snooppix.bandwidth import Limits
from snooppix.carrier import Progress, Wanted
from snooppix.download import Downloader
from snooppix.segments import Growth, Segments
from snooppix.wire import Wire
from terapix.blocks import BLOCK, Bound
from terapix.clock import SystemClock
from terapix.identity import Digest
from terapix.part import Part, Span
from terapix.sections import ArchiveSection, LimitSection, SnooppixSection
from tests.support.mirror import Mirror, mirrors
from tests.support.patience import PATIENCE

CONTENT = b"SIMPLE  =" + os.urandom(15 * BLOCK + 4711)
EAGER = Growth(most=4, period=0.25, gain=1.2, worth=2 * BLOCK)


async def fetch(
    part: Path, server: Mirror, *, growth: Growth = EAGER, limits: tuple[LimitSection, ...] = (), stop_at: int = 0
) -> Progress:
    progress = Progress()
    digest = Digest("md5", hashlib.md5(CONTENT, usedforsecurity=False).hexdigest())
    wanted = Wanted("979412p", part, len(CONTENT), digest)
    async with mirrors(server) as [address]:
        wire = Wire(ArchiveSection(registry=address), SnooppixSection(read_timeout=PATIENCE))
        async with wire:
            clock = SystemClock()
            downloader = Downloader(wire, growth=growth, limits=Limits(limits, clock=clock), clock=clock)
            task = asyncio.create_task(downloader.fetch(wanted, address, progress))
            while stop_at and progress.done < stop_at:
                await asyncio.sleep(0.01)
            if stop_at:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            else:
                await task
    return progress


async def test_connections_are_added_while_each_makes_it_faster(tmp_path: Path) -> None:
    server = Mirror(CONTENT, pause=0.03)
    await fetch(tmp_path / "a.part", server)
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert server.most_open >= 3
    assert server.asked[0] == ""


async def test_where_they_bring_nothing_it_goes_back_to_one(tmp_path: Path) -> None:
    server = Mirror(CONTENT, pause=0.008, shared=True)
    await fetch(tmp_path / "a.part", server, growth=Growth(most=4, period=0.15, gain=2.0, worth=2 * BLOCK))
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert server.most_open == 2


async def test_a_small_rest_is_not_worth_another_connection(tmp_path: Path) -> None:
    server = Mirror(CONTENT, pause=0.002)
    await fetch(tmp_path / "a.part", server, growth=Growth(most=4, period=0.02, worth=100 * BLOCK))
    assert server.asked == [""]


async def test_a_server_without_ranges_is_asked_over_one(tmp_path: Path) -> None:
    server = Mirror(CONTENT, pause=0.01, ranges=False)
    await fetch(tmp_path / "a.part", server)
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert len(server.asked) == 2


async def test_the_limit_of_the_host_counts_all_connections(tmp_path: Path) -> None:
    server = Mirror(CONTENT, pause=0.01)
    await fetch(tmp_path / "a.part", server, limits=(LimitSection(connections=2),))
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert server.most_open <= 2


async def test_what_was_here_when_it_was_stopped_is_not_fetched_again(tmp_path: Path) -> None:
    server = Mirror(CONTENT, pause=0.02)
    await fetch(tmp_path / "a.part", server, stop_at=10 * BLOCK)
    server.given, server.pause = 0, 0.0
    held = Part.open(tmp_path / "a.part")
    here = held.done
    held.close()

    await fetch(tmp_path / "a.part", server)

    assert here >= 8 * BLOCK
    assert (tmp_path / "a.part").read_bytes() == CONTENT
    assert server.given <= len(CONTENT) - here + 4 * BLOCK


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
def test_blocks_in_any_order_give_the_digest_of_the_file(order: tuple[int, ...], tmp_path: Path) -> None:
    content = CONTENT[: 2 * BLOCK + 100]
    part = Part.open(tmp_path / "a.part")
    part.bind(Bound("", "", len(content)))
    for index in order:
        span = Span(part, index * BLOCK)
        piece = content[index * BLOCK : (index + 1) * BLOCK]
        span.write([piece[:5000], piece[5000:]])
        part.follow(index * BLOCK, [piece])
    part.follow(0, ())

    assert part.complete
    assert part.digest.hexadecimal == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert (tmp_path / "a.part").read_bytes() == content
    part.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 63), max_size=20, unique=True), st.integers(0, 6))
def test_claims_never_overlap_and_leave_nothing_out(held: list[int], takes: int) -> None:
    part = Part(Path("nowhere"))
    part.bound = Bound("", "", 64 * BLOCK)
    part.ahead = set(held) - {0}
    segments = Segments(part, growth=EAGER, clock=SystemClock(), may_open=lambda: True)
    segments.claim(*part.gaps()[0])
    taken = 0
    while len(segments.claims) <= takes and segments.take() is not None:
        taken += 1
    covered = [index for claim in segments.claims for index in range(claim.begin // BLOCK, -(-claim.end // BLOCK))]
    assert len(covered) == len(set(covered))
    assert not set(covered) & part.ahead
    if taken < takes:
        assert set(covered) | part.ahead >= set(range(64)) - set()


def test_of_a_file_of_unknown_length_nobody_else_can_bring_a_part() -> None:
    part = Part(Path("nowhere"))
    part.bound = Bound("", "", -1)
    segments = Segments(part, growth=EAGER, clock=SystemClock(), may_open=lambda: True)
    segments.claim(*part.gaps()[0])
    assert segments.take() is None
