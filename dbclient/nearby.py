"""SQLite close by: the short statements of a write unit run where they are asked for, without a thread.

To hand a statement to a thread and its answer back takes four changes of thread,
some 0.3 ms, where SQLite itself takes 0.01 ms. What may take long goes to the
thread as before: to wait for the lock, to write what was done to the disk, and
statements with many values or with a slab of them.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiosqlite

SHORT: Final = 200
"""Values of a statement up to which it is short: the listing's are inserted some thousands at a time."""
SMALL: Final = 64 * 1024
"""Bytes of a value up to which it is none of the slabs, of which a statement cuts ten thousand rows."""
_HERE: Final = frozenset({"execute", "fetchall", "fetchone", "close", "cursor"})
"""What a cursor does here, in as far as it is short; `close` of a connection is not among them."""


class Nearby(aiosqlite.Connection):  # type: ignore[misc]
    """A connection that works in the caller's thread as long as that is quick."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._is_short(fn, args):
            return fn(*args, **kwargs)
        return await super()._execute(fn, *args, **kwargs)

    def _is_short(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        name = getattr(fn, "__name__", "")
        if not self._running or self._connection is None or name not in _HERE:
            return False
        if isinstance(getattr(fn, "__self__", None), sqlite3.Connection):
            return name == "cursor"
        if name != "execute":
            return True
        if str(args[0]).startswith("BEGIN"):
            return False
        return len(args) < 2 or (len(args[1]) <= SHORT and not _has_slab(args[1]))


def _has_slab(values: Mapping[str, Any] | Sequence[Any]) -> bool:
    found = values.values() if isinstance(values, Mapping) else values
    return any(isinstance(value, bytes) and len(value) > SMALL for value in found)


def open_nearby(database: str, **arguments: Any) -> Nearby:
    """Open a connection; for the engine that writes, which lets one task at a time use it."""
    connection = Nearby(lambda: sqlite3.connect(database, **arguments), iter_chunk_size=64)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does with those that it opens itself
    return connection
