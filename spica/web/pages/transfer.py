"""``/transfer``: where there is room, what goes where and when; and what operators ask of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.growth import RULE_2003, Growth, expected
from datatransfer.preview import Preview, preview_transfer
from datatransfer.rules import POLICIES
from datatransfer.schedule import interval_of
from dbclient.errors import NoSuchRow
from dbclient.records import FrameRow, TransferRecord
from dbclient.rulebook import ModeRecord
from dbclient.schema import FrameState, NodeState, RequestKind, RequestState, TransferMode, TransferState
from dbclient.stores import Events, Frames, Growths, Modes, Nodes, Pauses, Requests, Rules, Traffic, Transfers
from dbclient.stores.rules import PATTERNS
from dbclient.stores.traffic import RunRoom, Wanted
from dbclient.stores.transfers import TO_NODES
from spica.chain import bars
from spica.web.console import Console, console_of, render, who_is
from spica.web.gate import Access, access
from spica.web.pages.actions import readback, run_arguments
from spica.web.pages.help import TOPICS
from spica.web.pages.rooms import DrawnNode, drawn_nodes
from spica.web.wording import rate, size
from terapix.quantities import counted

ORDERS: Final = (RequestKind.TRANSFER, RequestKind.COPY, RequestKind.EVACUATE, RequestKind.REBALANCE)
"""Requests that immediate transfers work on until nothing of them is missing."""
SHOWN: Final = 8
"""Rows of each list on the page."""
MOVING: Final = 24
"""Transfers that are shown with their progress."""
RUNS: Final = 12
"""Runs that are to be placed, with the room they need."""
CHOICES: Final = 200
"""Runs that the form offers; others can be written."""
LONGEST: Final = {"runid": 40, "filter": 40, "instrument": 40, "program": 40, "comment": 200}
"""Signs of what a rule says."""


@dataclass(frozen=True, slots=True)
class DrawnMode:
    """One of the two modes, with its countdown and its work in progress."""

    mode: ModeRecord
    every: float
    """Seconds between two runs."""
    next_at: datetime | None
    """When it runs next; none while it is paused, or before it ever ran."""
    moving: int
    promised: int


@dataclass(frozen=True, slots=True)
class Fit:
    """The room that the frames of a run need which are to be placed, and where that is."""

    run: RunRoom
    needed: int
    """Bytes of the frames that wait, with what will be made of them, by the growth that placement reckons with."""
    rule: int
    """Bytes by the rule of 2003."""
    nodes: tuple[str, ...]
    """Nodes that could take all of them now."""
    largest: int
    """Bytes of the largest room there is."""


def fits(runs: Sequence[RunRoom], nodes: Sequence[DrawnNode], growth: Growth) -> list[Fit]:
    """Say where the frames of each run that wait would fit, each run by itself."""
    rooms = {node.bar.name: node.promisable for node in nodes if node.bar.state is NodeState.UP}
    found = []
    for run in runs:
        whole = run.waiting_bytes + run.coming_bytes
        room = expected(whole, growth)
        needed = whole if room.needed is None else room.needed
        roomy = tuple(sorted(name for name, room in rooms.items() if room >= needed))
        found.append(Fit(run, needed, room.rule_2003, roomy, max(rooms.values(), default=0)))
    return found


def drawn_modes(
    modes: Mapping[TransferMode, ModeRecord], counts: Mapping[tuple[Any, TransferState], int], console: Console
) -> list[DrawnMode]:
    """Draw the modes; what was begun before there were any counts as automatic."""

    def count(name: TransferMode, state: TransferState) -> int:
        return counts.get((name, state), 0) + (counts.get((None, state), 0) if name is TransferMode.AUTOMATIC else 0)

    return [
        DrawnMode(
            mode=mode,
            every=interval_of(console.settings.datatransfer, name),
            next_at=None if mode.paused else mode.asked_at or mode.next_at,
            moving=count(name, TransferState.RUNNING),
            promised=count(name, TransferState.PROMISED),
        )
        for name, mode in modes.items()
    ]


def sentence(
    modes: Sequence[DrawnMode],
    moving: Sequence[TransferRecord],
    nodes: Sequence[DrawnNode],
    homeless: int,
    paused: int = 0,
) -> str:
    """Answer the page's question: what goes, what waits, and how much room there is."""
    going, queued = (sum(getattr(mode, name) for mode in modes) for name in ("moving", "promised"))
    pace = rate(sum(one.rate or 0 for one in moving))
    said = [f"{counted(going, 'frame')} under way to nodes{f' at {pace}' if pace else ''}"]
    said[0] = said[0] if going else "Nothing is under way to nodes"
    if queued > paused:
        said.append(f"{counted(queued - paused, 'frame')} with room promised")
    if paused:
        said.append(f"{counted(paused, 'frame')} paused one by one")
    if homeless > queued:
        said.append(f"{counted(homeless, 'frame')} at reception")
    up = [node for node in nodes if node.bar.state is NodeState.UP]
    free = size(sum(node.promisable for node in up))
    room = f"{free} can still be promised on {len(up)} of {counted(len(nodes), 'node')}"
    ill = [f"{one.mode.name.value} transfers are paused" for one in modes if one.mode.paused]
    ill += [f"{node.bar.name} is {node.bar.state.value}" for node in nodes if not node.bar.state.answers]
    return "; ".join((", ".join(said), room if nodes else "no node is registered", *ill)) + "."


@access(Access.READER)
async def transfer(request: web.Request) -> web.Response:
    """``/transfer``"""
    console = console_of(request)
    preview: Preview | None = None
    arguments: dict[str, Any] = {}
    async with console.database.read() as session:
        if request.query.get("runid") and request.query.get("node"):
            arguments = await run_arguments(session, request.query)
            preview = await preview_transfer(
                session,
                runid=arguments["runid"],
                node=arguments["node"],
                filter_=arguments["filter"],
                now=console.clock.now(),
                section=console.settings.datatransfer,
                sections=console.settings.nodes,
            )
        context = await gather(session, console)
        asked = await readback(session, request)
    chosen = {key: arguments.get(key) or request.query.get(key, "") for key in ("runid", "node", "filter", "pause")}
    return render(request, "transfer.html", preview=preview, chosen=chosen, readback=asked, **context)


async def gather(session: AsyncSession, console: Console) -> dict[str, Any]:
    """Look up everything that the page shows."""
    now, traffic = console.now(), Traffic()
    newest = await Events().newest_id(session)
    rooms = {room.name: room for room in await Nodes().room(session, runs=False)}
    nodes = await drawn_nodes(session, bars(await Nodes().all(session), rooms), now)
    modes = drawn_modes(await Modes().all(session), await traffic.counts(session), console)
    moving = await Transfers().running(session, *TO_NODES)
    growth = Growth.of(await Growths().measured(session))
    runs = fits(await traffic.runs_to_place(session, limit=RUNS + 1), nodes, growth)
    states = await Frames().counts(session)
    verified: Sequence[FrameRow] = await Frames().search(session, state=FrameState.VALID, limit=SHOWN)
    arrived: Sequence[FrameRow] = await Frames().search(session, state=FrameState.FETCHED, limit=SHOWN)
    bands = [band for band in await traffic.filters(session) if band]
    queue = await traffic.queue(session, limit=SHOWN)
    paused, held = await Pauses().shown(session, limit=SHOWN), await Pauses().count(session)
    return {
        "sentence": sentence(modes, moving, nodes, states.get(FrameState.VALID, 0), held),
        "well": all(node.bar.state.answers for node in nodes) and not any(m.mode.paused for m in modes),
        "modes": modes,
        "nodes": nodes,
        "moving": moving[:MOVING],
        "queue": queue,
        "queued": sum(mode.promised for mode in modes) - held,
        "paused": paused,
        "held": held,
        "pausable": [one for one in [*moving[:MOVING], *queue] if one.paused_at is None],
        "orders": await Requests().open(session, *ORDERS),
        "expansion": growth.expansion(),
        "runs": runs[:RUNS],
        "more_runs": len(runs) > RUNS,
        "factor": RULE_2003,
        "verified": verified,
        "arrived": arrived,
        "states": states,
        "rules": await Rules().all(session),
        "policy": console.settings.datatransfer.policy,
        "policies": POLICIES,
        "past": await traffic.history(session, Wanted(to_nodes=True), limit=SHOWN),
        "choices": await traffic.run_names(session, limit=CHOICES),
        "filters": sorted(bands),
        "topics": list(TOPICS.items()),
        "newest": newest,
    }


@access(Access.OPERATOR)
async def set_mode(request: web.Request) -> web.Response:
    """``POST /transfer/modes``: let a mode run now, pause it or let it go on."""
    console, who = console_of(request), who_is(request)
    if who is None:
        raise web.HTTPForbidden(text="Sign in first.")
    form = await request.post()
    try:
        mode = TransferMode(str(form.get("mode", "")))
    except ValueError:
        raise web.HTTPBadRequest(text=f"A mode is {' or '.join(TransferMode)}.") from None
    by: dict[str, Any] = {"by": who.name, "now": console.now()}
    async with console.database.write() as session:
        match form.get("ask"):
            case "run":
                if (await Modes().all(session))[mode].paused:
                    raise web.HTTPBadRequest(text=f"{mode.value.capitalize()} transfers are paused: resume them first.")
                await Modes().ask_run(session, mode, **by)
            case "pause" | "resume" as ask:
                await Modes().set_paused(session, mode, ask == "pause", **by)
            case _:
                raise web.HTTPBadRequest(text="A mode can be asked to run, to pause or to resume.")
    raise web.HTTPSeeOther("/transfer#modes")


@access(Access.OPERATOR)
async def withdraw(request: web.Request) -> web.Response:
    """``POST /transfer/orders``: end an order that immediate transfers still work on."""
    console, who = console_of(request), who_is(request)
    if who is None:
        raise web.HTTPForbidden(text="Sign in first.")
    said = str((await request.post()).get("order", ""))
    async with console.database.write() as session:
        held = {str(order.id): order.id for order in await Requests().open(session, *ORDERS)}
        if said not in held:
            raise web.HTTPBadRequest(text=f"There is no open order {said[:20]}: it may have ended meanwhile.")
        words = f"It was withdrawn by {who.name}; what has room is moved all the same."
        await Requests().answer(session, held[said], RequestState.REFUSED, words, now=console.now())
    raise web.HTTPSeeOther(f"/transfer?request={said}")


@access(Access.OPERATOR)
async def set_rule(request: web.Request) -> web.Response:
    """``POST /transfer/rules``: add a rule, move it, switch it on or off, or remove it."""
    console, who = console_of(request), who_is(request)
    if who is None:
        raise web.HTTPForbidden(text="Sign in first.")
    form = await request.post()
    by: dict[str, Any] = {"by": who.name, "now": console.now()}
    said = {key: value.strip() for key, value in form.items() if isinstance(value, str)}
    place = said.get("place", "")
    number = int(place) if place.isdecimal() and len(place) < 6 else 0
    try:
        async with console.database.write() as session:
            match said.get("ask"):
                case "add":
                    await Rules().add(session, **by, **await _rule(session, said))
                case "up" | "down" as way:
                    await Rules().move(session, number, number - 1 if way == "up" else number + 1, **by)
                case "on" | "off" as state:
                    await Rules().change(session, number, enabled=state == "on", **by)
                case "remove":
                    await Rules().remove(session, number, **by)
                case _:
                    raise web.HTTPBadRequest(text="A rule can be added, moved, switched on or off, or removed.")
    except NoSuchRow:
        raise web.HTTPBadRequest(text=f"There is no rule {place[:10]}: somebody may have moved it meanwhile.") from None
    raise web.HTTPSeeOther("/transfer#rules")


async def _rule(session: AsyncSession, said: Mapping[str, str]) -> dict[str, Any]:
    """Read what a new rule says.

    Raises
    ------
    aiohttp.web.HTTPBadRequest
        With what makes no sense.
    """
    for key, longest in LONGEST.items():
        value = said.get(key, "")
        if len(value) > longest or not value.isprintable():
            raise web.HTTPBadRequest(text=f"{key}: up to {longest} printable signs were expected.")
    priority = said.get("priority", "") or "0"
    if not priority.lstrip("-").isdecimal() or len(priority) > 6:
        raise web.HTTPBadRequest(text=f"priority={priority[:20]!r} makes no sense here: a whole number was expected.")
    where = said.get("where", "")
    policy = where if where in POLICIES else None
    node = where.removeprefix("node:") if where.startswith("node:") else None
    if (where and not policy and node is None) or (node and await Nodes().named(session, node[:32]) is None):
        raise web.HTTPBadRequest(text=f"{where[:40]!r} is neither a policy nor a node: choose one from the list.")
    patterns = {name: said.get(name) or "*" for name in PATTERNS}
    if all(pattern == "*" for pattern in patterns.values()) and not (policy or node or int(priority)):
        raise web.HTTPBadRequest(text="Such a rule would change nothing: say what it is about, or where its frames go.")
    return {**patterns, "priority": int(priority), "policy": policy, "node": node, "comment": said.get("comment", "")}
