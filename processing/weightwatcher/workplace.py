"""Directories of the stage: one of its own for each job, and the maps that all frames of a run share."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

KEPT_BASES = 6
"""Pairs of flat and mask whose maps are kept on a node, about 0.3 GB each for MegaCam; the oldest go first."""


@contextlib.contextmanager
def workplace(scratch: Path, name: str) -> Iterator[Path]:
    """A directory in `scratch` for one job, removed at its end; those of killed jobs are removed on the way."""
    scratch.mkdir(parents=True, exist_ok=True)
    with _locked(scratch):
        for old in scratch.glob("weigh-*"):
            _remove_if_abandoned(old)
        place = scratch / f"weigh-{name}-{uuid4().hex[:12]}"
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


def bases_of(scratch: Path, facts: Mapping[str, Any]) -> Path:
    """Directory of the maps that `facts` decide: flat, mask, recipe, geometry. Older ones make room.

    Two jobs may share it at once: each file in it appears complete, and with the same content whoever made it.
    """
    key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]
    directory = scratch / "bases" / key
    directory.mkdir(parents=True, exist_ok=True)
    os.utime(directory)
    older = sorted(directory.parent.iterdir(), key=lambda place: place.stat().st_mtime, reverse=True)[KEPT_BASES:]
    for old in older:
        shutil.rmtree(old, ignore_errors=True)
    return directory
