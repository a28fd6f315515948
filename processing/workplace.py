"""Directories for work in progress: one of its own for each job, gone when the job is over or was killed."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4


@contextlib.contextmanager
def workplace(scratch: Path, name: str, *, stage: str = "weigh") -> Iterator[Path]:
    """A directory in `scratch` for one job, removed at its end; those of killed jobs of the stage go on the way."""
    scratch.mkdir(parents=True, exist_ok=True)
    with _locked(scratch):
        for old in scratch.glob(f"{stage}-*"):
            _remove_if_abandoned(old)
        place = scratch / f"{stage}-{name}-{uuid4().hex[:12]}"
        place.mkdir()
        handle = os.open(place, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(handle)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remove_if_abandoned(place: Path) -> None:
    """Remove the directory of a job whose process is gone: the kernel has dropped its lock."""
    try:
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(place, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(handle)
