"""Nodes and their room; the daemons' heartbeats."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import DaemonRecord, NodeRecord, NodeRoom, record
from dbclient.schema import Daemon, Frame, Lease, Level, Node, NodeState, Replica, ReplicaState
from dbclient.stores.events import Events


class Nodes:
    async def upsert(
        self, session: AsyncSession, *, name: str, directory: str, capacity: int, reserve: int, now: datetime
    ) -> int:
        """Register a node, or bring what is known of it up to date; give its row number."""
        row = await self._row(session, name, required=False)
        if row is None:
            row = Node(
                name=name, directory=directory, capacity=capacity, reserve=reserve, state=NodeState.UP, used=0, free=0
            )
            session.add(row)
            await session.flush()
            await Events().append(
                session,
                source="datatransfer",
                kind="node-new",
                message=f"{name} is a node now",
                node_id=row.id,
                now=now,
            )
        elif (row.directory, row.capacity, row.reserve) != (directory, capacity, reserve):
            row.directory, row.capacity, row.reserve = directory, capacity, reserve
        return int(row.id)

    async def measure(self, session: AsyncSession, name: str, *, used: int, free: int, now: datetime) -> None:
        """Write down what a node's disk has."""
        row = await self._row(session, name)
        row.used, row.free, row.seen_at = used, free, now

    async def all(self, session: AsyncSession) -> list[NodeRecord]:
        return [record(NodeRecord, row) for row in await session.scalars(select(Node).order_by(Node.name))]

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
            level = Level.ERROR if state is NodeState.DOWN else Level.INFO
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
        row.state, row.reason = state, reason

    async def room(self, session: AsyncSession, *, lock: bool = False) -> list[NodeRoom]:
        """Give the room of every node; with `lock`, no other session can promise there until this one ends."""
        query = select(Node).order_by(Node.name)
        rows = list(await session.scalars(query.with_for_update() if lock else query))
        promised = select(
            Lease.node_id, func.sum(Lease.frame_bytes + Lease.product_bytes + Lease.scratch_bytes)
        ).where(Lease.ended_at.is_(None)).group_by(Lease.node_id)  # fmt: skip
        leased = {node: int(total or 0) for node, total in (await session.execute(promised)).all()}
        held: dict[int, list[tuple[str | None, int]]] = {}
        query_runs = (
            select(Replica.node_id, Frame.runid, func.count())
            .join(Frame, Frame.id == Replica.frame_id)
            .where(Replica.state == ReplicaState.HELD)
            .group_by(Replica.node_id, Frame.runid)
        )
        for node, runid, count in (await session.execute(query_runs)).all():
            held.setdefault(node, []).append((runid, count))
        return [
            NodeRoom(
                node_id=row.id,
                name=row.name,
                state=NodeState(row.state),
                free=row.free,
                leased=leased.get(row.id, 0),
                reserve=row.reserve,
                frames=sum(count for _, count in held.get(row.id, [])),
                runs=frozenset(runid for runid, _ in held.get(row.id, []) if runid),
                capacity=row.capacity,
                used=row.used,
            )
            for row in rows
        ]

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
