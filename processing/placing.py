"""Putting finished files in their place."""

import os
from pathlib import Path


def place(source: Path, target: Path) -> None:
    """Rename `source`, complete and on disk, to `target` in one step that outlives a power cut."""
    source.replace(target)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
