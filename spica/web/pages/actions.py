"""What an operator can ask for on the page: each is a form, becomes a row of the requests, and is read back."""

from typing import Any

from aiohttp import web
from multidict import MultiMapping
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import RequestRecord
from dbclient.schema import FrameState, RequestKind
from dbclient.stores import Frames, Nodes, Requests, Traffic
from spica.web.console import console_of, who_is
from spica.web.gate import Access, access
from spica.web.policy import local_path
from terapix.identity import UnsafeName, safe_name

ON_FRAMES = (RequestKind.FETCH, RequestKind.RETRY)
OF_ARCHIVE = (RequestKind.LOOK, RequestKind.DIFFERENCE)
"""Requests that are about no frame."""
LONGEST_REASON = 200
"""Characters of the reason for which a rejected frame is taken, or a file is read again."""
NAMED = 20
"""Runs that are named to who asks for one that is not here."""
ON_NODES = (RequestKind.DRAIN, RequestKind.UNDRAIN)


def _text(form: MultiMapping[Any], key: str) -> str:
    value = form.get(key, "")
    return value.strip() if isinstance(value, str) else ""


def _bad(text: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=text)


async def _frame_arguments(session: AsyncSession, kind: RequestKind, form: MultiMapping[Any]) -> dict[str, Any]:
    try:
        name = safe_name(_text(form, "frame"))
    except UnsafeName as problem:
        raise _bad(f"{problem}.") from None
    if kind is not RequestKind.FETCH and await Frames().named(session, name) is None:
        raise _bad(f"No frame {name} is known here: fetch it first.")
    return {"frame": name}


async def _reloaded(session: AsyncSession, form: MultiMapping[Any]) -> dict[str, Any]:
    """Read which frame is read again from its file, or has that taken back, and because of what."""
    arguments = await _frame_arguments(session, RequestKind.RELOAD, form)
    because = _text(form, "because")
    if not because or len(because) > LONGEST_REASON or not because.isprintable():
        raise _bad(f"Say because of what {arguments['frame']} is reloaded, in 1 to {LONGEST_REASON} characters.")
    return {**arguments, "because": because, **({"undo": True} if _text(form, "undo") else {})}


async def _accepted(session: AsyncSession, form: MultiMapping[Any]) -> dict[str, Any]:
    """Read which rejected frame is taken all the same, and because of what."""
    arguments = await _frame_arguments(session, RequestKind.ACCEPT, form)
    frame = await Frames().named(session, arguments["frame"])
    if frame is None or frame.state is not FrameState.REJECTED:
        raise _bad(f"{arguments['frame']} is not rejected: there is nothing to accept.")
    because = _text(form, "because")
    if not because or len(because) > LONGEST_REASON or not because.isprintable():
        raise _bad(f"Say because of what {frame.name} is taken all the same, in 1 to {LONGEST_REASON} characters.")
    return {**arguments, "because": because}


async def _known_node(session: AsyncSession, name: str) -> str:
    node = await Nodes().named(session, name[:32])
    if node is None:
        known = ", ".join(node.name for node in await Nodes().all(session)) or "none"
        raise _bad(f"There is no node {name[:32]!r}; nodes are: {known}.")
    return node.name


async def _kept(session: AsyncSession, kind: RequestKind, form: MultiMapping[Any]) -> dict[str, Any]:
    """Read of which node, and whether what differs is put right; only an audit can be of all nodes."""
    name = _text(form, "node")
    node = await _known_node(session, name) if name or kind is RequestKind.CLEAR else None
    if kind is RequestKind.CLEAR:
        return {"node": node}
    return {"node": node, "repair": _text(form, "repair") == "yes"}


async def run_arguments(session: AsyncSession, form: MultiMapping[Any]) -> dict[str, Any]:
    """Read run, node and filters, of which none means all; each must be known."""
    runid = _text(form, "runid")
    said = ",".join(value for value in form.getall("filter", []) if isinstance(value, str))
    bands = [band for each in said.split(",") if (band := each.strip())]
    run = next(iter(await Frames().runs(session, runids=[runid])), None)
    if run is None:
        latest = ", ".join(await Traffic().run_names(session, limit=NAMED)) or "none"
        raise _bad(f"No frame of run {runid[:20]!r} is here; the last runs are: {latest}.")
    for band in bands:
        if band not in run.filters:
            raise _bad(f"Run {runid} has no frame in {band[:40]!r}; its filters are: {', '.join(run.filters)}.")
    wanted = ",".join(dict.fromkeys(bands)) or None
    return {"runid": runid, "node": await _known_node(session, _text(form, "node")), "filter": wanted}


@access(Access.OPERATOR)
async def act(request: web.Request) -> web.Response:
    """``POST /actions/{kind}``: write the request down and go back to where its answer will be shown."""
    console, who = console_of(request), who_is(request)
    if who is None:
        raise web.HTTPForbidden(text="Sign in first.")
    try:
        kind = RequestKind(request.match_info["kind"])
    except ValueError:
        raise web.HTTPNotFound from None
    form = await request.post()
    async with console.database.write() as session:
        if kind in ON_FRAMES:
            arguments = await _frame_arguments(session, kind, form)
            known = await Frames().named(session, arguments["frame"]) is not None
            back = f"/frames/{arguments['frame']}" if known else "/"
        elif kind in {RequestKind.ACCEPT, RequestKind.RELOAD}:
            arguments = await (_accepted if kind is RequestKind.ACCEPT else _reloaded)(session, form)
            back = f"/frames/{arguments['frame']}"
        elif kind in OF_ARCHIVE:
            arguments, back = {}, "/snooppix"
        elif kind in {RequestKind.AUDIT, RequestKind.CLEAR}:
            arguments, back = await _kept(session, kind, form), "/nodes/audit"
        elif kind in ON_NODES:
            arguments = {"node": await _known_node(session, _text(form, "node"))}
            back = "/nodes"
        else:
            arguments = await run_arguments(session, form)
            back = "/transfer"
        if _text(form, "back") == "/snooppix":
            back = "/snooppix"
        number = await Requests().ask(session, kind, arguments, by=who.name, now=console.now())
    raise web.HTTPSeeOther(f"{local_path(back)}?request={number}")


async def readback(session: AsyncSession, request: web.Request) -> RequestRecord | None:
    """Give the request whose answer the page shows."""
    number = request.query.get("request", "")
    if not number.isdecimal() or len(number) > 18:
        return None
    try:
        return await Requests().get(session, int(number))
    except NoSuchRow:
        return None
