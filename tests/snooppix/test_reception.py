"""Reception disks: which one takes a frame, what is promised there, and what happens when one is full or gone."""

import asyncio
import errno
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dbclient.schema import FrameState, Level
from dbclient.stores import Frames
from snooppix.errors import NoRoom
from snooppix.fetcher import Fetcher, Running
from snooppix.reception import Reception, Receptions, ReceptionTaken
from snooppix.standin.kinds import Slow
from terapix.identity import Digest
from terapix.part import Bound, Part
from terapix.sections import Settings
from terapix.settings import load
from tests.snooppix.desk import at_work, small_camera
from tests.support.archive import ServedArchive, small_fits
from tests.support.awaits import Watched, power_cut
from tests.support.small_disk import SmallDisk, fill, make_read_only, small_disk

__all__ = ["small_disk"]

MD5 = Digest("md5", "0" * 32)
FEW = 4
CAMERA = small_camera().with_ccds(FEW)


def two(tmp_path: Path, **room: int) -> Receptions:
    """Two disks, fc1 and fc2, with so much room."""
    disks = Receptions(*(Reception(tmp_path / name, reserve=0, name=name) for name in ("fc1", "fc2")))
    disks.prepare()
    for disk in disks.disks:
        disk.room = lambda name=disk.name: room[name]  # type: ignore[method-assign, misc]
    return disks


def settings_for(root: Path, registry: str, **snooppix: object) -> Settings:
    """Settings with two reception disks below a directory."""
    disks = [{"name": name, "directory": str(root / name), "reserve": 0} for name in ("fc1", "fc2")]
    overrides = {
        "paths": {"directory": str(root), "disks": disks},
        "archive": {"registry": registry},
        "snooppix": {"poll": 0.2, "read_timeout": 2.0, **snooppix},
    }
    return load(environment={}, overrides=overrides).settings


def offer(archive: ServedArchive, name: str, seed: int = 1) -> bytes:
    content = small_fits(name, ccds=FEW, seed=seed)
    archive.offer(name, content=content)
    return content


WRITE = Part.write


def full_on_fc1(self: Part, pieces: Sequence[bytes | memoryview], at: int) -> None:
    if "fc1" in self.path.parts:
        raise OSError(errno.EDQUOT, "Disk quota exceeded", str(self.path))
    WRITE(self, pieces, at)


async def test_each_frame_goes_where_most_is_left_after_the_promises(tmp_path: Path) -> None:
    disks = two(tmp_path, fc1=1000, fc2=900)
    chosen = [(await disks.choose(number, f"{number}p", MD5, 300)).name for number in range(6)]
    assert chosen == ["fc1", "fc2", "fc1", "fc2", "fc1", "fc2"]
    with pytest.raises(NoRoom, match="fc1 has no room, fc2 has no room"):
        await disks.choose(6, "6p", MD5, 300)
    disks.drop(0)
    assert (await disks.choose(6, "6p", MD5, 300)).name == "fc1"
    disks.release()


async def test_chosen_at_once_no_byte_is_promised_twice(tmp_path: Path) -> None:
    disks = two(tmp_path, fc1=1000, fc2=1000)
    tried = (disks.choose(number, f"{number}p", MD5, 400) for number in range(8))
    found = await asyncio.gather(*tried, return_exceptions=True)
    assert sorted(disk.name for disk in found if isinstance(disk, Reception)) == ["fc1", "fc1", "fc2", "fc2"]
    assert all(isinstance(disk, Reception | NoRoom) for disk in found)
    disks.release()


async def test_a_part_keeps_its_frame_on_its_disk_and_counts_for_what_it_lacks(tmp_path: Path) -> None:
    disks = two(tmp_path, fc1=20_000, fc2=10_000_000)
    begun = disks.disk("fc1").part("1p", MD5)
    begun.write_bytes(os.urandom(80_000))
    assert (await disks.choose(1, "1p", MD5, 90_000)).name == "fc1"
    disks.settle(1)
    assert (await disks.choose(2, "2p", MD5, 9_990_000)).name == "fc2"
    with pytest.raises(NoRoom):
        await disks.choose(3, "3p", MD5, 15_000)
    begun.unlink()
    assert (await disks.choose(3, "3p", MD5, 15_000)).name == "fc1"
    disks.release()


async def test_promises_hold_after_a_restart_while_the_part_is_there(tmp_path: Path) -> None:
    disks = two(tmp_path, fc1=1_000_000, fc2=0)
    part = Part.open(disks.disk("fc1").part("1p", MD5))
    part.bind(Bound("", "", -1))
    part.append([b"begun"])
    part.close()
    disks.remember(1, "fc1", "1p", MD5, 600_000)
    disks.remember(2, "fc1", "2p", MD5, 600_000)
    with pytest.raises(NoRoom):
        await disks.choose(3, "3p", MD5, 500_000)
    assert (await disks.choose(3, "3p", MD5, 400_000)).name == "fc1"
    disks.release()


async def test_a_disk_that_is_gone_is_passed_over_and_taken_up_when_it_is_back(tmp_path: Path) -> None:
    disks = two(tmp_path, fc1=1000, fc2=1000)
    assert await disks.look() == []
    root = tmp_path / "fc1"
    root.rename(tmp_path / "unplugged")
    [(disk, said)] = await disks.look()
    assert (disk.name, said) == ("fc1", f"reception disk fc1 is passed over: {root} is gone or empty: mount its disk")
    root.mkdir()
    assert await disks.look() == [], "an empty mount point is not the disk"
    assert (await disks.choose(1, "1p", MD5, 500)).name == "fc2"
    with pytest.raises(NoRoom, match=r"fc1 .* is gone or empty"):
        await disks.choose(2, "2p", MD5, 600)
    root.rmdir()
    (tmp_path / "unplugged").rename(root)
    assert [said for _, said in await disks.look()] == [f"reception disk fc1 is used again: {root}"]
    with pytest.raises(ReceptionTaken):
        Reception(root, reserve=0).prepare()
    disks.release()


async def test_a_disk_that_can_only_be_read_is_passed_over(tmp_path: Path, small_disk: SmallDisk) -> None:
    small_disk(tmp_path / "fc1", 1_000_000)
    disks = two(tmp_path, fc1=1000, fc2=1000)
    make_read_only(tmp_path / "fc1")
    assert (await disks.look())[0][1].endswith("fc1 cannot be written")
    assert [disk.name for disk in disks.usable] == ["fc2"]
    disks.release()


async def test_a_disk_that_fails_while_room_is_looked_for_is_left_out(tmp_path: Path) -> None:
    disks = two(tmp_path, fc1=1000, fc2=1000)

    def dead() -> int:
        raise OSError(errno.EIO, "Input/output error")

    disks.disk("fc1").room = dead  # type: ignore[method-assign]
    assert (await disks.choose(1, "1p", MD5, 500)).name == "fc2"
    disks.release()


async def test_only_downloads_that_run_or_left_a_part_count_as_begun(tmp_path: Path) -> None:
    disks = two(tmp_path, fc1=1000, fc2=1000)
    for number in range(5):
        disks.remember(number, "fc1", f"{number}p", MD5, 100)
    disks.disk("fc1").part("3p", MD5).write_bytes(b"begun")
    await disks.choose(9, "9p", MD5, 100)
    assert await disks.begun(besides=0) == 2
    assert await disks.begun(besides=9) == 1
    disks.settle(9)
    assert await disks.begun(besides=0) == 1
    disks.release()


async def test_a_disk_that_never_answers_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disks = two(tmp_path, fc1=1000, fc2=1000)
    monkeypatch.setattr("snooppix.reception.DEADLINE", 0.05)
    answer = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(
        disks.disk("fc1"),
        "examine",
        lambda *, used: asyncio.run_coroutine_threadsafe(answer.wait(), loop).result() and None,
    )
    assert "has not answered" in (await disks.look())[0][1]
    assert [disk.name for disk in disks.usable] == ["fc2"]
    answer.set()
    await disks._looks["fc1"]
    assert "is used again" in (await disks.look())[0][1]
    disks.release()


async def test_frames_arrive_on_two_disks_and_their_rows_say_where(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    names = [f"{980000 + number}p" for number in range(6)]
    content = {name: offer(served_archive, name) for name in names}
    served_archive.faults.add(Slow(rate=200_000))
    settings = settings_for(tmp_path / "host", served_archive.registry, downloads=6)
    async with at_work(settings, camera=CAMERA) as desk:
        frames = [await desk.until_state(name, FrameState.VALID) for name in names]
    assert {frame.disk for frame in frames} == {"fc1", "fc2"}
    for frame in frames:
        assert settings.received(frame.disk, str(frame.path)).read_bytes() == content[frame.name]


async def test_a_disk_that_turns_out_full_gives_way_to_another_without_a_counted_try(
    served_archive: ServedArchive, tmp_path: Path, small_disk: SmallDisk
) -> None:
    """fc1 seems the emptier one, and its quota says no when the bytes come."""
    content = offer(served_archive, "979412p")
    root = tmp_path / "host"
    small_disk(root / "fc1", 4_000_000)
    small_disk(root / "fc2", 3_000_000)
    settings = settings_for(root, served_archive.registry)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Part, "write", full_on_fc1)
        async with at_work(settings, camera=CAMERA) as desk:
            frame = await desk.until_state("979412p", FrameState.VALID)
            events = [event.kind for event in await desk.events()]
    assert (frame.disk, frame.attempts) == ("fc2", 0)
    assert "waits" not in events
    assert settings.received("fc2", str(frame.path)).read_bytes() == content
    assert list((root / "fc1" / "incoming").iterdir()) == []


async def test_a_full_disk_is_passed_over_and_both_full_make_frames_wait(
    served_archive: ServedArchive, tmp_path: Path, small_disk: SmallDisk
) -> None:
    size = len(offer(served_archive, "979412p"))
    root = tmp_path / "host"
    for name in ("fc1", "fc2"):
        small_disk(root / name, 2_000_000)
    fill(root / "fc1", leaving=size // 2)
    ballast = fill(root / "fc2", leaving=size // 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snooppix.service.HEARTBEAT", 0.2)
        async with at_work(settings_for(root, served_archive.registry), camera=CAMERA) as desk:
            waiting = await desk.until(lambda frame: bool(frame and frame.reason), "979412p")
            ballast.unlink()
            async with desk.database.write() as session:
                await Frames().describe(session, waiting.id, retry_at=None)
            frame = await desk.until_state("979412p", FrameState.VALID)
    assert "fc1 has no room, fc2 has no room" in (waiting.reason or "")
    assert (frame.disk, waiting.attempts) == ("fc2", 0)


async def test_a_frame_on_a_disk_that_is_gone_waits_and_goes_on_when_it_is_back(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk goes between arrival and verification, and comes back after another frame took the other disk."""
    monkeypatch.setattr("snooppix.service.HEARTBEAT", 0.2)
    monkeypatch.setattr("snooppix.sorting.PAUSE", timedelta(seconds=0.2))
    content = offer(served_archive, "979412p")
    root = tmp_path / "host"
    settings = settings_for(root, served_archive.registry)
    gone: list[Path] = []

    async with at_work(settings, camera=CAMERA) as desk:
        sorter = desk.snooppix.sorter
        verify = sorter.verifier.verify

        async def unplug(path: Path, **known: Any) -> Any:
            if not gone:
                disk = root / path.relative_to(root).parts[0]
                gone.append(disk)
                disk.rename(root / "unplugged")
            return await verify(path, **known)

        monkeypatch.setattr(sorter.verifier, "verify", unplug)
        waiting = await desk.until(lambda frame: bool(frame and frame.reason), "979412p")
        offer(served_archive, "979413p", seed=2)
        other = await desk.until_state("979413p", FrameState.VALID)
        (root / "unplugged").rename(gone[0])
        frame = await desk.until_state("979412p", FrameState.VALID)
        events = [(event.level, event.message) for event in await desk.events() if event.kind in {"disk", "fetched"}]

    assert "gone or empty: mount its disk" in (waiting.reason or "")
    assert waiting.state is FrameState.FETCHED
    assert other.disk != frame.disk == gone[0].name
    assert settings.received(frame.disk, str(frame.path)).read_bytes() == content
    assert [level for level, message in events if "passed over" in message] == [Level.WARNING]
    assert [level for level, message in events if "used again" in message] == [Level.INFO]
    assert len([message for _, message in events if "979412p" in message]) == 1, "it is fetched once"


async def test_killed_at_any_await_of_a_change_of_disks_the_file_lies_once(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fc1 is chosen, turns out to be full, and fc2 takes over: a power cut may come anywhere in between."""
    root, cuts = tmp_path / "host", tmp_path / "cuts"
    content = offer(served_archive, "979412p")
    remains: dict[str, Path] = {}
    run, room = Fetcher._run, Reception.room

    def cut(number: int) -> None:
        target = cuts / str(number)
        remains.setdefault(power_cut(root, root / "terapix.sqlite", target), target)

    async def watched(self: Fetcher, running: Running) -> None:
        await Watched(run(self, running), cut)

    monkeypatch.setattr(Reception, "room", lambda self: room(self) + (10**6 if self.name == "fc1" else 0))
    monkeypatch.setattr(Part, "write", full_on_fc1)
    cuts.mkdir()
    with monkeypatch.context() as watching:
        watching.setattr(Fetcher, "_run", watched)
        async with at_work(settings_for(root, served_archive.registry), camera=CAMERA) as desk:
            frame = await desk.until_state("979412p", FrameState.VALID)
    assert frame.disk == "fc2"
    assert len(remains) >= 6, "placed, begun, moved to the other disk, downloaded, renamed, recorded"

    for left in remains.values():
        async with at_work(settings_for(left, served_archive.registry), camera=CAMERA) as desk:
            frame = await desk.until_state("979412p", FrameState.VALID)
            await desk.snooppix.healer.heal(busy=())
            fetched = [event for event in await desk.events() if event.kind == "fetched"]
        files = [path for path in left.glob("fc*/**/*") if path.is_file()]
        assert files == [left / str(frame.disk) / str(frame.path)], "a part that fc1 held already may end there"
        assert files[0].read_bytes() == content
        assert len(fetched) == 1
