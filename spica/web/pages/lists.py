"""The small pages: runs, nodes, history."""

from aiohttp import web

from dbclient.schema import ArchiveKind, FrameState, Level
from dbclient.stores import Archives, Events, Frames, Traffic
from spica.chain import summarise
from spica.web.console import console_of, render
from spica.web.gate import Access, access
from spica.web.pages.actions import readback
from spica.web.pages.overview import hearts
from spica.web.pages.rooms import drawn_nodes

PAGE = 100
"""Events, or runs, on a page."""
LONGEST = 20
"""Signs of a RUNID."""
ORDER = (
    FrameState.WEIGHTED,
    FrameState.PLACED,
    FrameState.VALID,
    FrameState.FETCHED,
    FrameState.SPOTTED,
    FrameState.REJECTED,
    FrameState.FAILED,
)
"""States in a run's bar, from done to not begun, then those aside."""


@access(Access.READER)
async def runs(request: web.Request) -> web.Response:
    """``/runs``: how many frames each run has, how far they are, and where they may go."""
    console, query = console_of(request), request.query
    beginning, below = (query.get(key, "").strip()[:LONGEST] or None for key in ("run", "below"))
    async with console.database.read() as session:
        names = await Traffic().run_names(session, limit=PAGE + 1, below=below, beginning=beginning)
        found = await Frames().runs(session, runids=names[:PAGE])
        known, done = await Traffic().run_counts(session, done=FrameState.WEIGHTED)
        newest = await Events().newest_id(session)
    return render(
        request,
        "runs.html",
        runs=found[::-1],
        longest=max((run.frames for run in found), default=1),
        known=known,
        done=done,
        order=ORDER,
        beginning=beginning,
        first=below is not None,
        following=names[PAGE - 1] if len(names) > PAGE else None,
        newest=newest,
    )


@access(Access.READER)
async def nodes(request: web.Request) -> web.Response:
    """``/nodes``"""
    console = console_of(request)
    now = console.now()
    async with console.database.read() as session:
        summary = await summarise(session, now=now, settings=console.settings)
        drawn = await drawn_nodes(session, summary.nodes, now)
        asked = await readback(session, request)
        newest = await Events().newest_id(session)
    return render(request, "nodes.html", nodes=drawn, hearts=hearts(summary, now), readback=asked, newest=newest)


@access(Access.READER)
async def history(request: web.Request) -> web.Response:
    """``/history``"""
    console = console_of(request)
    try:
        level = Level(request.query["level"]) if request.query.get("level") else None
    except ValueError:
        raise web.HTTPBadRequest(
            text=f"level={request.query['level'][:20]!r} makes no sense here: "
            f"one of {', '.join(level.value for level in Level)} was expected."
        ) from None
    said = request.query.get("before", "")
    before = int(said) if said.isdecimal() and len(said) < 19 else None
    async with console.database.read() as session:
        found = await Events().latest(session, limit=PAGE + 1, level=level, before=before)
        archive = await Archives().newest(session, ArchiveKind.EVENTS)
        newest = await Events().newest_id(session)
    shown = found[:PAGE]
    return render(
        request,
        "history.html",
        events=shown,
        level=level,
        levels=list(Level),
        before=before,
        following=shown[-1].id if len(found) > PAGE else None,
        archived=archive.ends if archive else None,
        newest=newest,
    )
