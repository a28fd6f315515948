"""Pauses: transfers to nodes that operators hold up one by one; each keeps its room, and what has come of it."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import TransferRecord, record
from dbclient.schema import Frame, Node, Transfer, TransferKind, TransferState
from dbclient.stores.events import Events
from dbclient.stores.transfers import OVER

REASON: Final = 200
"""Signs of the reason for a pause at most."""
HELD: Final = (Transfer.state == TransferState.PROMISED, Transfer.paused_at.is_not(None))
"""What is paused and does not move."""


class Pauses:
    """Writes down what operators want; an event tells it and wakes the mover."""

    async def pause(
        self, session: AsyncSession, transfer: TransferRecord, *, because: str, by: str, now: datetime
    ) -> bool:
        """Pause a transfer that is promised or moves; False if it is paused already, is over, or is a fetch."""
        wish = {"paused_at": now, "paused_by": by[:60], "paused_because": because[:REASON]}
        if not await self._write(session, transfer, Transfer.paused_at.is_(None), wish):
            return False
        words = f"pauses {transfer.frame} on its way to {transfer.node}: {because}"
        await self._tell(session, transfer, "paused", words, by=by, now=now)
        return True

    async def resume(self, session: AsyncSession, transfer: TransferRecord, *, by: str, now: datetime) -> bool:
        """Let a paused transfer go on; False if it is not paused any more."""
        wish = {"paused_at": None, "paused_by": None, "paused_because": None}
        if not await self._write(session, transfer, Transfer.paused_at.is_not(None), wish):
            return False
        await self._tell(
            session, transfer, "resumed", f"lets {transfer.frame} go on to {transfer.node}", by=by, now=now
        )
        return True

    async def count(self, session: AsyncSession) -> int:
        """Count the transfers that are paused and do not move."""
        return int(await session.scalar(select(func.count()).select_from(Transfer).where(*HELD)) or 0)

    async def shown(self, session: AsyncSession, *, limit: int) -> list[TransferRecord]:
        """Give the transfers that are paused and do not move, the last one that was paused first."""
        query = (
            select(Transfer, Frame.name, Node.name)
            .join(Frame, Frame.id == Transfer.frame_id)
            .outerjoin(Node, Node.id == Transfer.node_id)
            .where(*HELD)
            .order_by(Transfer.paused_at.desc(), Transfer.id.desc())
            .limit(limit)
        )
        found = (await session.execute(query)).all()
        return [record(TransferRecord, row, frame=frame, node=node) for row, frame, node in found]

    async def _write(self, session: AsyncSession, transfer: TransferRecord, if_: Any, wish: dict[str, Any]) -> bool:
        here = Transfer.id == transfer.id, Transfer.kind != TransferKind.FETCH, Transfer.state.not_in(OVER), if_
        written = await session.execute(update(Transfer).where(*here).values(**wish))
        return bool(written.rowcount)  # type: ignore[attr-defined]

    async def _tell(
        self, session: AsyncSession, transfer: TransferRecord, kind: str, words: str, *, by: str, now: datetime
    ) -> None:
        await Events().append(
            session,
            source=f"operator:{by}"[:60],
            kind=kind,
            message=f"{by} {words}",
            frame_id=transfer.frame_id,
            node_id=transfer.node_id,
            now=now,
        )
