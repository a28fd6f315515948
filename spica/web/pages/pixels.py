"""Pixels of a frame at full resolution, with their weights and flags, where one has clicked on the focal plane.

A page reads no pixels: a small process that belongs to the stage reads the files and makes the picture.
"""

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import FrameRecord, NodeRecord, ProductRecord
from dbclient.schema import ProductState
from dbclient.stores import Chronicles, Frames
from spica.files import file_of, inside
from spica.web import drawing
from spica.web.aiming import SIDES, Aim, aim, clicked, on_mosaic, steps
from spica.web.console import console_of, render
from spica.web.defects import Defects, defects_of
from spica.web.gate import Access, access
from spica.web.pages.frame import asked_name
from terapix.flags import FLAGS
from terapix.instruments import Ccd, Instrument
from terapix.journal import logger

log = logger("spica.web")

MODULE: Final = "processing.weightwatcher.cutout"
"""What makes the picture."""
PATIENCE: Final = 20.0
"""Seconds that it may take."""
AT_ONCE: Final = asyncio.Semaphore(2)
"""Pictures made at the same time."""
MOST: Final = 10_000_000
"""Bytes of a picture."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame whose pixels are asked for."""

    frame: FrameRecord
    path: Path | None
    """Its file, if that lies on this host."""
    maps: dict[str, Path]
    """Its weight and its flags, those that lie on this host."""
    defects: Defects | None
    ccds: tuple[Ccd, ...]


async def _shown(request: web.Request) -> Shown:
    """Find the frame that the address names."""
    console = console_of(request)
    async with console.database.read() as session:
        held = await _generation(session, request)
        told = await Chronicles().of(session, held)
    path = file_of(console.settings, held, told.replicas, told.nodes)
    ccds = console.instrument.ccds_of(held.ccds or len(console.instrument.ccds))
    return Shown(held, path, _maps(told.products, told.nodes), defects_of(told.jobs), ccds)


async def _generation(session: AsyncSession, request: web.Request) -> FrameRecord:
    wanted = int(request.match_info["generation"])
    for held in await Frames().generations(session, asked_name(request)):
        if held.generation == wanted:
            return held
    raise web.HTTPNotFound(text=f"{request.match_info['name']} has no generation {wanted}.")


def _maps(products: Sequence[ProductRecord], nodes: dict[int, NodeRecord]) -> dict[str, Path]:
    found = {}
    for product in products:
        if product.kind in {"weight", "flag"} and product.state is ProductState.HELD and product.node_id in nodes:
            path = inside(Path(nodes[product.node_id].directory), product.path)
            if path is not None:
                found[product.kind] = path
    return found


def _number(request: web.Request, name: str, least: int, most: int, default: int) -> int:
    """Give a whole number of the address, within its bounds; anything else counts as not given."""
    text = request.query.get(name, "")
    plain = text.isascii() and text.isdigit() and len(text) < 8
    return min(max(int(text), least), most) if plain else default


def _asked(request: web.Request, instrument: Instrument, ccds: tuple[Ccd, ...]) -> tuple[Aim, int, int]:
    """Pixel, side and flags that the address asks for."""
    x0, x1, y0, y1 = instrument.datasec
    at = Aim(
        _number(request, "ccd", 0, len(ccds) - 1, 0),
        _number(request, "x", 0, instrument.width - 1, (x0 + x1) // 2),
        _number(request, "y", 0, instrument.height - 1, (y0 + y1) // 2),
    ).within(instrument)
    side = _number(request, "side", 0, SIDES[-1], 256)
    wanted = set(request.query.getall("show", []))
    every = not wanted and "chosen" not in request.query
    bits = sum(flag.value for flag in FLAGS if every or flag.name in wanted)
    return at, side if side in SIDES else 256, bits


def _query(at: Aim, side: int, bits: int) -> str:
    shown = "".join(f"&show={flag.name}" for flag in FLAGS if flag.value & bits)
    return f"ccd={at.ccd}&x={at.x}&y={at.y}&side={side}&chosen=yes{shown}"


@access(Access.READER)
async def pixels(request: web.Request) -> web.Response:
    """``/frames/{name}/pixels/{generation}``: a click on a picture leads to the pixel that was meant."""
    console = console_of(request)
    shown = await _shown(request)
    instrument = console.instrument
    click = clicked(request.query_string[:20])
    if click and shown.defects:
        at = aim(instrument, shown.ccds, click, shown.defects.side)
        raise web.HTTPSeeOther(f"{request.path}?{_query(at, 256, sum(flag.value for flag in FLAGS))}")
    at, side, bits = _asked(request, instrument, shown.ccds)
    ccd = shown.ccds[at.ccd]
    plane = drawing.focal_plane(instrument, shown.frame.ccds)
    east, north = on_mosaic(instrument, ccd, at)
    left, low = min(each.column for each in shown.ccds), min(each.row for each in shown.ccds)
    context: dict[str, Any] = {
        "frame": shown.frame,
        "at": at,
        "ccd": ccd,
        "side": side,
        "sides": SIDES,
        "bits": bits,
        "flags": FLAGS,
        "plane": plane,
        "mark": (east - left, plane.height - (north - low)),
        "picture": f"/frames/{shown.frame.name}/cutout/{shown.frame.generation}?{_query(at, side, bits)}",
        "ways": {
            way: _query(there.within(instrument), side, bits)
            for way, there in steps(at, side, flipped=ccd.flipped).items()
        },
        "zooms": {each: _query(at, each, bits) for each in SIDES},
        "missing": shown.path is None,
        "maps": shown.maps,
        "width": instrument.width,
        "height": instrument.height,
        "count": len(shown.ccds),
        "names": [each.name for each in shown.ccds],
    }
    return render(request, "pixels.html", **context)


@access(Access.READER)
async def cutout(request: web.Request) -> web.Response:
    """``/frames/{name}/cutout/{generation}``: the picture itself."""
    shown = await _shown(request)
    if shown.path is None:
        raise web.HTTPNotFound(text=f"The file of {shown.frame.name} is not on this host.")
    at, side, bits = _asked(request, console_of(request).instrument, shown.ccds)
    arguments = ["--frame", str(shown.path), "--ccd", str(at.ccd), "--x", str(at.x), "--y", str(at.y)]
    arguments += ["--side", str(side), "--bits", str(bits)]
    for kind, path in shown.maps.items():
        arguments += [f"--{kind}", str(path)]
    async with AT_ONCE:
        picture = await _made(arguments)
    return web.Response(body=picture, content_type="image/png", headers={"Cache-Control": "private, max-age=60"})


async def _made(arguments: Sequence[str]) -> bytes:
    """Have the picture made."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", MODULE, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        picture, said = await asyncio.wait_for(process.communicate(), PATIENCE)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode or len(picture) > MOST:
        reason = said.decode(errors="replace").strip()[-500:]
        log.warning("pixels cannot be shown", reason=reason)
        raise web.HTTPNotFound(text=f"These pixels cannot be shown: {reason}")
    return picture
