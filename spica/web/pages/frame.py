"""One frame: what it is, where it stands and why, its pictures, products, history and header."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import FrameRecord, NodeRecord, ProductRecord
from dbclient.schema import FrameState, JobState, ProductState
from dbclient.stores import Chronicles, Events, Frames, Nodes, Products
from snooppix.errors import Refused
from snooppix.reloading import changes, last_reload, read, said
from spica.files import file_of, inside
from spica.story import history, standing, unknown
from spica.web import drawing, header
from spica.web.aiming import SHOWN
from spica.web.console import Console, console_of, is_fragment, render
from spica.web.defects import defects_of
from spica.web.gate import Access, access
from spica.web.pages.actions import readback
from spica.web.seen import seen_of
from terapix.flags import FLAGS
from terapix.identity import UnsafeName, safe_name

PICTURES = ("picture-frame", "picture-weight", "picture-flag")
CAPTIONS = {
    "picture-frame": "The frame, overscan cut off, on one stretch",
    "picture-weight": "Its weight: bright where a pixel counts most",
    "picture-flag": "Its flags: what is wrong where",
}
"""What each focal plane picture shows."""
TYPES = {"regions": "text/plain; charset=us-ascii"}
"""Types of products that are neither pictures nor FITS."""
ELIXIR = 40
"""Keywords of Elixir shown at most."""


@dataclass(frozen=True, slots=True)
class Made:
    """A product with its place."""

    product: ProductRecord
    node: str
    current: bool


def asked_name(request: web.Request) -> str:
    """Give the frame's name from the address; anything that is no name is not found."""
    try:
        return safe_name(request.match_info["name"])
    except UnsafeName:
        raise web.HTTPNotFound from None


async def _generation(session: AsyncSession, request: web.Request) -> tuple[FrameRecord, list[FrameRecord]]:
    generations = await Frames().generations(session, asked_name(request))
    if not generations:
        name = request.match_info["name"]
        refusals = await Events().refusals(session, name)
        raise web.HTTPNotFound(text=f"{unknown(name, refusals)} Fetch now asks the archive for it.")
    wanted = request.query.get("generation", "")
    chosen = [frame for frame in generations if str(frame.generation) == wanted] if wanted else generations
    if not chosen:
        raise web.HTTPNotFound(text=f"{generations[0].name} has no generation {wanted[:10]}.")
    return chosen[0], generations


@access(Access.READER)
async def frame(request: web.Request) -> web.Response:
    """``/frames/{name}``"""
    console = console_of(request)
    async with console.database.read() as session:
        held, generations = await _generation(session, request)
        told = await Chronicles().of(session, held)
        jobs, events, nodes = told.jobs, told.events, told.nodes
        replicas, products = told.replicas, told.products
        context: dict[str, Any] = {
            "frame": held,
            "generations": generations,
            "story": standing(told, now=console.now()),
            "timeline": history(told),
            "events": list(reversed(events)),
            "running": [job for job in jobs if job.state is JobState.RUNNING],
            "jobs": jobs,
            "moving": told.transfers,
            "made": _made(products, nodes),
            "pictures": _pictures(products),
            "captions": CAPTIONS,
            "defects": defects_of(jobs),
            "seen": seen_of(jobs),
            "order": request.query.get("by", "")[:20],
            "flags": FLAGS,
            "shown_width": SHOWN,
            "replicas": [(replica, nodes[replica.node_id]) for replica in replicas if replica.node_id in nodes],
            "readback": await readback(session, request),
            "newest": await Events().newest_id(session),
            "reloaded": last_reload(events),
            "can_retry": held.state in {FrameState.FAILED, FrameState.REJECTED} or bool(held.reason),
        }
    plane = drawing.focal_plane(console.instrument, held.ccds)
    seen = context["seen"]
    context["widths"] = list(zip(plane.places, seen.rows, strict=False)) if seen else []
    context |= {"plane": plane, "elixir": sorted((held.elixir or {}).items())[:ELIXIR]}
    path = file_of(console.settings, held, replicas, nodes)
    context |= await _header(request, path, len(plane.places))
    context |= await _compared(console, request, held, path)
    return render(request, "frame.html", **context)


def _made(products: Sequence[ProductRecord], nodes: dict[int, NodeRecord]) -> list[Made]:
    known = [product for product in products if product.node_id in nodes and product.kind not in PICTURES]
    return [Made(p, nodes[p.node_id].name, p.state is ProductState.HELD) for p in known]


def _pictures(products: Sequence[ProductRecord]) -> list[ProductRecord]:
    held = {product.kind: product for product in products if product.state is ProductState.HELD}
    return [held[kind] for kind in PICTURES if kind in held]


async def _compared(console: Console, request: web.Request, held: FrameRecord, path: Path | None) -> dict[str, Any]:
    """Compare the database with the file, if the address asks for it."""
    known: dict[str, Any] = {"compared": None, "comparison_problem": None}
    if not request.query.get("compare") or is_fragment(request):
        return known
    if path is None:
        return known | {"comparison_problem": "The file is not on this host: there is nothing to compare with."}
    compression = console.settings.datatransfer.compression
    try:
        columns = await read(held, path, instrument=console.instrument, compression=compression)
    except Refused as refusal:
        return known | {"comparison_problem": str(refusal)}
    return known | {"compared": [(one.column, said(one.recorded), said(one.found)) for one in changes(held, columns)]}


async def _header(request: web.Request, path: Path | None, ccds: int) -> dict[str, Any]:
    """Read the cards that the address asks for: of the primary header, or of one CCD."""
    ccd = request.query.get("ccd", "")
    number = int(ccd) if ccd.isdecimal() and len(ccd) < 4 and int(ccd) < ccds else None
    search = request.query.get("card", "").strip()[:80]
    chosen: dict[str, Any] = {"ccd": number, "search": search, "cards": [], "cards_missing": None, "cards_of": 0}
    if is_fragment(request):
        return chosen
    if path is None:
        return chosen | {"cards_missing": "The file is not on this host (yet), so its header cannot be shown."}
    try:
        cards = await header.read(path, None if number is None else number + 1)
    except header.Unreadable as problem:
        return chosen | {"cards_missing": str(problem)}
    found = [card for card in cards if search.lower() in card.text.lower()]
    return chosen | {"cards": found, "cards_of": len(cards)}


@access(Access.READER)
async def product(request: web.Request) -> web.StreamResponse:
    """``/products/{number}``: a registered product's file, found through the database only."""
    console = console_of(request)
    async with console.database.read() as session:
        made = await _product(session, int(request.match_info["number"]))
        nodes = {node.id: node for node in await Nodes().all(session)}
    path = inside(Path(nodes[made.node_id].directory), made.path) if made.node_id in nodes else None
    if path is None:
        raise web.HTTPNotFound(text=f"The {made.kind} is registered, and its file is not on this host.")
    picture = made.kind in PICTURES
    answer = web.FileResponse(path)
    answer.headers["Content-Type"] = "image/png" if picture else TYPES.get(made.kind, "application/fits")
    answer.headers["Cache-Control"] = "private, no-cache"
    if not picture:
        answer.headers["Content-Disposition"] = f'attachment; filename="{safe_name(path.name)}"'
    return answer


async def _product(session: AsyncSession, number: int) -> ProductRecord:
    try:
        return await Products().get(session, number)
    except NoSuchRow:
        raise web.HTTPNotFound(text=f"There is no product {number}.") from None
