"""Turns: in which order the frames of a state are taken."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, false, func, or_, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import URGENT, Frame, FrameKind, FrameState


async def turns(
    session: AsyncSession,
    state: FrameState,
    *,
    now: datetime,
    limit: int,
    kinds: Collection[FrameKind] | None = None,
    without: Select[Any] | None = None,
) -> list[int]:
    """Give numbers of frames whose next try is due: by priority, then in the order in which they were spotted.

    One priority is read after the other, each straight from an index, so that
    a backlog of 100 000 frames costs no sorting. Only the few frames of another
    priority than 0 have an index of their own.

    Parameters
    ----------
    without : numbers of frames that are left out
    """
    of_kinds = list(FrameKind) if kinds is None else list(kinds)
    due: list[ColumnElement[bool]] = [or_(Frame.retry_at.is_(None), Frame.retry_at <= now)]
    if without is not None:
        due.append(Frame.id.not_in(without))
    numbers: list[int] = []
    async for priority in _priorities(session, state):
        room = limit - len(numbers)
        if priority == 0:
            numbers += await _unhurried(session, state, due, of_kinds, room)
        else:
            of_priority = Frame.state == state, URGENT, Frame.priority == priority, Frame.kind.in_(of_kinds)
            query = select(Frame.id).where(*of_priority, *due).order_by(Frame.id).limit(room)
            numbers += await session.scalars(query)
        if len(numbers) >= limit:
            break
    return numbers


async def _priorities(session: AsyncSession, state: FrameState) -> AsyncIterator[int]:
    """Give each priority that frames of a state may have, the highest first."""
    hurried = select(func.max(Frame.priority)).where(Frame.state == state, URGENT)
    found, is_above = await session.scalar(hurried), True
    while found is not None:
        if is_above and found < 0:
            is_above = False
            yield 0
        yield found
        found = await session.scalar(hurried.where(Frame.priority < found))
    if is_above:
        yield 0


async def _unhurried(
    session: AsyncSession, state: FrameState, due: list[ColumnElement[bool]], kinds: list[FrameKind], limit: int
) -> list[int]:
    """Of all that have no priority the first: of each kind its first, of which the index of states knows the order."""
    first = (
        select(Frame.id)
        .where(Frame.kind == kind, Frame.current == current, Frame.state == state, Frame.priority == 0, *due)
        .order_by(Frame.id)
        .limit(limit)
        .subquery()
        for kind in kinds
        for current in (true(), false())
    )
    found = await session.scalars(union_all(*(select(part.c.id) for part in first)))
    return sorted(found)[:limit]
