"""Disks are measured with a deadline, and what is not there is told apart from what is empty."""

import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from datatransfer import disks
from datatransfer.disks import Disk, Gauge, Ill, furnish, held_bytes, measure
from datatransfer.errors import DiskFull
from datatransfer.mover import Haul, carry, digest_of
from terapix.clock import SetClock
from tests.support.site import NIGHT


def test_a_furnished_directory_is_measured(tmp_path: Path) -> None:
    furnish(tmp_path)

    found = measure(tmp_path)

    assert isinstance(found, Disk)
    assert 0 < found.free < found.total
    assert abs(found.free - shutil.disk_usage(tmp_path).free) < 1_000_000_000


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda place: None, "is gone"),
        (lambda place: place.mkdir(), "is empty: mount its disk"),
        (lambda place: place.write_text("no directory"), "is gone"),
    ],
)
def test_what_is_wrong_with_a_directory_is_told(tmp_path: Path, make: object, reason: str) -> None:
    make(tmp_path / "node1")  # type: ignore[operator]

    found = measure(tmp_path / "node1")

    assert isinstance(found, Ill)
    assert reason in found.reason


def test_a_room_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    furnish(tmp_path)
    (tmp_path / "scratch").rmdir()

    assert isinstance(measure(tmp_path), Disk)
    assert (tmp_path / "scratch").is_dir()


def test_what_is_held_counts_files_once_and_leaves_out_what_comes_and_goes(tmp_path: Path) -> None:
    furnish(tmp_path)
    (tmp_path / "frames" / "08AC14").mkdir()
    frame = tmp_path / "frames" / "08AC14" / "979412p.fits.fz"
    frame.write_bytes(b"x" * 1000)
    (tmp_path / "frames" / "second-name").hardlink_to(frame)
    (tmp_path / "frames" / "half.fits.fz.part").write_bytes(b"x" * 50)
    (tmp_path / "scratch" / "unpacked").write_bytes(b"x" * 5000)
    (tmp_path / "products" / "map.fits").write_bytes(b"x" * 10)
    (tmp_path / "products" / "out").symlink_to("/")

    assert held_bytes(tmp_path) == 1010


async def test_a_disk_that_does_not_answer_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(tmp_path)
    release = threading.Event()
    asked: list[Path] = []

    def dead(directory: Path, rooms: Sequence[str], **_: object) -> Disk | Ill:
        asked.append(directory)
        release.wait(30)
        return Ill("too late")

    gauge = Gauge(tmp_path, SetClock(NIGHT), walk_every=600)
    monkeypatch.setattr(disks, "measure", dead)
    for _ in range(3):
        found = await gauge.measure(deadline=0.01)
        assert isinstance(found, Ill)
        assert "does not answer" in found.reason
    assert asked == [tmp_path]

    release.set()
    assert gauge._looker is not None
    gauge._looker.join(5)
    monkeypatch.undo()
    assert isinstance(await gauge.measure(), Disk)


def test_a_file_system_that_is_full_is_told_and_left_clean(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system: run as root to fill a real one")
    try:
        source = tmp_path / "979412p.fits.fz"
        source.write_bytes(b"pixels" * 500_000)
        haul = Haul(source, small / "979412p.fits.fz", small, digest_of(source), source.stat().st_size)

        with pytest.raises(DiskFull, match="is full"):
            carry(haul, progress=lambda _: None, stop=threading.Event())

        assert list(small.iterdir()) == []
        assert source.exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_part_on_a_disk_of_its_own_is_measured_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(tmp_path)
    real = disks._disk
    monkeypatch.setattr(
        disks,
        "_disk",
        lambda place: Disk(70, 100, "sdb") if place.name == "products" else replace(real(place), free=5, total=9),
    )

    found = measure(tmp_path, own=("products",))

    assert isinstance(found, Disk)
    assert (found.of("products").free, found.of("frames").free) == (70, 5)
    assert (found.free_in_all, found.total_of_all) == (75, 109)
    assert [(disk["parts"], disk["free"]) for disk in found.described] == [
        (["products"], 70),
        (["frames", "calibrations", "scratch"], 5),
    ]


def test_a_disk_of_its_own_that_is_not_mounted_takes_the_node_down(tmp_path: Path) -> None:
    furnish(tmp_path)

    found = measure(tmp_path, own=("products", "scratch"))

    assert found == Ill(f"the disk of its products and scratch is not mounted on {tmp_path / 'products'}")
