"""Transfers in both legs, and the room promised for them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final, cast

from sqlalchemy import Select, Table, Update, bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import LeaseRecord, TransferRecord, record
from dbclient.schema import Frame, Lease, Node, Transfer, TransferKind, TransferMode, TransferState

OVER = (TransferState.DONE, TransferState.FAILED)
TO_NODES = (TransferKind.MOVE, TransferKind.COPY)
"""Kinds of transfers whose target is a node."""

_TABLE: Final = cast("Table", Transfer.__table__)
BEGIN: Final = insert(_TABLE)
LEASE: Final = insert(cast("Table", Lease.__table__))


@cache
def ending(state: TransferState, names: tuple[str, ...]) -> Update:
    """Make the statement that closes a transfer and sets these columns, once."""
    values: dict[str, Any] = {name: bindparam(f"to_{name}", type_=_TABLE.c[name].type) for name in names}
    if state is TransferState.DONE:
        values["bytes_done"] = func.coalesce(_TABLE.c.bytes_total, values.get("bytes_done", _TABLE.c.bytes_done))
    here = (_TABLE.c.id == bindparam("number"), _TABLE.c.state != TransferState.DONE)
    return update(_TABLE).where(*here).values(values)


class Transfers:
    async def begin(
        self,
        session: AsyncSession,
        *,
        frame_id: int,
        kind: TransferKind,
        source: str,
        now: datetime,
        node_id: int | None = None,
        bytes_total: int | None = None,
        state: TransferState = TransferState.RUNNING,
        origin_id: int | None = None,
        mode: TransferMode | None = None,
        priority: int = 0,
    ) -> int:
        """Open a transfer and give its number."""
        written = await session.execute(
            BEGIN,
            {
                "frame_id": frame_id,
                "node_id": node_id,
                "kind": kind,
                "state": state,
                "source": source,
                "origin_id": origin_id,
                "mode": mode,
                "priority": priority,
                "bytes_total": bytes_total,
                "bytes_done": 0,
                "created_at": now,
                "started_at": now if state is TransferState.RUNNING else None,
            },
        )
        return int(written.inserted_primary_key[0])  # type: ignore[attr-defined]

    async def promise_all(self, session: AsyncSession, moves: Sequence[Mapping[str, Any]], *, now: datetime) -> None:
        """Open many transfers that have not begun, in one statement, each by its columns."""
        common = {"state": TransferState.PROMISED, "bytes_done": 0, "created_at": now}
        if moves:
            await session.execute(BEGIN, [common | dict(move) for move in moves])

    async def start(self, session: AsyncSession, transfer_id: int, *, now: datetime) -> bool:
        """Take a promised transfer up; False if another has it."""
        claimed = await session.execute(
            update(Transfer)
            .where(Transfer.id == transfer_id, Transfer.state == TransferState.PROMISED)
            .values(state=TransferState.RUNNING, started_at=now, kept=None)
        )
        return bool(claimed.rowcount)  # type: ignore[attr-defined]

    async def renew(self, session: AsyncSession, transfer_id: int, *, kept: int = 0) -> None:
        """Put a running transfer back among the promised: its mover was stopped, its room is still kept.

        Parameters
        ----------
        kept : bytes that lie at its node, behind which it goes on
        """
        back = {"state": TransferState.PROMISED, "started_at": None, "rate": None}
        await session.execute(
            update(Transfer)
            .where(Transfer.id == transfer_id, Transfer.state == TransferState.RUNNING)
            .values(**back, bytes_done=kept, kept=kept or None)
        )

    async def progress(
        self, session: AsyncSession, transfer_id: int, *, done: int, rate: float | None = None, total: int | None = None
    ) -> None:
        """Write down how many bytes are through; it wakes no daemon."""
        values: dict[str, Any] = {"bytes_done": done, "rate": rate}
        if total is not None:
            values["bytes_total"] = total
        await session.execute(update(Transfer).where(Transfer.id == transfer_id).values(**values))

    async def end(
        self,
        session: AsyncSession,
        transfer_id: int,
        state: TransferState,
        *,
        now: datetime,
        reason: str | None = None,
        headers: dict[str, str] | None = None,
        done: int | None = None,
        rate: float | None = None,
    ) -> None:
        """Close a transfer; one that has arrived stays so.

        Parameters
        ----------
        headers : what the server said of the file
        done, rate : bytes that are through, and bytes a second; none: as they were told last
        """
        values: dict[str, Any] = {"state": state, "ended_at": now, "reason": reason}
        if headers:
            values["headers"] = dict(headers)
        if done is not None:
            values |= {"bytes_done": done, "rate": rate}
        ended = await session.execute(
            ending(state, tuple(values)), {"number": transfer_id} | {f"to_{name}": to for name, to in values.items()}
        )
        if not ended.rowcount and await session.scalar(select(Transfer.id).where(Transfer.id == transfer_id)) is None:  # type: ignore[attr-defined]
            raise NoSuchRow("transfer", transfer_id)

    async def get(self, session: AsyncSession, transfer_id: int) -> TransferRecord:
        found = await self._list(session, self._query().where(Transfer.id == transfer_id))
        if not found:
            raise NoSuchRow("transfer", transfer_id)
        return found[0]

    async def running(self, session: AsyncSession, *kinds: TransferKind) -> list[TransferRecord]:
        """Give what moves now; of all kinds unless some are named."""
        query = self._query().where(Transfer.state == TransferState.RUNNING).order_by(Transfer.id)
        return await self._list(session, query.where(Transfer.kind.in_(kinds)) if kinds else query)

    async def promised(self, session: AsyncSession) -> list[TransferRecord]:
        """Give what has room and has not begun, by lane."""
        query = self._query().where(Transfer.state == TransferState.PROMISED)
        return await self._list(session, query.order_by(Transfer.priority.desc(), Transfer.id))

    async def stopped(self, session: AsyncSession) -> list[TransferRecord]:
        """Give what has bytes at its node and does not move, or is paused: its part is to be kept."""
        waits = (
            Transfer.state == TransferState.PROMISED,
            or_(Transfer.kept.is_not(None), Transfer.paused_at.is_not(None)),
        )
        return await self._list(session, self._query().where(*waits).order_by(Transfer.id))

    async def open_of_frame(self, session: AsyncSession, frame_id: int) -> list[TransferRecord]:
        query = self._query().where(Transfer.frame_id == frame_id, Transfer.state.not_in(OVER))
        return await self._list(session, query.order_by(Transfer.id))

    async def latest_fetch(self, session: AsyncSession, frame_id: int) -> TransferRecord | None:
        """Give the last fetch of a frame, whatever became of it."""
        query = self._query().where(Transfer.frame_id == frame_id, Transfer.kind == TransferKind.FETCH)
        return next(iter(await self._list(session, query.order_by(Transfer.id.desc()).limit(1))), None)

    async def history(
        self, session: AsyncSession, *, limit: int = 100, runid: str | None = None, before: int | None = None
    ) -> list[TransferRecord]:
        """Give transfers that are over, newest first."""
        query = self._query().where(Transfer.state.in_(OVER)).order_by(Transfer.id.desc()).limit(limit)
        if runid is not None:
            query = query.where(Frame.runid == runid)
        return await self._list(session, query if before is None else query.where(Transfer.id < before))

    async def latest_moves(self, session: AsyncSession, *, limit: int = 100) -> list[TransferRecord]:
        """Give the last moves that ended well, newest first."""
        query = self._query().where(Transfer.kind == TransferKind.MOVE, Transfer.state == TransferState.DONE)
        return await self._list(session, query.order_by(Transfer.ended_at.desc()).limit(limit))

    def _query(self) -> Select[Transfer, str, str]:
        return (
            select(Transfer, Frame.name, Node.name)
            .join(Frame, Frame.id == Transfer.frame_id)
            .outerjoin(Node, Node.id == Transfer.node_id)
        )

    async def _list(self, session: AsyncSession, query: Select[Transfer, str, str]) -> list[TransferRecord]:
        found = (await session.execute(query)).all()
        return [record(TransferRecord, row, frame=frame, node=node) for row, frame, node in found]


class Leases:
    async def promise(
        self,
        session: AsyncSession,
        *,
        frame_id: int,
        node_id: int,
        frame_bytes: int,
        product_bytes: int,
        scratch_bytes: int,
        now: datetime,
    ) -> int:
        """Promise room on a node, whose row stays locked until the unit ends.

        The caller decides on `Nodes.room` read in this very write unit.
        """
        node = await session.scalar(select(Node.id).where(Node.id == node_id).with_for_update())
        if node is None:
            raise NoSuchRow("node", node_id)
        row = Lease(
            frame_id=frame_id,
            node_id=node_id,
            frame_bytes=frame_bytes,
            product_bytes=product_bytes,
            scratch_bytes=scratch_bytes,
            created_at=now,
        )
        session.add(row)
        await session.flush()
        return row.id

    async def promise_all(
        self, session: AsyncSession, rooms: Sequence[tuple[int, int, int, int, int]], *, now: datetime
    ) -> None:
        """Promise many rooms in one statement: frame, node, and bytes of frame, products and scratch of each.

        The caller decides on `Nodes.room`, held in this very write unit.
        """
        names = ("frame_id", "node_id", "frame_bytes", "product_bytes", "scratch_bytes")
        rows = [dict(zip(names, room, strict=True)) | {"created_at": now} for room in rooms]
        if rows:
            await session.execute(LEASE, rows)

    async def settle(
        self,
        session: AsyncSession,
        frame_id: int,
        node_id: int,
        *,
        now: datetime,
        frame: bool = False,
        products: bool = False,
        left: int = 0,
    ) -> None:
        """Take off what is on the disk now: the frame, or products and scratch; nothing left ends the lease.

        Parameters
        ----------
        left : bytes of products that a later stage will write still
        """
        query = select(Lease).where(Lease.frame_id == frame_id, Lease.node_id == node_id, Lease.ended_at.is_(None))
        for row in await session.scalars(query):
            if frame:
                row.frame_bytes = 0
            if products:
                row.product_bytes, row.scratch_bytes = min(left, row.product_bytes), 0
            if not (row.frame_bytes or row.product_bytes or row.scratch_bytes):
                row.ended_at = now

    async def release(self, session: AsyncSession, frame_id: int, *, now: datetime) -> None:
        """End every lease of a frame."""
        await session.execute(
            update(Lease).where(Lease.frame_id == frame_id, Lease.ended_at.is_(None)).values(ended_at=now)
        )

    async def open(self, session: AsyncSession, node_id: int | None = None) -> list[LeaseRecord]:
        """Give leases that hold."""
        query = select(Lease).where(Lease.ended_at.is_(None)).order_by(Lease.id)
        query = query if node_id is None else query.where(Lease.node_id == node_id)
        return [record(LeaseRecord, row) for row in await session.scalars(query)]

    async def leased(self, session: AsyncSession, node_id: int) -> int:
        """Sum the bytes promised on a node."""
        total = func.sum(Lease.frame_bytes + Lease.product_bytes + Lease.scratch_bytes)
        return int(await session.scalar(select(total).where(Lease.node_id == node_id, Lease.ended_at.is_(None))) or 0)
