"""Requests of operators, and what came of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import RequestRecord, record
from dbclient.schema import Frame, Level, Request, RequestKind, RequestState
from dbclient.stores.events import Events


class Requests:
    async def ask(
        self, session: AsyncSession, kind: RequestKind, arguments: dict[str, Any], *, by: str, now: datetime
    ) -> int:
        """Write a request down, with an event that wakes the daemons; give its number."""
        row = Request(kind=kind, arguments=arguments, state=RequestState.OPEN, asked_by=by, asked_at=now)
        session.add(row)
        await session.flush()
        words = ", ".join(f"{key} {value}" for key, value in arguments.items() if value is not None)
        await Events().append(
            session,
            source=f"operator:{by}",
            kind="request",
            message=f"{by} asks: {kind.value} {words}",
            frame_id=await self._frame(session, arguments),
            now=now,
        )
        return row.id

    async def open(self, session: AsyncSession, *kinds: RequestKind) -> list[RequestRecord]:
        """Give open requests of these kinds, oldest first."""
        query = select(Request).where(Request.state == RequestState.OPEN).order_by(Request.id)
        if kinds:
            query = query.where(Request.kind.in_(kinds))
        return [record(RequestRecord, row) for row in await session.scalars(query)]

    async def get(self, session: AsyncSession, request_id: int) -> RequestRecord:
        return record(RequestRecord, await self._row(session, request_id))

    async def answer(
        self, session: AsyncSession, request_id: int, state: RequestState, text: str, *, now: datetime
    ) -> None:
        """Close a request with a sentence."""
        row = await self._row(session, request_id)
        row.state, row.answer, row.answered_at = state, text, now
        level = Level.WARNING if state is RequestState.REFUSED else Level.INFO
        await Events().append(
            session,
            source="daemon",
            kind="answer",
            message=f"{row.kind.value} for {row.asked_by}: {text}",
            level=level,
            frame_id=await self._frame(session, row.arguments),
            now=now,
        )

    async def note(self, session: AsyncSession, request_id: int, text: str) -> bool:
        """Say how far an order is that goes on; it stays open. False if that was said already."""
        row = await self._row(session, request_id)
        if row.answer == text:
            return False
        row.answer = text
        await session.flush()
        return True

    async def _frame(self, session: AsyncSession, arguments: dict[str, Any]) -> int | None:
        """Row of the frame that a request names, so that its history tells of it."""
        name = arguments.get("frame")
        if not isinstance(name, str):
            return None
        query = select(Frame.id).where(Frame.name == name).order_by(Frame.generation.desc()).limit(1)
        number: int | None = await session.scalar(query)
        return number

    async def _row(self, session: AsyncSession, request_id: int) -> Request:
        row = await session.get(Request, request_id)
        if row is None:
            raise NoSuchRow("request", request_id)
        return row
