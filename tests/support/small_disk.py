"""A disk that is soon full: a file system of a few megabytes, where the tests may mount one."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SmallDisk = Callable[[Path, int], None]


@pytest.fixture
def small_disk(pytestconfig: pytest.Config) -> Iterator[SmallDisk]:
    """Give a function that mounts a disk of so many bytes at a directory; it is gone after the test."""
    with contextlib.ExitStack() as exits:

        def mount(place: Path, size: int) -> None:
            place.mkdir(parents=True, exist_ok=True)
            words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "terapix-test", str(place)]
            done = subprocess.run(words, capture_output=True, text=True, check=False) if shutil.which("mount") else None
            if done is None or done.returncode:
                conftest: Any = pytestconfig.pluginmanager.get_plugin(str(pytestconfig.rootpath / "conftest.py"))
                conftest.lacking("a mounted disk", "run the tests as root where mounting is allowed")
            exits.callback(pull_out, place)

        yield mount


def fill(disk: Path, *, leaving: int) -> Path:
    """Fill a disk with a file of somebody else's, but for so many bytes; return the file."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - leaving)
    return ballast


def pull_out(disk: Path) -> None:
    """Take a disk away, as when somebody pulls it out; one that is gone already stays so."""
    if disk.is_mount():
        subprocess.run(["umount", "-l", str(disk)], check=True)


def make_read_only(disk: Path) -> None:
    """Let a disk be read only from now on, as the kernel does when it meets an error."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
