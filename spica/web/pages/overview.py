"""The first page: is all well, what happens now, what needs a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import DaemonRecord, EventRecord, FrameRow, JobRecord, TransferRecord
from dbclient.schema import JobState, NodeState
from dbclient.stores import Events, Frames, Jobs, Nodes, Requests, Transfers
from spica.chain import SILENT, NodeBar, Summary, summarise
from spica.web import drawing
from spica.web.console import console_of, render
from spica.web.gate import Access, access
from terapix.sections import Settings

SHOWN = 10
"""Frames and events on the first page."""
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DrawnNode:
    bar: NodeBar
    parts: Sequence[drawing.Part]
    seen_at: datetime | None
    directory: str
    frames: int
    runs: tuple[str, ...]
    drainable: bool


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


async def drawn_nodes(session: AsyncSession, summary: Summary) -> list[DrawnNode]:
    """Draw each node's bar, with what else is known of it."""
    records = {node.name: node for node in await Nodes().all(session)}
    rooms = {room.name: room for room in await Nodes().room(session)}
    drawn = []
    for bar in summary.nodes:
        record, room = records.get(bar.name), rooms.get(bar.name)
        drawn.append(
            DrawnNode(
                bar=bar,
                parts=drawing.bar(bar),
                seen_at=record.seen_at if record else None,
                directory=record.directory if record else "",
                frames=room.frames if room else 0,
                runs=tuple(sorted(room.runs)) if room else (),
                drainable=bar.state is not NodeState.DRAINING,
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
        "nodes": await drawn_nodes(session, summary),
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
    return render(request, "overview.html", **context)
