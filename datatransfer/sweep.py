"""The sweep: what a process that died has left behind is cleared up, where nothing but that can have left it."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.custody import is_part_of
from datatransfer.depots import Depot, Depots
from datatransfer.errors import MoveError
from datatransfer.leases import judge
from datatransfer.mover import PART
from datatransfer.nodes import Roster, Standing
from dbclient.database import Database
from dbclient.records import FrameRecord, ReplicaRecord
from dbclient.schema import FrameKind, FrameState, ProductState, ReplicaState
from dbclient.stages import SOURCES
from dbclient.stores import Frames, Inventory, Leases, Nodes, Products, Replicas, Transfers
from terapix.clock import Clock
from terapix.identity import FrameId, UnsafeName
from terapix.journal import logger
from terapix.sections import Settings

log = logger("datatransfer.sweep")

VALID_ROOM = Path("from_CADC") / "headervalid"
"""Where frames lie at reception until they are moved."""
MOVED = frozenset({FrameState.PLACED, FrameState.WEIGHTED})


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep cleared up."""

    parts: int = 0
    """Half copied files on nodes, removed."""
    sources: int = 0
    """Files at reception, or on the node a frame has left, whose frame is safe elsewhere: removed."""
    leases: int = 0
    """Leases without a purpose, ended."""

    @property
    def total(self) -> int:
        return self.parts + self.sources + self.leases


class Sweep:
    """Clears up after movers that died."""

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, roster: Roster, depots: Depots, *, source: str
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._roster = roster
        self._depots = depots
        self._source = source

    async def pass_(self, *, moving: Collection[str]) -> Swept:
        """Clear up; `moving` are the names of files that are being moved by this process now."""
        swept_up = Swept(
            parts=await self._sweep_parts(moving),
            sources=await self._sweep_sources(moving) + await self._sweep_left(moving),
            leases=await self._end_leases(),
        )
        if swept_up.total:
            log.info(
                "cleared up what was left behind",
                parts=swept_up.parts,
                sources=swept_up.sources,
                leases=swept_up.leases,
            )
        return swept_up

    async def _sweep_parts(self, moving: Collection[str]) -> int:
        async with self._database.read() as session:
            stopped = {transfer.frame for transfer in await Transfers().stopped(session)}
        swept = 0
        for standing in self._roster.standings.values():
            if standing.depot.address:
                continue  # parts there serve the next try; its agent clears up what nobody goes on with
            root = standing.depot.directory
            found = await asyncio.to_thread(_parts, root)
            for path in found:
                goes_on = any(is_part_of(path, frame) for frame in stopped)
                if not goes_on and path.name.removesuffix(PART) not in moving:
                    await asyncio.to_thread(path.unlink, missing_ok=True)
                    swept += 1
        return swept

    async def _sweep_sources(self, moving: Collection[str]) -> int:
        """Remove files at reception whose frame is on its node: their mover died between the record and this."""
        rooms = [disk.directory / VALID_ROOM for disk in self._settings.reception_disks.values()]
        swept = 0
        for path in [path for room in rooms for path in await asyncio.to_thread(_files, room)]:
            if path.name in moving:
                continue
            frame = await self._frame_of(path)
            if frame is None or frame.state not in MOVED or frame.path is not None:
                continue
            if await self._safe(frame, None):
                await asyncio.to_thread(path.unlink, missing_ok=True)
                swept += 1
        return swept

    async def _sweep_left(self, moving: Collection[str]) -> int:
        """Remove files of replicas that were moved on to another node."""
        swept = 0
        for standing in self._roster.standings.values():
            async with self._database.read() as session:
                gone = await Inventory().left_behind(session, standing.node.id)
            try:
                swept += await self._sweep_node(standing, gone, moving)
            except MoveError as problem:
                log.warning("what was moved on could not be cleared up", node=standing.node.name, problem=str(problem))
        return swept

    async def _sweep_node(self, standing: Standing, gone: Sequence[ReplicaRecord], moving: Collection[str]) -> int:
        swept = 0
        paths = [replica.path for replica in gone if Path(replica.path).name not in moving]
        there = await self._depots.sizes(standing.depot, paths) if paths else {}
        for replica in gone:
            size = there.get(replica.path)
            if size != replica.size:
                continue
            async with self._database.read() as session:
                frame = await Frames().get(session, replica.frame_id)
            if await self._safe(frame, (standing.depot, replica.path)):
                await self._sweep_products(standing, frame)
                await self._depots.remove(standing.depot, replica.path, size=size)
                swept += 1
        return swept

    async def _sweep_products(self, standing: Standing, frame: FrameRecord) -> None:
        """Remove products that followed their frame to another node: their mover died between the record and this."""
        async with self._database.read() as session:
            nodes = {node.id: self._roster.depot(node.name) for node in await Nodes().all(session)}
            held = [p for p in await Products().of_frame(session, frame.id) if p.state is ProductState.HELD]
        for product in held:
            depot = nodes.get(product.node_id)
            if depot is None or depot == standing.depot:
                continue
            places = [(await self._depots.sizes(d, [product.path])).get(product.path) for d in (depot, standing.depot)]
            if places == [product.size, product.size]:
                await self._depots.remove(standing.depot, product.path, size=product.size)

    async def _frame_of(self, path: Path) -> FrameRecord | None:
        """Find the generation of a frame that a file at reception is, by its name."""
        try:
            name = FrameId.of_file(path.name).name
        except UnsafeName:
            return None
        stem, _, generation = name.rpartition(".g")
        async with self._database.read() as session:
            if stem and generation.isdigit():
                rows = await Frames().generations(session, stem)
                return next((row for row in rows if row.generation == int(generation)), None)
            rows = await Frames().generations(session, name)
            return next((row for row in rows if row.generation == 1), rows[0] if len(rows) == 1 else None)

    async def _safe(self, frame: FrameRecord, besides: tuple[Depot, str] | None) -> bool:
        """Tell whether a whole file of the frame, another than this one, stands on a node that answers.

        A calibration is safe at reception, too, where it stays.
        """
        if besides is not None and frame.kind is not FrameKind.OBJECT and frame.path is not None:
            reception = self._depots.of_reception(frame.disk)
            return (await self._depots.sizes(reception, [frame.path])).get(frame.path) == frame.size
        async with self._database.read() as session:
            replicas = [r for r in await Replicas().of_frame(session, frame.id) if r.state is ReplicaState.HELD]
            depots = {node.id: self._roster.depot(node.name) for node in await Nodes().all(session)}
        for replica in replicas:
            depot = depots.get(replica.node_id)
            if depot is None or (depot, replica.path) == besides:
                continue
            try:
                found = await self._depots.sizes(depot, [replica.path])
            except MoveError:
                continue
            if found.get(replica.path) == replica.size:
                return True
        return False

    async def _end_leases(self) -> int:
        async with self._database.read() as session:
            lost = await self._lost(session)
        if not lost:
            return 0
        async with self._database.write() as session:
            for frame_id, reason in await self._lost(session):
                log.warning("lease without a purpose is ended", frame_id=frame_id, reason=reason)
                await Leases().release(session, frame_id, now=self._clock.now())
        return len(lost)

    async def _lost(self, session: AsyncSession) -> tuple[tuple[int, str], ...]:
        leases = await Leases().open(session)
        if not leases:
            return ()
        frames: dict[int, FrameRecord] = {}
        placed: dict[int, int] = {}
        for frame_id in {lease.frame_id for lease in leases}:
            frames[frame_id] = await Frames().get(session, frame_id)
            for replica in await Replicas().of_frame(session, frame_id):
                if replica.state is ReplicaState.HELD:
                    placed[frame_id] = replica.node_id
        followed = SOURCES in self._settings.processing.stages
        due = {number for number, frame in frames.items() if followed and frame.catalogued_at is None}
        return judge(leases, frames, await Inventory().open_moves(session), placed=placed, due=due)


def _parts(root: Path) -> list[Path]:
    return [path for room in ("frames", "calibrations") for path in (root / room).rglob(f"*{PART}") if path.is_file()]


def _files(room: Path) -> list[Path]:
    return (
        [path for path in sorted(room.iterdir()) if path.is_file() and not path.is_symlink()] if room.is_dir() else []
    )
