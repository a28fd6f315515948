"""Looking into a coroutine at each of its awaits: to cancel it there, or to see what a power cut there would leave.

A task does nothing between two awaits that another could see, so what can go
wrong with its timing can go wrong at an await; and there are only so many.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Watched(Awaitable[T]):
    """Runs a coroutine and calls `at` with 1, 2, … each time it has come to an await."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], at: Callable[[int], None]) -> None:
        self._coroutine = coroutine
        self._at = at

    def __await__(self) -> Generator[Any, Any, T]:
        number, problem = 0, None
        while True:
            try:
                waited = self._coroutine.throw(problem) if problem else self._coroutine.send(None)
            except StopIteration as end:
                return end.value
            number += 1
            self._at(number)
            try:
                yield waited
            except BaseException as thrown:  # noqa: BLE001 - it belongs to the coroutine, cancellation too
                problem = thrown
            else:
                problem = None


def power_cut(root: Path, database: Path, target: Path) -> str:
    """Keep what a power cut now would leave of a directory, and give a word that is the same for the same remains.

    Files are copied as they are; of the SQLite database, what was committed. A
    thread may rename a file meanwhile: then the copy is made again.
    """
    while True:
        try:
            shutil.copytree(root, target, ignore=shutil.ignore_patterns(f"{database.name}*"))
            break
        except shutil.Error:
            shutil.rmtree(target)
    with closing(sqlite3.connect(database)) as live, closing(sqlite3.connect(target / database.name)) as kept:
        live.backup(kept)
        rows = "\n".join(line for line in kept.iterdump() if '"daemons"' not in line)
    word = hashlib.sha256(rows.encode())
    for path in sorted(path for path in target.rglob("*") if path.is_file() and path.name != database.name):
        word.update(str(path.relative_to(target)).encode() + path.read_bytes())
    return word.hexdigest()
