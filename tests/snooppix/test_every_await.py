"""Cancelled, or killed, at any await between the listing and the sorted file: each file still arrives once."""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dbclient.schema import FrameState
from snooppix.fetcher import Fetcher
from snooppix.sorting import Sorter
from terapix.clock import SetClock
from tests.snooppix.desk import Desk, at_work, settings_for, small_camera
from tests.snooppix.follower import Follower, place_in_memory
from tests.support.archive import ServedArchive, small_fits
from tests.support.awaits import Watched, power_cut

pytestmark = pytest.mark.timeout(240)

FEW = 4
"""CCDs of the small files here; what is to be seen does not depend on them."""
SURE = 3
"""Frames that have to come through uncut before their awaits count as exhausted: how many there are is chance."""
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


@pytest.fixture
def memory() -> Iterator[Path]:
    place = place_in_memory()
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize(("kind", "method"), [(Fetcher, "_run"), (Sorter, "_sort")], ids=["fetched", "sorted"])
async def test_cancelled_at_any_await_it_is_done_the_next_time(
    kind: type, method: str, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One frame is cancelled at its first await, the next at its second, until there are no more awaits."""
    clock = SetClock(datetime(2008, 3, 30, 6, tzinfo=UTC))
    (tmp_path / "archive").mkdir()
    archive = ServedArchive(tmp_path / "archive", clock=clock)
    cancelled: list[int] = []
    """Numbers of the awaits at which a frame was cancelled."""

    def cancel(_: Any, number: int) -> None:
        task = asyncio.current_task()
        if number == len(cancelled) + 1 and names[-1] not in cut and task is not None:
            cancelled.append(number)
            cut.add(names[-1])
            asyncio.get_running_loop().call_soon(task.cancel)

    watch(monkeypatch, kind, method, cancel)
    names: list[str] = []
    cut: set[str] = set()
    async with archive.standin:
        follower = Follower(memory, archive.registry, camera=CAMERA, clock=clock, patience=30.0)
        await follower.start()
        while set(names[-SURE:]) & cut or len(names) < SURE:
            names.append(f"{900001 + len(names)}p")
            offer(archive, names[-1])
            await follower.look()
            for _ in range(2):
                for step in (follower.fetch, follower.sort):
                    with contextlib.suppress(asyncio.CancelledError):
                        await step()
                clock.advance(60)
            assert (await follower.desk.generations(names[-1]))[0].state is FrameState.VALID, (
                f"cut at await {len(cancelled)}"
            )
        check(follower.desk, archive)
        fetched = await events_of(follower.desk, "fetched")
        await follower.stop()
    assert fetched == names
    assert len(cancelled) >= 5


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
