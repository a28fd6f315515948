"""The room on each node, drawn: what is held, promised and free, how that went in the last month, and when it ends."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import NodeState, TransferState
from dbclient.stores import Fillings, Nodes, Traffic
from dbclient.stores.traffic import Wanted
from spica.chain import NodeBar
from spica.forecast import Forecast, forecast
from spica.web import drawing

HOUR = timedelta(hours=1)
TO_NODES = Wanted(to_nodes=True)
RECENT = 200
"""Latest transfers that the pace of the last hour is taken from."""
MONTH = 30
"""Days of history that are drawn."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    bar: NodeBar
    parts: Sequence[drawing.Part]
    seen_at: datetime | None
    directory: str
    frames: int
    drainable: bool
    promisable: int
    """Bytes that could still be promised: free, less promises and reserve."""
    more: int | None
    """Frames for which that is room, with what is made of them; None before any frame is there."""
    full_in: float | None
    """Seconds until it is full if frames come as in the last hour; None if none came."""
    trend: drawing.Trend
    """How full it was on the last days."""
    forecast: Forecast


async def drawn_nodes(session: AsyncSession, bars: Sequence[NodeBar], now: datetime) -> list[DrawnNode]:
    """Draw each node's bar, with what else is known of it."""
    records = {node.name: node for node in await Nodes().all(session)}
    rooms = {room.name: room for room in await Nodes().room(session, runs=False)}
    arrived = Counter(
        transfer.node
        for transfer in await Traffic().history(session, TO_NODES, limit=RECENT)
        if transfer.state is TransferState.DONE and transfer.ended_at and now - transfer.ended_at < HOUR
    )
    past = await Fillings().since(session, (now - timedelta(days=MONTH)).date())
    drawn = []
    for bar in bars:
        record, room = records.get(bar.name), rooms.get(bar.name)
        promisable = max(0, bar.free - bar.leased - bar.reserve)
        frames = room.frames if room else 0
        history = past.get(record.id, []) if record else []
        more = int(promisable * frames / bar.used) if frames and bar.used else None
        pace = arrived[bar.name] / HOUR.total_seconds()
        drawn.append(
            DrawnNode(
                bar=bar,
                parts=drawing.bar(bar),
                seen_at=record.seen_at if record else None,
                directory=record.directory if record else "",
                frames=frames,
                drainable=bar.state is not NodeState.DRAINING,
                promisable=promisable,
                more=more,
                full_in=more / pace if more is not None and pace else None,
                trend=drawing.trend(history, bar.capacity, begin=(now - timedelta(days=MONTH)).date(), days=MONTH),
                forecast=forecast(history, promisable, now=now),
            )
        )
    return drawn
