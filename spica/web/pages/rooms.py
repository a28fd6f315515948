"""The room on each node, drawn: what is held, promised and free, how that went in the last month, and when it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import NodeState
from dbclient.stores import Fillings, Traffic
from spica.chain import NodeBar
from spica.forecast import Forecast, forecast
from spica.web import drawing

HOUR = timedelta(hours=1)
MONTH = 30
"""Days of history that are drawn."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    bar: NodeBar
    parts: Sequence[drawing.Part]
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
    arrived = await Traffic().arrived(session, since=now - HOUR)
    past = await Fillings().since(session, (now - timedelta(days=MONTH)).date())
    drawn = []
    for bar in bars:
        promisable = max(0, bar.free - bar.leased - bar.reserve)
        history = past.get(bar.id, [])
        more = int(promisable * bar.frames / bar.used) if bar.frames and bar.used else None
        pace = arrived.get(bar.id, 0) / HOUR.total_seconds()
        drawn.append(
            DrawnNode(
                bar=bar,
                parts=drawing.bar(bar),
                drainable=bar.state is not NodeState.DRAINING,
                promisable=promisable,
                more=more,
                full_in=more / pace if more is not None and pace else None,
                trend=drawing.trend(history, bar.capacity, begin=(now - timedelta(days=MONTH)).date(), days=MONTH),
                forecast=forecast(history, promisable, now=now),
            )
        )
    return drawn
