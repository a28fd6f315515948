"""One frame: what it is, where it stands and why, its pictures, products, history and header."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import FrameRecord, NodeRecord, ProductRecord, ReplicaRecord
from dbclient.schema import FrameState, JobState, ProductState, ReplicaState
from dbclient.stores import Events, Frames, Jobs, Nodes, Products, Replicas, Transfers
from spica.story import tell, unknown
from spica.web import drawing, header
from spica.web.console import Console, console_of, is_fragment, render
from spica.web.gate import Access, access
from spica.web.pages.actions import readback
from terapix.identity import UnsafeName, safe_name

PICTURES = ("picture-frame", "picture-weight", "picture-flag")
CAPTIONS = {
    "picture-frame": "The frame, overscan cut off, on one stretch",
    "picture-weight": "Its weight: bright where a pixel counts most",
    "picture-flag": "Its flags: what is wrong where",
}
"""What each focal plane picture shows."""
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
        jobs = await Jobs().of_frame(session, held.id)
        events = await Events().of_frame(session, held.id)
        nodes = {node.id: node for node in await Nodes().all(session)}
        products = await Products().of_frame(session, held.id)
        replicas = await Replicas().of_frame(session, held.id)
        context: dict[str, Any] = {
            "frame": held,
            "generations": generations,
            "story": tell(held, jobs, [], now=console.now()),
            "events": list(reversed(events)),
            "running": [job for job in jobs if job.state is JobState.RUNNING],
            "jobs": jobs,
            "moving": await Transfers().open_of_frame(session, held.id),
            "made": _made(products, nodes),
            "pictures": _pictures(products),
            "captions": CAPTIONS,
            "replicas": [(replica, nodes[replica.node_id]) for replica in replicas if replica.node_id in nodes],
            "readback": await readback(session, request),
            "newest": await Events().newest_id(session),
            "can_retry": held.state in {FrameState.FAILED, FrameState.REJECTED} or bool(held.reason),
        }
    plane = drawing.focal_plane(console.instrument, held.ccds)
    context |= {"plane": plane, "elixir": sorted((held.elixir or {}).items())[:ELIXIR]}
    context |= await _header(console, request, held, replicas, nodes, len(plane.places))
    return render(request, "frame.html", **context)


def _made(products: Sequence[ProductRecord], nodes: dict[int, NodeRecord]) -> list[Made]:
    known = [product for product in products if product.node_id in nodes and product.kind not in PICTURES]
    return [Made(p, nodes[p.node_id].name, p.state is ProductState.HELD) for p in known]


def _pictures(products: Sequence[ProductRecord]) -> list[ProductRecord]:
    held = {product.kind: product for product in products if product.state is ProductState.HELD}
    return [held[kind] for kind in PICTURES if kind in held]


async def _header(
    console: Console,
    request: web.Request,
    held: FrameRecord,
    replicas: Sequence[ReplicaRecord],
    nodes: dict[int, NodeRecord],
    ccds: int,
) -> dict[str, Any]:
    """Read the cards that the address asks for: of the primary header, or of one CCD."""
    ccd = request.query.get("ccd", "")
    number = int(ccd) if ccd.isdecimal() and len(ccd) < 4 and int(ccd) < ccds else None
    search = request.query.get("card", "").strip()[:80]
    chosen: dict[str, Any] = {"ccd": number, "search": search, "cards": [], "cards_missing": None, "cards_of": 0}
    if is_fragment(request):
        return chosen
    path = _file(console, held, replicas, nodes)
    if path is None:
        return chosen | {"cards_missing": "The file is not on this host (yet), so its header cannot be shown."}
    try:
        cards = await header.read(path, None if number is None else number + 1)
    except header.Unreadable as problem:
        return chosen | {"cards_missing": str(problem)}
    found = [card for card in cards if search.lower() in card.text.lower()]
    return chosen | {"cards": found, "cards_of": len(cards)}


def _file(
    console: Console, held: FrameRecord, replicas: Sequence[ReplicaRecord], nodes: dict[int, NodeRecord]
) -> Path | None:
    """Give the frame's file, as the database knows it, if it lies on this host."""
    places = [
        (Path(nodes[replica.node_id].directory), replica.path)
        for replica in replicas
        if replica.state is ReplicaState.HELD and replica.node_id in nodes
    ]
    if held.path:
        places.append((console.settings.received(held.disk, ""), held.path))
    for root, path in places:
        found = inside(root, path)
        if found is not None:
            return found
    return None


def inside(root: Path, path: str) -> Path | None:
    """Give the file `path` below `root`, or None if it is not there or leads out."""
    whole = (root / path).resolve()
    return whole if whole.is_relative_to(root.resolve()) and whole.is_file() else None


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
    answer.headers["Content-Type"] = "image/png" if picture else "application/fits"
    answer.headers["Cache-Control"] = "private, no-cache"
    if not picture:
        answer.headers["Content-Disposition"] = f'attachment; filename="{safe_name(path.name)}"'
    return answer


async def _product(session: AsyncSession, number: int) -> ProductRecord:
    try:
        return await Products().get(session, number)
    except NoSuchRow:
        raise web.HTTPNotFound(text=f"There is no product {number}.") from None
