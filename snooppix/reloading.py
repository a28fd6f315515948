"""Reloading: a frame's file is read into the database again, its difference shown first, with a reason, and undone.

What was recorded before is kept in the event of the reload, so that an undo
needs nothing but the history. The file itself is never changed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args

from dbclient.database import Database
from dbclient.records import EventRecord, FrameRecord
from dbclient.stores import Events, Frames
from snooppix.errors import Refused, Rejection
from snooppix.verification import read_file
from terapix.clock import Clock
from terapix.instruments import Instrument

LONGEST: Final = 200
"""Characters of the reason that an operator gives."""
DONE, UNDONE = "reloaded", "reload-undone"
"""Kinds of the events."""


@dataclass(frozen=True, slots=True)
class Change:
    """One fact of a frame that its file tells otherwise than the database."""

    column: str
    """Column, and key within it if it holds several facts, as elixir.PHOT_C."""
    recorded: Any
    """As the database has it; none if it has nothing."""
    found: Any
    """As the file says."""

    @property
    def sentence(self) -> str:
        return f"{self.column} {said(self.recorded)} → {said(self.found)}"


def said(value: Any) -> str:
    """Write a value as a person reads it."""
    if value is None:
        return "nothing"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def changes(recorded: FrameRecord, columns: Mapping[str, Any]) -> list[Change]:
    """List what the columns of a file tell otherwise than the database, by name."""
    found: list[Change] = []
    for column in sorted(columns):
        old, new = getattr(recorded, column), columns[column]
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
            found += [Change(f"{column}.{key}", old.get(key), new.get(key)) for key in keys]
        else:
            found.append(Change(column, old, new))
    return found


def in_words(differing: Sequence[Change]) -> str:
    if not differing:
        return "nothing differs from the database"
    return "changed: " + ", ".join(change.sentence for change in differing)


async def read(frame: FrameRecord, path: Path, *, instrument: Instrument, compression: float) -> dict[str, Any]:
    """Read what a file tells of its frame, as columns.

    Raises
    ------
    Refused
        If it cannot be read, or is not what we take; then nothing is to be changed.
    """
    asked: dict[str, Any] = {
        "instrument": instrument,
        "kind": frame.kind,
        "name": frame.name,
        "compression": compression,
    }
    try:
        found = await asyncio.to_thread(read_file, path, **asked)
    except (Rejection, OSError) as problem:
        words = problem.sentence if isinstance(problem, Rejection) else str(problem)
        raise Refused(f"{path.name} cannot be read: {words}; nothing was changed.") from problem
    if found.verdict.rejection is not None:
        raise Refused(f"{path.name} is not acceptable: {found.verdict.rejection.sentence}; nothing was changed.")
    return found.columns


class Reloading:
    """Reads files again into the database, and takes that back."""

    def __init__(self, database: Database, *, instrument: Instrument, compression: float, clock: Clock) -> None:
        self.database = database
        self.instrument = instrument
        self.compression = compression
        self.clock = clock

    async def reload(self, frame: FrameRecord, path: Path, because: str, *, by: str) -> str:
        """Write down what the file says; return what is to be said of it.

        Raises
        ------
        Refused
            If no reason is given, or the file is not what we take.
        """
        because = reason(because, "reloaded")
        columns = await read(frame, path, instrument=self.instrument, compression=self.compression)
        async with self.database.write() as session:
            held = await Frames().get(session, frame.id)
            differing = changes(held, columns)
            names = sorted({change.column.partition(".")[0] for change in differing})
            text = f"{frame.name} was read again from {path.name}: {in_words(differing)}. Because: {because}."
            data = {"because": because} | {
                word: {name: plain(source[name]) for name in names}
                for word, source in (("before", {name: getattr(held, name) for name in names}), ("after", columns))
            }
            await Frames().describe(session, frame.id, **{name: columns[name] for name in names})
            await self._tell(session, frame, DONE, text, by=by, data=data)
        return text

    async def undo(self, frame: FrameRecord, because: str, *, by: str) -> str:
        """Write down again what the last reload replaced; return what is to be said of it.

        Raises
        ------
        Refused
            If no reason is given, nothing was reloaded, or what was reloaded was changed since.
        """
        because = reason(because, "taken back")
        async with self.database.write() as session:
            held = await Frames().get(session, frame.id)
            last = last_reload(await Events().of_frame(session, frame.id))
            if last is None or last.data is None:
                raise Refused(f"Nothing of {frame.name} was reloaded that is not taken back already.")
            before, after = last.data["before"], last.data["after"]
            others = sorted(name for name in after if plain(getattr(held, name)) != after[name])
            if others:
                raise Refused(f"{', '.join(others)} of {frame.name} changed since the reload: it cannot be taken back.")
            columns = {name: restored(name, value) for name, value in before.items()}
            text = (
                f"{frame.name} has again what the reload of {last.at:%Y-%m-%d %H:%M:%S} replaced: "
                f"{in_words(changes(held, columns))}. Because: {because}."
            )
            await Frames().describe(session, frame.id, **columns)
            await self._tell(session, frame, UNDONE, text, by=by, data={"because": because, "undoes": last.id})
        return text

    async def _tell(self, session: Any, frame: FrameRecord, kind: str, text: str, *, by: str, data: Any) -> None:
        source = f"operator:{by}"[:60]
        await Events().append(
            session, source=source, kind=kind, message=text, frame_id=frame.id, data=data, now=self.clock.now()
        )


def reason(because: str, what: str) -> str:
    """Give the reason in one line; there must be one."""
    because = " ".join(because.split())[:LONGEST].rstrip(".")
    if not because:
        raise Refused(f"Say because of what it is {what}: the history keeps the reason.")
    return because


def last_reload(events: Sequence[EventRecord]) -> EventRecord | None:
    """Give the last reload that changed anything and is not taken back."""
    taken_back = {(event.data or {}).get("undoes") for event in events if event.kind == UNDONE}
    standing = [
        event
        for event in events
        if event.kind == DONE and (event.data or {}).get("before") and event.id not in taken_back
    ]
    return standing[-1] if standing else None


def plain(value: Any) -> Any:
    """Give a value as JSON knows it."""
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def restored(column: str, value: Any) -> Any:
    """Give a value that JSON kept as its column has it."""
    kinds = set(get_args(FrameRecord.__annotations__[column])) - {NoneType}
    return datetime.fromisoformat(value) if isinstance(value, str) and datetime in kinds else value
