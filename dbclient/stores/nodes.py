"""Nodes and their room; the daemons' heartbeats."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import DaemonRecord, NodeRecord, NodeRoom, record
from dbclient.schema import (
    Daemon,
    Frame,
    FrameKind,
    FrameState,
    Lease,
    Level,
    Node,
    NodeState,
    Replica,
    ReplicaState,
    StockKind,
)
from dbclient.stores.events import Events
from dbclient.stores.insertion import insert_unless_there
from dbclient.stores.stocks import Stocks
from dbclient.units import is_write_unit

ALL: Final = select(*Node.__table__.c).order_by(Node.name)
"""Read as plain rows: every pass of every daemon asks for all nodes, some times."""


class Nodes:
    async def upsert(
        self,
        session: AsyncSession,
        *,
        name: str,
        directory: str,
        capacity: int,
        reserve: int,
        now: datetime,
        address: str | None = None,
    ) -> int:
        """Register a node, or bring what the settings say of it up to date; give its row number."""
        del now
        facts = {"directory": directory, "address": address, "capacity": capacity, "reserve": reserve}
        number = await insert_unless_there(session, Node, name=name, **facts)
        if number is None:
            row = await self._row(session, name)
            number = int(row.id)
            for column, value in facts.items():
                if getattr(row, column) != value:
                    setattr(row, column, value)
        return number

    async def measure(
        self,
        session: AsyncSession,
        name: str,
        *,
        used: int,
        free: int,
        now: datetime,
        disks: list[dict[str, Any]] | None = None,
    ) -> None:
        """Write down what a node's disks have."""
        row = await self._row(session, name)
        row.used, row.free, row.seen_at = used, free, now
        if disks is not None:
            row.disks = disks

    async def all(self, session: AsyncSession) -> list[NodeRecord]:
        if session.dirty or session.new:
            await session.flush()
        return [record(NodeRecord, row) for row in await session.execute(ALL)]

    async def named(self, session: AsyncSession, name: str) -> NodeRecord | None:
        row = await self._row(session, name, required=False)
        return record(NodeRecord, row) if row else None

    async def set_state(
        self, session: AsyncSession, name: str, state: NodeState, *, reason: str | None, now: datetime, source: str
    ) -> None:
        """Change a node's state, with an event; nothing happens if it is in it already."""
        row = await self._row(session, name)
        if (row.state, row.reason) == (state, reason):
            return
        if row.state != state:
            level = Level.ERROR if state in {NodeState.DOWN, NodeState.MISSING} else Level.INFO
            message = f"{name} is {state.value}{f': {reason}' if reason else ''}"
            await Events().append(
                session,
                source=source,
                kind=f"node-{state.value}",
                message=message,
                level=level,
                node_id=row.id,
                now=now,
            )
            row.since = now
        row.state, row.reason = state, reason

    async def hold(self, session: AsyncSession) -> None:
        """Let nobody else promise room on any node until this write unit ends."""
        await session.scalars(select(Node.id).order_by(Node.name).with_for_update())

    async def room(self, session: AsyncSession, *, lock: bool = True, runs: bool = True) -> list[NodeRoom]:
        """Give the room of every node.

        With `lock`, and within a write unit, no other coordinator can promise
        room there until the unit ends: what is decided on these figures holds.
        Without `runs`, those that each node has frames of are not looked up.
        """
        query = select(Node).where(Node.state != NodeState.REMOVED).order_by(Node.name)
        if lock and is_write_unit(session):
            query = query.with_for_update()
        rows = list(await session.scalars(query))
        promised = (
            select(
                Lease.node_id,
                func.sum(Lease.frame_bytes),
                func.sum(Lease.product_bytes),
                func.sum(Lease.scratch_bytes),
            )
            .where(Lease.ended_at.is_(None))
            .group_by(Lease.node_id)
        )
        leased = {
            node: (int(frames), int(products), int(scratch))
            for node, frames, products, scratch in await session.execute(promised)
        }
        held = await self._frames(session)
        known = await self._runs(session) if runs else {}
        return [
            NodeRoom(
                node_id=row.id,
                name=row.name,
                state=row.state,
                free=row.free,
                leased=sum(leased.get(row.id, ())),
                reserve=row.reserve,
                frames=held.get(row.id, 0),
                runs=frozenset(known.get(row.id, ())),
                capacity=row.capacity,
                used=row.used,
                promised=leased.get(row.id, (0, 0, 0)),
                disks=tuple(row.disks or ()),
            )
            for row in rows
        ]

    async def _frames(self, session: AsyncSession) -> dict[int, int]:
        """Count the exposures held: all that is held, less the few calibrations."""
        counts = await Stocks().files(session, StockKind.REPLICA)
        calibrations = (
            select(Replica.node_id, func.count())
            .join(Frame, Frame.id == Replica.frame_id)
            .where(Replica.state == ReplicaState.HELD, Frame.kind.in_((FrameKind.FLAT, FrameKind.MASK)))
            .group_by(Replica.node_id)
        )
        for node, count in await session.execute(calibrations):
            counts[node] = counts.get(node, 0) - count
        return counts

    async def _runs(self, session: AsyncSession) -> dict[int, set[str]]:
        """Give, of the runs that still have frames to be placed, those that each node holds."""
        waiting = select(Frame.runid).where(Frame.state == FrameState.VALID, Frame.kind == FrameKind.OBJECT)
        query = (
            select(Replica.node_id, Frame.runid)
            .join(Frame, Frame.id == Replica.frame_id)
            .where(
                Frame.kind == FrameKind.OBJECT,
                Frame.current == true(),
                Frame.runid.in_(waiting),
                Replica.state == ReplicaState.HELD,
            )
            .distinct()
        )
        runs: dict[int, set[str]] = {}
        for node, runid in await session.execute(query):
            if runid:
                runs.setdefault(node, set()).add(runid)
        return runs

    async def heartbeat(
        self,
        session: AsyncSession,
        *,
        name: str,
        host: str,
        pid: int,
        status: str,
        endpoint: str | None,
        started_at: datetime,
        now: datetime,
        figures: dict[str, Any] | None,
    ) -> None:
        """Write a daemon's beat; it wakes nobody."""
        row = await session.get(Daemon, name)
        if row is None:
            row = Daemon(name=name, started_at=started_at)
            session.add(row)
        row.host, row.pid, row.status, row.endpoint = host, pid, status, endpoint
        row.started_at, row.beat_at, row.figures = started_at, now, figures
        await session.flush()

    async def daemons(self, session: AsyncSession) -> list[DaemonRecord]:
        return [record(DaemonRecord, row) for row in await session.scalars(select(Daemon).order_by(Daemon.name))]

    async def forget(self, session: AsyncSession, name: str, pid: int) -> None:
        """Take a daemon's row away when it has ended as asked."""
        row = await session.get(Daemon, name)
        if row is not None and row.pid == pid:
            await session.delete(row)

    async def _row(self, session: AsyncSession, name: str, *, required: bool = True) -> Any:
        row = await session.scalar(select(Node).where(Node.name == name))
        if row is None and required:
            raise NoSuchRow("node", name)
        return row
