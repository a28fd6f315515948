"""Frames, second copies and products on the nodes of a small site, for tests of what keeps them."""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
from astropy.io import fits

from datatransfer.scrub import Finding, Scrub
from dbclient.records import NewProduct, ProductRecord
from dbclient.stores import Events, Jobs, Products, Replicas
from tests.support.site import Site

GOOD = b"pixels" * 1000
BAD = b"pixelz" * 1000
RECIPE = "sha256:recipe"


def digest(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


async def placed(site: Site, name: str = "979412p", content: bytes = GOOD) -> tuple[str, Path]:
    """Have a frame on a node; give the node and the file."""
    await site.valid(name, content=content)
    await site.settle()
    [(node, replica)] = await site.replicas(name)
    return node, site.directory(node) / replica.path


def other_than(node: str) -> str:
    return "node2" if node == "node1" else "node1"


async def copied(site: Site, name: str, node: str) -> tuple[str, Path]:
    """Have a second replica on the other node, with bytes of its own; give that node and the file."""
    [(_, replica)] = await site.replicas(name)
    other = other_than(node)
    target = site.directory(other) / replica.path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes((site.directory(node) / replica.path).read_bytes())
    async with site.database.write() as session:
        await Replicas().hold(
            session,
            frame_id=replica.frame_id,
            node_id=(await site.node(other)).id,
            path=replica.path,
            size=replica.size,
            digest=replica.digest,
            now=site.clock.now(),
        )
    return other, target


@cache
def map_of(value: float = 1.0) -> bytes:
    """Make a small weight map with CHECKSUM and DATASUM; once each, for the header says when."""
    image = fits.ImageHDU(np.full((8, 8), value, dtype="f4"), name="CCD00")
    image.add_checksum()
    return b"".join(_raw(hdu) for hdu in fits.HDUList([fits.PrimaryHDU(), image]))


def _raw(hdu: fits.PrimaryHDU | fits.ImageHDU) -> bytes:
    data = b"" if hdu.data is None else hdu.data.astype(">f4").tobytes()
    return hdu.header.tostring().encode("ascii") + data.ljust(-(-len(data) // 2880) * 2880, b"\0")


async def weighted(
    site: Site, name: str = "979412p", content: bytes | None = None, *, recipe: str = RECIPE
) -> tuple[str, Path]:
    """Have a placed frame weighted; give the node and the file of its weight map."""
    content = content or map_of()
    [(node, _)] = await site.replicas(name)
    frame = await site.frame(name)
    path = f"products/08AC14/{name}_weight.fits"
    place = site.directory(node) / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    now = site.clock.now()
    async with site.database.write() as session:
        held = {job.recipe: job.id for job in await Jobs().of_frame(session, frame.id)}
        job = held.get(recipe) or await Jobs().create(
            session, frame_id=frame.id, node_id=(await site.node(node)).id, stage="weight", recipe=recipe, now=now
        )
        assert job is not None
        assert await Jobs().claim(session, job, worker=f"{node}:host:1", token="ours", now=now)
        assert await Jobs().finish(
            session,
            job,
            "ours",
            products=[NewProduct("weight", path, len(content), digest(content), {})],
            summary={},
            now=now,
            source="test",
        )
    return node, place


async def products(site: Site, name: str = "979412p") -> list[ProductRecord]:
    frame = await site.frame(name)
    async with site.database.read() as session:
        return await Products().of_frame(session, frame.id)


async def scrubbed(site: Site, *nodes: str) -> list[Finding]:
    """Read everything on these nodes that was not read since now."""
    scrub = Scrub(site.database, site.clock, site.coordinator.depots, source="test")
    site.clock.advance(3600.0)
    since = site.clock.now()
    found: list[Finding] = []
    for name in nodes:
        found += [finding async for _, finding in scrub.whole(await site.node(name), since=since) if finding]
    return found


async def told(site: Site, name: str = "979412p", kind: str = "scrub") -> list[str]:
    """Give what the history of a frame says in events of a kind."""
    frame = await site.frame(name)
    async with site.database.read() as session:
        return [event.message for event in await Events().of_frame(session, frame.id) if event.kind == kind]
