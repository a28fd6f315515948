"""Putting finished files in their place."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def place(source: Path, target: Path) -> None:
    """Rename `source`, complete and on disk, to `target` in one step that outlives a power cut."""
    source.replace(target)
    handle = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def placed(path: Path) -> Iterator[BinaryIO]:
    """Give a stream for a file that gets its name at the end: there complete and on disk, or not at all.

    Until then it is ``path + ".part"``, of which nothing remains where something goes wrong.
    """
    partial = path.with_name(f"{path.name}.part")
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        place(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
