"""Custody: what has come of paused transfers is kept at their nodes, as long as they make sense."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from datatransfer.depots import Depots
from datatransfer.errands import Errands
from datatransfer.errors import MoveError
from datatransfer.mover import PART
from dbclient.database import Database
from dbclient.records import TransferRecord
from dbclient.schema import FrameState
from dbclient.stores import Frames
from dbclient.stores.cargoes import ON_NODES
from terapix.clock import Clock
from terapix.journal import logger

log = logger("datatransfer.custody")

EVERY: Final = 3600.0
"""Seconds after which an agent is told again that a part is wanted: it removes those that nobody touched for hours."""
MOVABLE: Final = frozenset({FrameState.VALID, *ON_NODES})
"""States in which a frame can be on its way to a node."""


class Custody:
    """Looks after paused transfers."""

    def __init__(self, database: Database, clock: Clock, depots: Depots, errands: Errands) -> None:
        self._database = database
        self._clock = clock
        self._depots = depots
        self._errands = errands
        self._told: dict[int, float] = {}
        """By transfer: when (monotonic) the agent of its node was told."""

    async def look(self, paused: Sequence[TransferRecord]) -> list[tuple[TransferRecord, str]]:
        """Have agents keep what has come; give the transfers that make no sense any more, and why."""
        if not paused:
            self._told.clear()
            return []
        lost = []
        for transfer in paused:
            async with self._database.read() as session:
                frame = await Frames().get(session, transfer.frame_id)
            if frame.state not in MOVABLE:
                lost.append((transfer, f"the frame is {frame.state.value}"))
            elif self._told.get(transfer.id, -EVERY) + EVERY <= self._clock.monotonic():
                self._told[transfer.id] = self._clock.monotonic()
                await self._keep(transfer)
        held = {transfer.id for transfer in paused}
        self._told = {number: at for number, at in self._told.items() if number in held}
        return lost

    async def _keep(self, transfer: TransferRecord) -> None:
        try:
            async with self._database.read() as session:
                frame = await Frames().get(session, transfer.frame_id)
                errand = await self._errands.of(session, transfer, frame)
            if not isinstance(errand, str) and errand.freight.target.address:
                paths = [freight.path for freight in errand.freights]
                await self._depots.keep_parts(errand.freight.target, paths)
        except MoveError as problem:
            log.warning("a paused move could not be looked after", frame=transfer.frame, problem=str(problem))


def is_part_of(path: Path, frame: str) -> bool:
    """Tell whether a part is of a frame's own file or of one of its products, by its name."""
    return path.name.endswith(PART) and path.name.startswith((f"{frame}.", f"{frame}_"))
