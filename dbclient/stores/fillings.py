"""How full nodes were: written once in a while, read as a history."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import cast

from sqlalchemy import Table, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import Filling, Node, NodeState


@dataclass(frozen=True, slots=True)
class Filled:
    """How full a node was on a day."""

    day: date
    used: int
    free: int


class Fillings:
    async def note(self, session: AsyncSession) -> int:
        """Write down how full each node was when it was measured last, once for each day; give how many."""
        measured = Node.seen_at.is_not(None), Node.state != NodeState.REMOVED
        rows = [
            {"node_id": number, "day": at.date().isoformat(), "used": used, "free": free, "at": at}
            for number, used, free, at in await session.execute(
                select(Node.id, Node.used, Node.free, Node.seen_at).where(*measured)
            )
            if at
        ]
        if not rows:
            return 0
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        row = insert(cast("Table", Filling.__table__))
        anew = {name: row.excluded[name] for name in ("used", "free", "at")}
        await session.execute(row.on_conflict_do_update(index_elements=["node_id", "day"], set_=anew), rows)
        return len(rows)

    async def since(self, session: AsyncSession, day: date) -> dict[int, list[Filled]]:
        """Give the history of each node, by its row, from a day on; a day on which it was not measured is left out."""
        query = select(Filling.node_id, Filling.day, Filling.used, Filling.free).where(Filling.day >= day.isoformat())
        found: dict[int, list[Filled]] = defaultdict(list)
        for number, on, used, free in await session.execute(query.order_by(Filling.node_id, Filling.day)):
            found[number].append(Filled(date.fromisoformat(on), used, free))
        return dict(found)
