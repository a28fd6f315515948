"""The first page: is all well, what happens now, what needs a person."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import DaemonRecord, EventRecord, FrameRow, JobRecord, TransferRecord
from dbclient.schema import JobState, NodeState, TransferKind, TransferState
from dbclient.stores import Events, Frames, Jobs, Nodes, Requests, Transfers
from spica.chain import SILENT, NodeBar, Summary, summarise
from spica.web import drawing
from spica.web.console import console_of, render
from spica.web.gate import Access, access
from spica.web.pages.actions import readback
from terapix.sections import Settings

SHOWN = 10
"""Frames and events on the first page."""
HOUR = timedelta(hours=1)
RECENT = 200
"""Latest transfers that the pace of the last hour is taken from."""


@dataclass(frozen=True, slots=True)
class DrawnNode:
    bar: NodeBar
    parts: Sequence[drawing.Part]
    seen_at: datetime | None
    directory: str
    frames: int
    runs: tuple[str, ...]
    drainable: bool
    promisable: int
    """Bytes that could still be promised: free, less promises and reserve."""
    more: int | None
    """Frames for which that is room, with what is made of them; None before any frame is there."""
    full_in: float | None
    """Seconds until it is full if frames come as in the last hour; None if none came."""


@dataclass(frozen=True, slots=True)
class Heart:
    """A daemon with whether it still beats."""

    daemon: DaemonRecord
    silent: bool


@dataclass(frozen=True, slots=True)
class Now:
    """What happens at this moment."""

    transfers: Sequence[TransferRecord]
    jobs: Sequence[JobRecord]
    promised: int
    """Moves that have their room and have not begun."""
    due: int
    """Jobs that wait for a worker."""
    requests: int
    """Requests that no daemon has answered yet."""


async def happening(session: AsyncSession) -> Now:
    """Look up what moves and what is worked on."""
    counts = await Jobs().counts(session)
    return Now(
        transfers=await Transfers().running(session),
        jobs=await Jobs().in_state(session, JobState.RUNNING),
        promised=len(await Transfers().promised(session)),
        due=counts.get(JobState.DUE, 0),
        requests=len(await Requests().open(session)),
    )


async def drawn_nodes(session: AsyncSession, summary: Summary, now: datetime) -> list[DrawnNode]:
    """Draw each node's bar, with what else is known of it."""
    records = {node.name: node for node in await Nodes().all(session)}
    rooms = {room.name: room for room in await Nodes().room(session)}
    arrived = Counter(
        transfer.node
        for transfer in await Transfers().history(session, limit=RECENT)
        if transfer.kind is TransferKind.MOVE
        and transfer.state is TransferState.DONE
        and transfer.ended_at
        and now - transfer.ended_at < HOUR
    )
    drawn = []
    for bar in summary.nodes:
        record, room = records.get(bar.name), rooms.get(bar.name)
        promisable = max(0, bar.free - bar.leased - bar.reserve)
        frames = room.frames if room else 0
        more = int(promisable * frames / bar.used) if frames and bar.used else None
        pace = arrived[bar.name] / HOUR.total_seconds()
        drawn.append(
            DrawnNode(
                bar=bar,
                parts=drawing.bar(bar),
                seen_at=record.seen_at if record else None,
                directory=record.directory if record else "",
                frames=frames,
                runs=tuple(sorted(room.runs)) if room else (),
                drainable=bar.state is not NodeState.DRAINING,
                promisable=promisable,
                more=more,
                full_in=more / pace if more is not None and pace else None,
            )
        )
    return drawn


def hearts(summary: Summary, now: datetime) -> list[Heart]:
    return [Heart(daemon, now - daemon.beat_at > SILENT) for daemon in summary.daemons]


async def look(session: AsyncSession, *, now: datetime, settings: Settings) -> Mapping[str, Any]:
    """Gather everything that the first page shows."""
    summary = await summarise(session, now=now, settings=settings)
    links, beside = drawing.chain(summary.chain, {state.value: count for state, count in summary.states.items()})
    frames: Sequence[FrameRow] = await Frames().search(session, limit=SHOWN)
    events: Sequence[EventRecord] = await Events().latest(session, limit=SHOWN)
    return {
        "summary": summary,
        "links": links,
        "beside": beside,
        "happening": await happening(session),
        "nodes": await drawn_nodes(session, summary, now),
        "hearts": hearts(summary, now),
        "frames": frames,
        "events": events,
        "lately": await Frames().weighted_since(session, now - HOUR),
        "newest": await Events().newest_id(session),
    }


@access(Access.READER)
async def overview(request: web.Request) -> web.Response:
    """``/``"""
    console = console_of(request)
    async with console.database.read() as session:
        context = await look(session, now=console.now(), settings=console.settings)
        asked = await readback(session, request)
    return render(request, "overview.html", readback=asked, **context)
