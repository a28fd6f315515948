"""What lies below a root: sizes, digests, the whole list, and removal. Everything here blocks."""

import contextlib
import errno
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from datatransfer.agent.roots import Refused, Root, checked, held_directory, open_file, place_of
from datatransfer.disks import SIDECAR
from datatransfer.errors import NodeUnreachable, SourceGone
from datatransfer.mover import PART, aside, digest_of, sync_directory

QUARANTINE = "quarantine"
"""Room of a root in which files lie that were found damaged; nothing there is used, and nobody removes it."""
WHY = ".why.json"
"""Ending of the note beside a file that was set aside."""


def set_aside(root: Root, path: str, why: Mapping[str, str]) -> str | None:
    """Move a file into quarantine with a note that says why; nothing there is ever written over.

    Returns
    -------
    str
        Where it lies now, below the root; None if it was not there.
    """
    *rooms, name = path.split("/")
    with contextlib.suppress(FileExistsError):
        (root.directory / QUARANTINE).mkdir(mode=0o750)
    with held_directory(root, [QUARANTINE, *rooms], make=True) as into:
        try:
            with place_of(root, path, make=False) as place:
                if not place.is_file() or place.is_symlink():
                    return None
                kept = next(new for new in _names(name) if not os.path.lexists(f"/proc/self/fd/{into}/{new}"))
                note = Path(f"/proc/self/fd/{into}/{kept}{WHY}")
                note.write_text(json.dumps(dict(why), indent=2) + "\n")
                try:
                    place.rename(f"/proc/self/fd/{into}/{kept}")
                except OSError as problem:
                    if problem.errno != errno.EXDEV:
                        raise
                    return _beside(place, note, path)  # its room is a mount of a disk of its own
                sync_directory(place.parent)
        except NodeUnreachable:
            return None
        os.fsync(into)
    return "/".join((QUARANTINE, *rooms, kept))


def _beside(place: Path, note: Path, path: str) -> str:
    """Give a file another name beside its own, and take its note there."""
    kept = aside(place)
    kept.with_name(kept.name + WHY).write_text(note.read_text())
    place.rename(kept)
    note.unlink()
    sync_directory(place.parent)
    return f"{path.rpartition('/')[0]}/{kept.name}"


def _names(name: str) -> Iterator[str]:
    """Give a name, and others like it should it be taken."""
    yield name
    for number in itertools.count(2):
        yield f"{name}.{number}"


def remove(root: Root, path: str, size: int) -> bool:
    """Remove a file if it has the size that is known of it; tell whether it was there.

    Raises
    ------
    Refused
        When another file stands there.
    """
    try:
        handle = open_file(root, path)
    except SourceGone:
        return False
    try:
        found = os.fstat(handle).st_size
    finally:
        os.close(handle)
    if found != size:
        raise Refused(f"{path} has {found} bytes and {size} were to be removed: it is another file")
    with place_of(root, path, make=False) as place:
        place.unlink(missing_ok=True)
        sync_directory(place.parent)
    return True


def sizes(root: Root, paths: Sequence[str]) -> dict[str, int | None]:
    """Give the size of each file; None for what is not there."""
    found: dict[str, int | None] = {}
    for path in paths:
        try:
            handle = open_file(root, path)
        except SourceGone:
            found[path] = None
        else:
            found[path] = os.fstat(handle).st_size
            os.close(handle)
    return found


def digest(root: Root, path: str) -> str | None:
    """Read a file and give its digest; None where it is not there or cannot be read."""
    try:
        handle = open_file(root, path)
    except SourceGone:
        return None
    try:
        return digest_of(Path(f"/proc/self/fd/{handle}"))
    except OSError:
        return None
    finally:
        os.close(handle)


def listing(root: Root) -> list[tuple[str, int]]:
    """List every file in the rooms of a root that has a name of ours, with its size; what is on its way is left out."""
    found: list[tuple[str, int]] = []
    stack = [root.directory / room for room in sorted(root.rooms)]
    while stack:
        place = stack.pop()
        if not place.is_dir():
            continue
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False) and not entry.name.endswith((PART, SIDECAR)):
                    path = os.path.relpath(entry.path, root.directory)
                    try:
                        checked(path)
                    except Refused:
                        continue
                    found.append((path, entry.stat(follow_symlinks=False).st_size))
    return found


def keep_parts(root: Root, paths: Sequence[str]) -> int:
    """Keep what has come of files from being removed for being old; return how many there are."""
    kept = 0
    for path in paths:
        with contextlib.suppress(NodeUnreachable), place_of(root, path, make=False) as place:
            for ending in (SIDECAR, PART):
                with contextlib.suppress(FileNotFoundError):
                    os.utime(f"{place}{ending}", follow_symlinks=False)
                    kept += ending == PART
    return kept


def sweep(root: Root, *, older_than: float, now: float, busy: frozenset[str]) -> int:
    """Remove parts that nobody has touched for long, with their sidecars; return how many.

    Parameters
    ----------
    older_than : seconds
    now : seconds since 1970
    busy : paths of files that are on their way now
    """
    swept = 0
    for room in sorted(root.rooms):
        for ending in (PART, SIDECAR):
            for place in (root.directory / room).rglob(f"*{ending}"):
                path = os.path.relpath(place, root.directory).removesuffix(ending)
                if path in busy or place.is_symlink() or not place.is_file():
                    continue
                if now - place.stat().st_mtime > older_than:
                    place.unlink(missing_ok=True)
                    swept += 1
    return swept
