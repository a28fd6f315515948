"""Frames: sighted, moved from state to state with an event each, found again."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, cast

from sqlalchemy import Row, Table, Update, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import IllegalMove, NoSuchRow
from dbclient.lifecycle import may_go
from dbclient.records import FrameRecord, record
from dbclient.schema import (
    Frame,
    FrameKind,
    FrameState,
    Job,
    JobState,
    Level,
)
from dbclient.stores.events import Events, about
from dbclient.stores.generations import supersede, told
from dbclient.stores.listings import COLUMNS, FrameLists
from dbclient.stores.sightings import FrameSightings, Sighted, Sighting
from dbclient.stores.turns import turns

__all__ = ["Frames", "Sighted", "Sighting"]

STAMPS = {
    FrameState.FETCHED: "fetched_at",
    FrameState.VALID: "valid_at",
    FrameState.PLACED: "placed_at",
    FrameState.WEIGHTED: "weighted_at",
}
_TABLE: Final = cast("Table", Frame.__table__)
STANDING: Final = (
    select(
        *(_TABLE.c[name] for name in ("id", "name", "generation", "state", "reason", "attempts", "supersedes")),
        *(_TABLE.c[stamp] for stamp in STAMPS.values()),
    )
    .where(_TABLE.c.id == bindparam("number"))
    .with_for_update()
)
OPERATORS = 100
"""Priority of what an operator asked for."""


class Frames(FrameSightings, FrameLists):
    async def get(self, session: AsyncSession, frame_id: int) -> FrameRecord:
        row = (await session.execute(select(*COLUMNS).where(COLUMNS[0] == frame_id))).one_or_none()
        if row is None:
            raise NoSuchRow("frame", frame_id)
        return record(FrameRecord, row)

    async def named(self, session: AsyncSession, name: str) -> FrameRecord | None:
        """Give the newest generation of a name."""
        query = select(Frame).where(Frame.name == name).order_by(Frame.generation.desc()).limit(1)
        row = await session.scalar(query)
        return record(FrameRecord, row) if row else None

    async def generations(self, session: AsyncSession, name: str) -> list[FrameRecord]:
        """Give all generations of a name, newest first."""
        query = select(Frame).where(Frame.name == name).order_by(Frame.generation.desc())
        return [record(FrameRecord, row) for row in await session.scalars(query)]

    async def of_names(self, session: AsyncSession, names: Iterable[str]) -> list[FrameRecord]:
        """Give all generations of many names, newest first of each."""
        wanted, found = sorted(set(names)), list[FrameRecord]()
        for start in range(0, len(wanted), 500):
            query = select(*COLUMNS).where(Frame.name.in_(wanted[start : start + 500]))
            rows = await session.execute(query.order_by(Frame.name, Frame.generation.desc()))
            found += [record(FrameRecord, row) for row in rows]
        return found

    async def due(
        self,
        session: AsyncSession,
        state: FrameState,
        *,
        now: datetime,
        limit: int = 100,
        kinds: Iterable[FrameKind] | None = None,
    ) -> list[FrameRecord]:
        """Give frames in a state whose next try is due, in their turn."""
        numbers = await turns(session, state, now=now, limit=limit, kinds=None if kinds is None else list(kinds))
        rows = await session.execute(select(*COLUMNS).where(Frame.id.in_(numbers)))
        found = {row.id: record(FrameRecord, row) for row in rows}
        return [found[number] for number in numbers]

    async def begun(self, session: AsyncSession) -> list[FrameRecord]:
        """Give the frames that are to be fetched and have a reception disk already."""
        query = select(Frame).where(Frame.state == FrameState.SPOTTED, Frame.disk.is_not(None)).order_by(Frame.id)
        return [record(FrameRecord, row) for row in await session.scalars(query)]

    async def disks(self, session: AsyncSession) -> set[str]:
        """Name the reception disks on which files of frames lie."""
        query = select(Frame.disk).where(Frame.path.is_not(None), Frame.disk.is_not(None)).distinct()
        return {disk for disk in await session.scalars(query) if disk}

    async def advance(
        self,
        session: AsyncSession,
        frame_id: int,
        to: FrameState,
        *,
        now: datetime,
        source: str,
        message: str,
        event: str | None = None,
        level: Level = Level.INFO,
        **columns: Any,
    ) -> None:
        """Move a frame to a state, clear its waiting, stamp the time, and write the event.

        Raises
        ------
        IllegalMove
            If the frame cannot go there from where it is.
        """
        row = await _standing(session, frame_id)
        if not may_go(row.state, to):
            raise IllegalMove(row.name, source=row.state.value, target=to.value)
        values: dict[str, Any] = {"state": to, "reason": None, "retry_at": None, "attempts": 0}
        values |= dict.fromkeys(stamps_after(to))
        if to in STAMPS:
            values[STAMPS[to]] = now
        await _set(session, frame_id, values | columns)
        await told(session, row, event or to.value, message, now=now, source=source, level=level)
        if to is FrameState.VALID and row.supersedes is not None:
            older = select(Frame).where(Frame.name == row.name, Frame.generation < row.generation)
            for generation in list(await session.scalars(older)):
                if generation.state is not FrameState.SUPERSEDED:
                    await supersede(session, generation, now=now, source=source)

    async def wait(
        self,
        session: AsyncSession,
        frame_id: int,
        *,
        reason: str,
        retry_at: datetime | None,
        now: datetime,
        source: str,
        count: bool = True,
        level: Level = Level.WARNING,
    ) -> None:
        """Let a frame wait in its state, with its reason; an event only when the reason is another one."""
        row = await _standing(session, frame_id)
        if row.state is FrameState.SUPERSEDED:
            return
        values: dict[str, Any] = {"reason": reason, "retry_at": retry_at}
        if count:
            values["attempts"] = row.attempts + 1
        await _set(session, frame_id, values)
        if row.reason != reason:
            await told(session, row, "waits", f"waits: {reason}", now=now, source=source, level=level)

    async def fail(self, session: AsyncSession, frame_id: int, *, reason: str, now: datetime, source: str) -> None:
        """Give a frame up until an operator asks for it again; one that is superseded stays so."""
        if (await _standing(session, frame_id)).state is FrameState.SUPERSEDED:
            return
        await self.advance(
            session,
            frame_id,
            FrameState.FAILED,
            now=now,
            source=source,
            message=f"failed: {reason}",
            level=Level.ERROR,
            reason=reason,
        )

    async def retry(self, session: AsyncSession, frame_id: int, *, now: datetime, source: str) -> None:
        """Make a failed or waiting frame due at once, before others, with all its tries; its jobs too.

        A failed one goes back to the last state it had reached, a rejected one is fetched again.
        """
        row = await _standing(session, frame_id)
        if row.state is FrameState.SUPERSEDED:
            raise IllegalMove(row.name, source=row.state.value, target="a new try")
        values: dict[str, Any] = {"reason": None, "retry_at": None, "attempts": 0, "priority": OPERATORS}
        if row.state is FrameState.FAILED:
            reached = [state for state, stamp in STAMPS.items() if getattr(row, stamp)]
            last = min(reached[-1], FrameState.PLACED, key=list(STAMPS).index) if reached else FrameState.SPOTTED
            values["state"] = last
        elif row.state is FrameState.REJECTED:
            values |= {"state": FrameState.SPOTTED, "path": None, "fetched_at": None}
        await _set(session, frame_id, values)
        await session.execute(
            update(Job)
            .where(Job.frame_id == frame_id, Job.state.in_((JobState.FAILED, JobState.DUE)))
            .values(state=JobState.DUE, attempts=0, reason=None, retry_at=None, ended_at=None)
        )
        await told(session, row, "retry", "is to be tried again at once", now=now, source=source)

    async def wait_for_room(
        self,
        session: AsyncSession,
        reasons: Mapping[int, str],
        *,
        newly: Sequence[FrameRecord],
        now: datetime,
        source: str,
    ) -> None:
        """Let many frames wait in their state, each with its reason; an event only of those that begin to wait."""
        if not reasons:
            return
        values = [{"number": number, "to_reason": reason} for number, reason in sorted(reasons.items())]
        line = await session.connection()
        await line.execute(setting(("reason",)), values)
        told = [(about(frame.name, f"waits: {reasons[frame.id]}"), frame.id, None) for frame in newly]
        await Events().append_all(session, told, source=source, kind="waits", now=now, level=Level.WARNING)

    async def make_due(self, session: AsyncSession, frame_ids: Iterable[int], *, now: datetime) -> None:
        """Let frames that wait for their file be tried at once: what they waited for has come."""
        numbers = sorted(frame_ids)
        for start in range(0, len(numbers), 500):
            waiting = (
                Frame.id.in_(numbers[start : start + 500]),
                Frame.state == FrameState.SPOTTED,
                Frame.retry_at > now,
            )
            await session.execute(update(Frame).where(*waiting).values(retry_at=now))

    async def put_off(self, session: AsyncSession, frame_ids: Iterable[int], *, reason: str, until: datetime) -> None:
        """Let frames that are to be fetched wait together, each with the reason; what is common to all is no event."""
        numbers = sorted(frame_ids)
        for start in range(0, len(numbers), 500):
            waiting = (Frame.id.in_(numbers[start : start + 500]), Frame.state == FrameState.SPOTTED)
            await session.execute(update(Frame).where(*waiting).values(reason=reason, retry_at=until))

    async def describe(self, session: AsyncSession, frame_id: int, **columns: Any) -> None:
        """Set columns of a frame without an event."""
        if columns:
            await _set(session, frame_id, columns)

    async def prioritise(self, session: AsyncSession, frame_id: int, priority: int) -> None:
        await session.execute(update(Frame).where(Frame.id == frame_id).values(priority=priority))


def stamps_after(state: FrameState) -> list[str]:
    """Name the columns of moments that a frame in a state has not reached, or no longer has behind it."""
    on_the_way = [FrameState.SPOTTED, *STAMPS]
    if state not in on_the_way:
        return []
    return [STAMPS[later] for later in on_the_way[on_the_way.index(state) + 1 :]]


async def _standing(session: AsyncSession, frame_id: int) -> Row[Any]:
    """Read how far a frame has come, and keep others from moving it until the unit ends."""
    if session.dirty or session.new:
        await session.flush()
    row = (await session.execute(STANDING, {"number": frame_id})).one_or_none()
    if row is None:
        raise NoSuchRow("frame", frame_id)
    return row


async def _set(session: AsyncSession, frame_id: int, columns: dict[str, Any]) -> None:
    values = {"number": frame_id} | {f"to_{name}": value for name, value in columns.items()}
    changed = await session.execute(setting(tuple(columns)), values)
    if not changed.rowcount:  # type: ignore[attr-defined]
        raise NoSuchRow("frame", frame_id)


@cache
def setting(names: tuple[str, ...]) -> Update:
    """Make the statement that sets these columns of a frame, once: to make it costs more than to carry it out."""
    for name in names:
        if name not in _TABLE.c:
            raise AttributeError(f"frames have no column {name}")
    values: dict[str, Any] = {name: bindparam(f"to_{name}", type_=_TABLE.c[name].type) for name in names}
    return update(_TABLE).where(_TABLE.c.id == bindparam("number")).values(values)
