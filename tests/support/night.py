"""Rows for store tests: frames brought as far as a test needs them, in the words of the trade."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import FrameRecord, NewProduct
from dbclient.schema import FrameState, TransferKind
from dbclient.stores import Frames, Jobs, Leases, Nodes, Replicas, Sighting, Transfers

NOW = datetime(2008, 3, 30, 6, 23, tzinfo=UTC)
GB = 10**9
MAPS = (
    NewProduct("weight", "products/08AC14/979412p_weight.fits.fz", 200, "md5:" + "a" * 32, {"recipe": "r1"}),
    NewProduct("flag", "products/08AC14/979412p_flag.fits.fz", 50, "md5:" + "b" * 32, {"recipe": "r1"}),
)
WAY = (FrameState.FETCHED, FrameState.VALID, FrameState.PLACED)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def md5(letter: str) -> str:
    return f"md5:{letter * 32}"


def sighting(name: str = "979412p", **facts: Any) -> Sighting:
    known = {"uri": f"cadc:CFHT/{name}.fits.fz", "size": 1000, "digest": md5("1")}
    known |= {"runid": "08AC14", "filter": "r.MP9601"}
    return Sighting(name=name, **known | facts)


async def sight(session: AsyncSession, name: str = "979412p", **facts: Any) -> FrameRecord:
    """Sight a frame and give its newest row."""
    await Frames().sight(session, sighting(name, **facts), now=NOW, source="snooppix")
    row = await Frames().named(session, name)
    assert row is not None
    return row


async def bring(session: AsyncSession, name: str, state: FrameState, **facts: Any) -> FrameRecord:
    """Sight a frame and bring its newest generation to a state on the straight way."""
    row = await sight(session, name, **facts)
    for step in WAY[: WAY.index(state) + 1] if state in WAY else ():
        columns = {"path": f"from_CADC/headervalid/{name}.fits.fz"} if step is FrameState.VALID else {}
        if step is FrameState.PLACED:
            columns = {"path": None}
        await Frames().advance(
            session, row.id, step, now=NOW, source="test", message=f"{name} is {step.value}", **columns
        )
    return await Frames().get(session, row.id)


async def node(session: AsyncSession, name: str = "node1", *, free: int = 10 * GB, reserve: int = GB) -> int:
    """Register a node and measure it."""
    number = await Nodes().upsert(
        session, name=name, directory=f"/data/{name}", capacity=10 * GB, reserve=reserve, now=NOW
    )
    await Nodes().measure(session, name, used=10 * GB - free, free=free, now=NOW)
    return number


async def placed(session: AsyncSession, name: str = "979412p", *, node_id: int, **facts: Any) -> FrameRecord:
    """Bring a frame to its node, with its lease for products."""
    row = await bring(session, name, FrameState.PLACED, **facts)
    await Replicas().hold(
        session, frame_id=row.id, node_id=node_id, path=f"frames/{name}.fits.fz", size=1000, digest=md5("1"), now=NOW
    )
    await Leases().promise(
        session, frame_id=row.id, node_id=node_id, frame_bytes=0, product_bytes=500, scratch_bytes=100, now=NOW
    )
    return row


async def job(session: AsyncSession, frame: FrameRecord, *, node_id: int, recipe: str = "r1") -> int:
    number = await Jobs().create(session, frame_id=frame.id, node_id=node_id, stage="weight", recipe=recipe, now=NOW)
    assert number is not None
    return number


async def fetch(session: AsyncSession, frame: FrameRecord) -> int:
    return await Transfers().begin(
        session, frame_id=frame.id, kind=TransferKind.FETCH, source="archive", bytes_total=frame.size, now=NOW
    )
