"""Taking back: each file of a node that was missing is read whole before it counts as held again."""

import threading

from datatransfer.agent.reading import Reading
from datatransfer.depots import Depots
from datatransfer.disks import Ill
from datatransfer.errors import MoveError, NodeUnreachable
from datatransfer.losses import Losses
from dbclient.database import Database
from dbclient.records import NodeRecord
from dbclient.schema import Level
from dbclient.stores import Fate, Frames, Holding, Holdings, Sort
from terapix.clock import Clock
from terapix.journal import logger

log = logger("datatransfer.taking-back")

KIND = "back"
"""Of the events."""


class TakingBack:
    """Takes files back that were put away with their node."""

    def __init__(self, database: Database, clock: Clock, depots: Depots, *, source: str) -> None:
        self._database = database
        self._clock = clock
        self._depots = depots
        self._losses = Losses(clock, source=source)

    async def waiting(self, node: NodeRecord) -> list[Holding]:
        """Give files that wait to be read, products first."""
        async with self._database.read() as session:
            return await Holdings().away(session, node.id)

    async def read(self, node: NodeRecord, holding: Holding, *, rate: float, stop: threading.Event) -> bool:
        """Read a file; tell whether it is held again.

        Raises
        ------
        NodeUnreachable
        Stopped
        """
        depot = self._depots.of_node(node)
        reading = await self._depots.read(depot, holding.path, rate=rate, stop=stop)
        if reading.agrees(holding.digest, holding.size):
            return await self._hold(node, holding)
        if isinstance(disk := await self._depots.disk(depot), Ill):
            raise NodeUnreachable(depot.directory, disk.reason)
        await self._lose(node, holding, reading)
        if reading.size is not None:
            why = {"reason": f"it {reading.sentence}", "expected": holding.digest, "found": reading.digest or ""}
            try:
                await self._depots.set_aside(depot, holding.path, why)
            except MoveError as problem:
                log.warning("a damaged file could not be set aside", path=holding.path, why=str(problem))
        return False

    async def _hold(self, node: NodeRecord, holding: Holding) -> bool:
        """Say that a file is held; a frame that was asked for and has not come yet is where it was."""
        async with self._database.write() as session:
            if not await Holdings().find_again(session, holding, now=self._clock.now()):
                return False
            frame = await Frames().get(session, holding.frame_id)
            if holding.sort is Sort.REPLICA:
                await self._losses.find(session, node, frame, holding.digest)
        return True

    async def _lose(self, node: NodeRecord, holding: Holding, reading: Reading) -> None:
        fate = Fate.GONE if reading.size is None else Fate.DAMAGED
        said = f"{reading.sentence} on {node.name}, which was missing; {holding.digest} was expected"
        async with self._database.write() as session:
            await self._losses.write_down(
                session, node, holding, fate, said=said, kind=KIND, level=Level.WARNING, was=Fate.AWAY
            )
