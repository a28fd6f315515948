"""Hosts as network namespaces with small disks of their own: cut links, full disks, pulled disks, killed agents."""

import asyncio
import os
from pathlib import Path

import pytest

from datatransfer.errors import DiskFull, LinkBroken, MoveError, NodeUnreachable
from datatransfer.mover import Carried, digest_of
from terapix.steps import BETWEEN_HOSTS
from tests.support.network import Bed, FarHost, bed

pytestmark = [pytest.mark.flow, pytest.mark.timeout(200), pytest.mark.xdist_group("flow")]

FRAME = "frames/08AC14/979412p.fits.fz"
SIZE = 16_000_000
SLOW = 8_000_000
"""Bytes a second, so that there is a middle of a transfer."""


def real(laid: Bed) -> None:
    if not laid.real:
        pytest.skip("no network namespaces or loop disks here: run as root; the hosts are processes on 127.0.0.x")


async def bring(laid: Bed, source: FarHost, target: FarHost, told: list[int] | None = None) -> Carried | MoveError:
    """Ask once; give how it ended."""
    said = told if told is not None else []
    try:
        (ended,) = await laid.courier.bring(target.address, [source.parcel(FRAME, target)], progress=said.append)
    except MoveError as problem:
        return problem
    return ended


async def begun(told: list[int]) -> None:
    """Wait until bytes are moving."""
    async with asyncio.timeout(60):
        while not told or not SIZE / 8 < told[-1] < SIZE:
            await asyncio.sleep(0.02)


def whole(source: FarHost, target: FarHost) -> bool:
    return target.files() == [FRAME] and digest_of(target.directory / FRAME) == digest_of(source.directory / FRAME)


async def test_a_link_that_is_cut_in_mid_transfer_and_mended_loses_nothing(tmp_path: Path) -> None:
    async with bed(tmp_path, 2, rate=SLOW) as laid:
        real(laid)
        one, two = laid.hosts
        for host in laid.hosts:
            await host.begin(laid.courier)
        one.put(FRAME, os.urandom(SIZE))
        told: list[int] = []
        bringing = asyncio.create_task(bring(laid, one, two, told))
        await begun(told)
        one.cut()
        there = told[-1]
        await asyncio.sleep(1.0)  # a cable has no event to wait for: what was under way has come
        assert told[-1] < SIZE
        assert not bringing.done()
        one.mend()
        assert await bringing == Carried(SIZE, "brought")
        assert whole(one, two)
        assert there > 0


async def test_a_host_that_dies_in_mid_transfer_and_comes_back_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with bed(tmp_path, 2, rate=SLOW // 8) as laid:
        one, two = laid.hosts
        for host in laid.hosts:
            await host.begin(laid.courier)
        one.put(FRAME, os.urandom(SIZE))
        for victim in (one, two):
            told: list[int] = []
            bringing = asyncio.create_task(bring(laid, one, two, told))
            await begun(told)
            await victim.kill()
            assert isinstance(await bringing, LinkBroken)
            assert two.files() != [FRAME]
            await victim.begin(laid.courier)
        for host in laid.hosts:
            await host.kill()
            host.set("rate", SLOW)
            await host.begin(laid.courier)
        told = []
        assert await bring(laid, one, two, told) == Carried(SIZE, "brought")
        assert told[0] > SIZE / 8
        assert whole(one, two)


async def test_a_disk_that_fills_up_is_told_and_left_clean_and_a_disk_that_is_pulled_is_told_too(
    tmp_path: Path,
) -> None:
    async with bed(tmp_path, 2, size=24_000_000) as laid:
        real(laid)
        one, two = laid.hosts
        for host in laid.hosts:
            await host.begin(laid.courier)
        one.put(FRAME, os.urandom(SIZE))
        ballast = two.put("scratch/ballast", os.urandom(12_000_000))
        problem = await bring(laid, one, two)
        assert isinstance(problem, DiskFull)
        assert two.files() == []
        ballast.unlink()
        two.pull_disk()
        assert "empty: mount its disk" in (await laid.courier.status(two.address))["disks"][two.root]["ill"]
        assert isinstance(await bring(laid, one, two), NodeUnreachable)
        two.put_disk()
        assert await bring(laid, one, two) == Carried(SIZE, "brought")
        assert whole(one, two)


async def test_an_agent_killed_at_every_step_leaves_nothing_half_written_under_a_final_name(tmp_path: Path) -> None:
    async with bed(tmp_path, 2) as laid:
        one, two = laid.hosts
        await one.begin(laid.courier)
        one.put(FRAME, os.urandom(SIZE))
        once = tmp_path / "once"
        once.mkdir()
        armed = {"TERAPIX_DIE_AT": ",".join(BETWEEN_HOSTS), "TERAPIX_DIE_ONCE": str(once)}
        ended: Carried | MoveError | None = None
        for _ in range(len(BETWEEN_HOSTS) + 1):
            await two.begin(laid.courier, **armed)
            ended = await bring(laid, one, two)
            if isinstance(ended, Carried):
                break
            await two.kill()
            if (two.directory / FRAME).exists():
                assert digest_of(two.directory / FRAME) == digest_of(one.directory / FRAME)
        assert sorted(path.name for path in once.iterdir()) == sorted(BETWEEN_HOSTS)
        assert isinstance(ended, Carried)
        assert whole(one, two)
