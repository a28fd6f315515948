"""The first page: is all well, what happens now, what needs a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import DaemonRecord, EventRecord, FrameRow, JobRecord, TransferRecord
from dbclient.schema import JobState, TransferState
from dbclient.stores import Events, Frames, Jobs, Requests, Traffic, Transfers
from spica.chain import SILENT, Summary, summarise
from spica.web import drawing
from spica.web.console import console_of, render
from spica.web.gate import Access, access
from spica.web.pages.actions import readback
from spica.web.pages.rooms import HOUR, drawn_nodes
from terapix.sections import Settings

SHOWN = 10
"""Frames and events on the first page."""


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
    counts = await Jobs().counts(session, JobState.DUE)
    moves = await Traffic().counts(session)
    return Now(
        transfers=await Transfers().running(session),
        jobs=await Jobs().in_state(session, JobState.RUNNING),
        promised=sum(count for (_, state), count in moves.items() if state is TransferState.PROMISED),
        due=counts.get(JobState.DUE, 0),
        requests=len(await Requests().open(session)),
    )


def hearts(summary: Summary, now: datetime) -> list[Heart]:
    return [Heart(daemon, now - daemon.beat_at > SILENT) for daemon in summary.daemons]


async def look(session: AsyncSession, *, now: datetime, settings: Settings) -> Mapping[str, Any]:
    """Gather everything that the first page shows."""
    summary = await summarise(session, now=now, settings=settings)
    here = {state.value: count for state, count in summary.states.items()}
    for step in summary.chain:
        if step.name == "catalogued":
            here |= {"weighted": here.get("weighted", 0) - step.count, step.name: step.count}
    links, beside = drawing.chain(summary.chain, here)
    frames: Sequence[FrameRow] = await Frames().search(session, limit=SHOWN)
    events: Sequence[EventRecord] = await Events().latest(session, limit=SHOWN)
    return {
        "summary": summary,
        "links": links,
        "beside": beside,
        "happening": await happening(session),
        "nodes": await drawn_nodes(session, summary.nodes, now),
        "hearts": hearts(summary, now),
        "frames": frames,
        "events": events,
        "took": await Jobs().stage_seconds(session),
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
