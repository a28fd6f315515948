"""Cancelled, or killed, at any await between the listing and the sorted file: each file still arrives once."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dbclient.schema import FrameState
from snooppix.fetcher import Fetcher
from snooppix.sorting import Sorter
from tests.snooppix.desk import Desk, at_work, settings_for, small_camera
from tests.support.archive import ServedArchive, small_fits
from tests.support.awaits import Watched, power_cut

pytestmark = pytest.mark.timeout(240)

FEW = 4
"""CCDs of the small files here; what is to be seen does not depend on them."""
CAMERA = small_camera().with_ccds(FEW)


def watch(monkeypatch: pytest.MonkeyPatch, kind: type, method: str, at: Callable[[Any, int], None]) -> None:
    """Have `at` called with the method's argument and the number of each await in it."""
    plain = getattr(kind, method)

    async def watched(self: Any, subject: Any) -> Any:
        return await Watched(plain(self, subject), lambda number: at(subject, number))

    monkeypatch.setattr(kind, method, watched)


def offer(archive: ServedArchive, name: str) -> None:
    archive.offer(name, content=small_fits(name, ccds=FEW))


def check(desk: Desk, archive: ServedArchive) -> None:
    """What is on the disk is what was offered, byte for byte, and nothing else."""
    held = {path.name: path.read_bytes() for path in desk.settings.reception.rglob("*") if path.is_file()}
    offered = {path.name: path.read_bytes() for path in archive.directory.iterdir()}
    assert sorted(held) == sorted(offered)
    assert [name for name in held if held[name] != offered[name]] == []


async def events_of(desk: Desk, kind: str) -> list[str]:
    return sorted(event.message.split()[0] for event in await desk.events() if event.kind == kind)


async def test_a_fetch_cancelled_at_any_await_is_done_the_next_time(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th frame is cancelled at its n-th await; the last ones have fewer awaits than that."""
    longest: dict[str, int] = {}
    cancelled: set[str] = set()

    def cancel(running: Any, number: int) -> None:
        name = running.frame.name
        longest[name] = max(longest.get(name, 0), number)
        if name not in cancelled and number == 1 + int(name[:-1]) - 900000:
            cancelled.add(name)
            asyncio.get_running_loop().call_soon(running.task.cancel)

    watch(monkeypatch, Fetcher, "_run", cancel)
    names = [f"{900000 + number}p" for number in range(110)]
    for name in names:
        offer(served_archive, name)
    async with at_work(settings_for(tmp_path / "host", served_archive.registry, downloads=8), camera=CAMERA) as desk:
        for name in names:
            await desk.until_state(name, FrameState.VALID, seconds=120)
        check(desk, served_archive)
        fetched = await events_of(desk, "fetched")
    assert fetched == sorted(names)
    uncut = [count for name, count in longest.items() if name not in cancelled]
    assert uncut, f"more frames are needed: a fetch has over {len(names)} awaits"
    usual = sorted(uncut)[len(uncut) // 2]  # one that has to wait for another's promise of room awaits more often
    assert len(cancelled) >= usual - 1


async def test_killed_at_any_await_the_next_start_goes_on_from_what_is_there(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cuts = tmp_path / "host", tmp_path / "cuts"
    settings = settings_for(root, served_archive.registry)
    remains: dict[str, Path] = {}

    def cut(_: Any, number: int) -> None:
        target = cuts / f"{len(list(cuts.iterdir()))}"
        remains.setdefault(power_cut(root, root / "terapix.sqlite", target), target)

    cuts.mkdir()
    offer(served_archive, "979412p")
    with monkeypatch.context() as watching:
        watch(watching, Fetcher, "_run", cut)
        watch(watching, Sorter, "_sort", cut)
        async with at_work(settings, camera=CAMERA) as desk:
            await desk.until_state("979412p", FrameState.VALID)
    assert len(remains) >= 6, "claimed, begun, downloaded, renamed, recorded, filed"

    for left in remains.values():
        with closing(sqlite3.connect(left / "terapix.sqlite")) as database:
            [(before,)] = database.execute("SELECT count(*) FROM events WHERE kind = 'fetched'")
        async with at_work(settings_for(left, served_archive.registry), camera=CAMERA) as desk:
            await desk.until_state("979412p", FrameState.VALID)
            check(desk, served_archive)
            assert await events_of(desk, "fetched") == ["979412p"], f"{before} before the cut"
