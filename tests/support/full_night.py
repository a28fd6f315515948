"""A believable night in a database: frames in every state, moves, jobs, nodes, daemons, and a few files to look at."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from PIL import Image
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.database import Database
from dbclient.records import NewProduct
from dbclient.schema import FrameState, NodeState, TransferKind
from dbclient.stores import Frames, Jobs, Leases, Nodes, Replicas, Sighting, Transfers

NOW = datetime(2026, 11, 24, 6, 23, 10, tzinfo=UTC)
RECIPE = "sha256:5f1d0cbe26b5c49e4b3ac2f4b7c0a3b1"
RUNS = (
    ("08AC14", "CFHTLS-D1", "r.MP9601", 360.0),
    ("08AF02", "NGC 7006", "g.MP9401", 240.0),
    ("08AH33", "Virgo field 12", "i.MP9702", 500.0),
    ("08AC14", "CFHTLS-D1", "u.MP9301", 660.0),
)
PACKED, UNPACKED = 341_000_000, 1_412_000_000
COUNTED: dict[str, Any] = {
    "side": 26,
    "names": [f"ccd{index:02d}" for index in range(36)],
    "counts": {
        "BAD": [2_000 + 7 * index for index in range(36)],
        "COSMIC": [4_000 + (index * 13) % 36 for index in range(36)],
        "SATURATED": [900] * 35 + [12_345],
    },
    "notes": ["ccd07: GAINA = 0 cannot be; GAIN = 1.6 is taken"],
}
"""What the weight stage says of a frame's defects."""
PROMISE = {"frame_bytes": PACKED, "product_bytes": 520_000_000, "scratch_bytes": 300_000_000}
WEIGHTED, PLACED, VALID, FETCHED = (
    FrameState.WEIGHTED, FrameState.PLACED, FrameState.VALID, FrameState.FETCHED,
)  # fmt: skip
WAY = (FETCHED, VALID, PLACED, WEIGHTED)


@dataclass(frozen=True, slots=True)
class Night:
    """What was seeded."""

    directory: Path
    now: datetime
    weighted: str = "979400p"
    rejected: str = "979414o"
    failed: str = "979415p"
    waiting: str = "979416p"
    again: str = "979401p"


async def seed(database: Database, directory: Path, *, now: datetime = NOW) -> Night:
    """Fill a database with a night that is in full swing at `now`."""
    night = Night(directory, now)
    async with database.write() as session:
        await _nodes(session, directory, now)
        for number in range(24):
            await _frame(session, directory, number, now)
        await _again(session, night)
        await _daemons(session, now)
        await Nodes().set_state(
            session, "node3", NodeState.DOWN, reason="its directory does not answer", now=now, source="datatransfer"
        )
    return night


async def _nodes(session: AsyncSession, directory: Path, now: datetime) -> None:
    for name, capacity, used in (("node1", 48, 21.5), ("node2", 48, 33.1), ("node3", 96, 60.0)):
        (directory / name).mkdir(parents=True, exist_ok=True)
        await Nodes().upsert(
            session,
            name=name,
            directory=str(directory / name),
            capacity=capacity * 10**9,
            reserve=4 * 10**9,
            now=now - timedelta(hours=5),
        )
        free = int((capacity - used) * 1e9) - 2 * 10**9
        await Nodes().measure(session, name, used=int(used * 1e9), free=free, now=now - timedelta(seconds=19))


async def _frame(session: AsyncSession, directory: Path, number: int, now: datetime) -> None:
    """Bring one frame as far as its number says."""
    name = f"{979400 + number}{'o' if number == 14 else 'p'}"
    runid, target, band, exposure = RUNS[number % 4]
    begun = now - timedelta(minutes=9 * (24 - number))
    sighting = Sighting(
        name=name,
        uri=f"cadc:CFHT/{name}.fits.fz",
        size=PACKED + 1_370_000 * (number % 7),
        digest=f"md5:{number:032x}",
        modified=begun,
        runid=runid,
        filter=band,
        object=target,
        exposure_time=exposure,
        observed_at=begun - timedelta(days=30),
    )
    frames = Frames()
    await frames.sight(session, sighting, now=begun, source="snooppix")
    frame = await frames.named(session, name)
    assert frame is not None
    await frames.describe(
        session,
        frame.id,
        airmass=1.05 + 0.013 * number,
        ccds=36,
        crunid="08Am03",
        qrunid="08AQ03",
        ra=214.9 + 0.01 * number,
        dec=52.6,
        flat=f"08Am03.flat.{band[0]}.36.02",
        mask="2003A.mask.0.36.01",
        elixir={"EL_SYS": "Elixir 2", "IMRED_OP": "Overscan+Flat", "PHOT_C": 26.1},
        needs={
            "frame": PACKED,
            "unpacked": UNPACKED,
            "weight": 500_000_000,
            "flag": 20_000_000,
            "scratch": 300_000_000,
        },
    )
    here = Seeded(session, directory, frame.id, name, "node1" if number % 3 else "node2", begun)
    if number < 12:
        await here.weighted(files=number == 0)
    elif number == 12:
        await here.working(now, share=0.62)
    elif number == 13:
        await here.working(now, share=0.18)
    elif number == 14:
        await here.rejected()
    elif number == 15:
        reason = "not at the archive for 48 hours: 404 of https://archive.example/minoc"
        await frames.fail(session, frame.id, reason=reason, now=begun + timedelta(minutes=3), source="snooppix")
    elif number == 16:
        await here.homeless(now)
    elif number in {17, 18}:
        await here.moving(now, share=0.35 * (number - 16))
    elif number in {19, 20}:
        await here.advance(FETCHED)
    elif number in {21, 22}:
        await here.fetching(now, share=0.3 * (number - 20))


@dataclass(frozen=True, slots=True)
class Seeded:
    """One frame on its way."""

    session: AsyncSession
    directory: Path
    id: int
    name: str
    node: str
    begun: datetime

    async def advance(self, to: FrameState) -> datetime:
        """Go every step up to a state; half a minute each."""
        at = self.begun
        words = {
            FETCHED: "fetched, digest verified",
            VALID: "header and pixels verified",
            PLACED: f"placed on {self.node}",
        }
        for state in WAY[: WAY.index(to) + 1]:
            at += timedelta(seconds=31)
            if state is not WEIGHTED:
                await Frames().advance(self.session, self.id, state, now=at, source="snooppix", message=words[state])
        return at

    async def node_id(self) -> int:
        node = await Nodes().named(self.session, self.node)
        assert node is not None
        return node.id

    async def held(self) -> datetime:
        at = await self.advance(PLACED)
        frame = await Frames().get(self.session, self.id)
        path = f"frames/{frame.runid}/{self.name}.fits.fz"
        await Replicas().hold(
            self.session,
            frame_id=self.id,
            node_id=await self.node_id(),
            path=path,
            size=frame.size or 0,
            digest=frame.wire_digest or "",
            now=at,
        )
        return at

    async def job(self, at: datetime, token: str) -> int:
        number = await Jobs().create(
            self.session, frame_id=self.id, node_id=await self.node_id(), stage="weight", recipe=RECIPE, now=at
        )
        assert number is not None
        await Jobs().claim(self.session, number, worker=f"{self.node}:4711", token=token, now=at)
        return number

    async def working(self, now: datetime, *, share: float) -> None:
        await self.held()
        await Leases().promise(
            self.session, frame_id=self.id, node_id=await self.node_id(), now=now, **{**PROMISE, "frame_bytes": 0}
        )
        number = await self.job(now - timedelta(seconds=9), "token")
        await Jobs().beat(self.session, number, "token", share=share, now=now)

    async def weighted(self, *, files: bool) -> None:
        at = await self.held()
        number = await self.job(at + timedelta(seconds=1), "token")
        frame = await Frames().get(self.session, self.id)
        made = [
            NewProduct(
                kind,
                f"products/{frame.runid}/{self.name}_{word}",
                size,
                f"md5:{self.id:031x}{digit}",
                {"recipe": RECIPE},
            )
            for digit, (kind, word, size) in enumerate(
                (
                    ("weight", "weight.fits.fz", 492_000_000),
                    ("flag", "flag.fits.fz", 19_300_000),
                    ("picture-frame", "frame.png", 212_000),
                    ("picture-weight", "weight.png", 180_000),
                    ("picture-flag", "flag.png", 94_000),
                )
            )
        ]
        if files:
            write_files(self.directory / self.node, f"frames/{frame.runid}/{self.name}.fits.fz", made)
        summary = {"seconds": 8.4, "pixels": 353_000_000, "area": 0.9877, **COUNTED}
        await Jobs().finish(
            self.session,
            number,
            "token",
            products=made,
            summary=summary,
            now=at + timedelta(seconds=10),
            source="spica",
        )

    async def rejected(self) -> None:
        at = await self.advance(FETCHED)
        reason = "not processed by Elixir: the primary header has no EL_SYS (raw exposure, o)"
        await Frames().advance(
            self.session,
            self.id,
            FrameState.REJECTED,
            now=at,
            source="snooppix",
            message=f"rejected: {reason}",
            reason=reason,
        )

    async def homeless(self, now: datetime) -> None:
        await self.advance(VALID)
        await Frames().wait(
            self.session,
            self.id,
            reason="no node has room for 1.2 GB: node2 comes closest and lacks 312 MB",
            retry_at=now + timedelta(seconds=140),
            now=now - timedelta(minutes=2),
            source="datatransfer",
        )

    async def moving(self, now: datetime, *, share: float) -> None:
        await self.advance(VALID)
        node = await self.node_id()
        await Leases().promise(self.session, frame_id=self.id, node_id=node, now=now, **PROMISE)
        number = await Transfers().begin(
            self.session, frame_id=self.id, kind=TransferKind.MOVE, source=f"from_CADC/headervalid/{self.name}.fits.fz",
            node_id=node, bytes_total=PACKED, now=now - timedelta(seconds=4),
        )  # fmt: skip
        await Transfers().progress(self.session, number, done=int(PACKED * share), rate=181e6)

    async def fetching(self, now: datetime, *, share: float) -> None:
        number = await Transfers().begin(
            self.session, frame_id=self.id, kind=TransferKind.FETCH, source="ws-cadc.canfar.net", bytes_total=PACKED,
            now=now - timedelta(seconds=12),
        )  # fmt: skip
        await Transfers().progress(self.session, number, done=int(PACKED * share), rate=11.7e6)


async def _again(session: AsyncSession, night: Night) -> None:
    """Let the archive process a frame again."""
    sighting = Sighting(
        name=night.again, uri=f"cadc:CFHT/{night.again}.fits.fz", size=PACKED, digest=f"md5:{2003:032d}",
        runid="08AF02", filter="g.MP9401", object="NGC 7006", exposure_time=240.0,
    )  # fmt: skip
    await Frames().sight(session, sighting, now=night.now - timedelta(minutes=1), source="snooppix")


async def _daemons(session: AsyncSession, now: datetime) -> None:
    for name, status, age in (
        ("snooppix", "2 downloads, 1 frame queued; the archive was read up to 06:21:40", 3),
        ("datatransfer", "2 moves, 1 frame waits for room", 8),
        ("spica", "2 jobs running, page at http://127.0.0.1:8080/", 2),
        ("datatransfer-node:node3", "measures its disk", 340),
    ):
        await Nodes().heartbeat(
            session, name=name, host="night.example", pid=4000 + len(name), status=status, endpoint=None,
            started_at=now - timedelta(hours=5), now=now - timedelta(seconds=age), figures=None,
        )  # fmt: skip


def write_files(root: Path, frame: str, products: list[NewProduct]) -> None:
    """Write a small frame with two CCDs, its maps, and pictures like a focal plane."""
    chance = np.random.default_rng(2003)
    primary = fits.PrimaryHDU()
    for keyword, value, comment in (
        ("INSTRUME", "MegaPrime", "Instrument Name"),
        ("RUNID", "08AC14", "Queue run ID"),
        ("FILTER", "r.MP9601", "Name of filter in position"),
        ("EXPTIME", 360.0, "Integration time (seconds)"),
        ("IMRED_FF", "08Am03.flat.r.36.02", "<b>not a tag</b>"),
    ):
        primary.header[keyword] = (value, comment)
    images = [fits.ImageHDU(chance.normal(800, 9, (24, 16)).astype(np.float32), name=f"ccd{i:02d}") for i in range(2)]
    (root / frame).parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([primary, *images]).writeto(root / frame, overwrite=True)
    for product in products:
        path = root / product.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if product.path.endswith(".png"):
            path.write_bytes(_picture(chance))
        else:
            kind = np.float32 if product.kind == "weight" else np.int16
            maps = [fits.ImageHDU(np.ones((24, 16), kind), name=image.name) for image in images]
            fits.HDUList([fits.PrimaryHDU(), *maps]).writeto(path, overwrite=True)


def _picture(chance: np.random.Generator) -> bytes:
    canvas = np.full((400, 414), 18, np.uint8)
    for row in range(4):
        for column in range(9):
            tile = chance.normal(105 + 12 * np.hypot(row - 1.5, column - 4), 16, (92, 42))
            canvas[4 + 98 * row : 96 + 98 * row, 3 + 45 * column + row % 2 : 45 + 45 * column + row % 2] = np.clip(
                tile, 20, 255
            )
    stream = io.BytesIO()
    Image.fromarray(canvas, "L").save(stream, "PNG")
    return stream.getvalue()
