"""Calibrations: each node gets the flats and masks that its frames name; the reception keeps its own."""

import asyncio
import threading
from pathlib import Path

from datatransfer.depots import Depot, Depots, Freight
from datatransfer.errors import MoveError
from datatransfer.nodes import Roster
from datatransfer.repair import Repair
from dbclient.database import Database
from dbclient.schema import FrameState, Level
from dbclient.stores import Events, Frames, Inventory, Nodes, Replicas
from dbclient.stores.inventory import Calibration
from terapix.clock import Clock
from terapix.identity import safe_name
from terapix.journal import logger
from terapix.retry import Backoff

log = logger("datatransfer.calibrations")

AGAIN = Backoff(first=5.0, factor=3.0, ceiling=600.0, attempts=1_000_000)
"""A calibration that could not be copied is tried again for as long as frames need it."""


class Calibrations:
    """Copies calibrations to the nodes that need them."""

    def __init__(self, database: Database, clock: Clock, roster: Roster, depots: Depots, *, source: str) -> None:
        self._database = database
        self._clock = clock
        self._roster = roster
        self._depots = depots
        self._repair = Repair(database, clock, depots, source=source)
        self._source = source
        self._troubles: dict[tuple[str, int], tuple[int, float]] = {}
        """By calibration and node: failures in a row, and until when (monotonic) not to try."""
        self._stop = threading.Event()
        self._round: asyncio.Task[None] | None = None

    def pass_(self) -> None:
        """See that what is lacking is copied; one round at a time, beside the other work."""
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._guarded(), name="calibrations")

    async def settled(self) -> None:
        """Wait for the round that is under way."""
        if self._round is not None:
            await self._round

    async def _guarded(self) -> None:
        try:
            await self.copy_lacking()
        except Exception:
            log.exception("copying calibrations broke off; the next pass takes it up")

    async def copy_lacking(self) -> int:
        """Copy what is lacking and here; return how many were copied."""
        async with self._database.read() as session:
            lacking = [c for c in await Inventory().calibrations(session) if not c.held]
            names = {node.id: node.name for node in await Nodes().all(session)} if lacking else {}
        copied = 0
        for calibration in lacking:
            node = names.get(calibration.node_id, "")
            depot = self._roster.depot(node)
            ready = calibration.state is FrameState.VALID and calibration.path and calibration.digest
            if depot and ready and self._may_try(calibration) and not self._stop.is_set():
                copied += await self._copy(calibration, node, depot)
        return copied

    async def close(self) -> None:
        """Stop copying within a block."""
        self._stop.set()
        await self.settled()

    def _may_try(self, calibration: Calibration) -> bool:
        _, until = self._troubles.get((calibration.name, calibration.node_id), (0, 0.0))
        return until <= self._clock.monotonic()

    async def _copy(self, calibration: Calibration, node: str, depot: Depot) -> bool:
        source = self._depots.of_reception(calibration.disk)
        origin = str(calibration.path)
        path = f"calibrations/{safe_name(Path(origin).name)}"
        try:
            if not await self._is_good(calibration, source, origin):
                return False
            size = calibration.size or (await asyncio.to_thread((source.directory / origin).stat)).st_size
            freight = Freight(source, origin, depot, path, str(calibration.digest), size)
            carried = await self._depots.carry(freight, progress=lambda _: None, stop=self._stop, steps=False)
        except (MoveError, OSError) as problem:
            await self._trouble(calibration, node, str(problem))
            return False
        self._troubles.pop((calibration.name, calibration.node_id), None)
        now = self._clock.now()
        async with self._database.write() as session:
            await Replicas().hold(
                session,
                frame_id=calibration.frame_id or 0,
                node_id=calibration.node_id,
                path=path,
                size=carried.size,
                digest=freight.digest,
                now=now,
            )
            await Events().append(
                session,
                source=self._source,
                kind="calibration",
                message=f"{calibration.name} is on {node}: {carried.how}.",
                frame_id=calibration.frame_id,
                node_id=calibration.node_id,
                now=now,
            )
        log.info("calibration placed", calibration=calibration.name, node=node, how=carried.how)
        return True

    async def _is_good(self, calibration: Calibration, source: Depot, origin: str) -> bool:
        """Read the file at reception before every node is given it; a damaged one is set aside and fetched again."""
        reading = await self._depots.read(source, origin, rate=0.0, stop=self._stop)
        if reading.digest == calibration.digest or calibration.frame_id is None or reading.size is None:
            return True
        async with self._database.read() as session:
            frame = await Frames().get(session, calibration.frame_id)
        await self._repair.clear_reception(frame, source, origin, reading)
        return False

    async def _trouble(self, calibration: Calibration, node: str, problem: str) -> None:
        """Remember a failure; the first of a row is told in the history."""
        key = (calibration.name, calibration.node_id)
        failures = self._troubles.get(key, (0, 0.0))[0] + 1
        self._troubles[key] = (failures, self._clock.monotonic() + AGAIN.delay(failures))
        log.warning("calibration could not be copied", calibration=calibration.name, node=node, problem=problem)
        if failures > 1:
            return
        async with self._database.write() as session:
            await Events().append(
                session,
                source=self._source,
                kind="calibration",
                level=Level.WARNING,
                message=f"{calibration.name} could not be copied to {node}: {problem}",
                frame_id=calibration.frame_id,
                node_id=calibration.node_id,
                now=self._clock.now(),
            )
