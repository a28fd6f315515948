"""Taking back: each file of a node that was missing is read whole before it counts as held again."""

import threading

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.agent.reading import Reading
from datatransfer.depots import Depots
from datatransfer.disks import Ill
from datatransfer.errors import MoveError, NodeUnreachable
from datatransfer.losses import Losses
from dbclient.database import Database
from dbclient.records import FrameRecord, NodeRecord
from dbclient.schema import FrameState, Level, TransferKind
from dbclient.stores import Fate, Frames, Holding, Holdings, Sort, Transfers
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
        self._source = source
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
            if holding.sort is Sort.REPLICA and await self._is_awaited(session, frame, holding):
                await self._place(session, node, frame)
        return True

    async def _place(self, session: AsyncSession, node: NodeRecord, frame: FrameRecord) -> None:
        """Take a frame over the steps that it went before: its bytes are those that were verified then."""
        for state, message in (
            (FrameState.FETCHED, f"need not be fetched: {node.name} is back with its file"),
            (FrameState.VALID, "reads as it was when it was verified"),
            (FrameState.PLACED, f"is on {node.name}, as before"),
        ):
            await Frames().advance(
                session, frame.id, state, now=self._clock.now(), source=self._source, message=message
            )

    @staticmethod
    async def _is_awaited(session: AsyncSession, frame: FrameRecord, holding: Holding) -> bool:
        """Tell whether a frame waits to be fetched and nobody has begun to."""
        if frame.state is not FrameState.SPOTTED or frame.wire_digest != holding.digest:
            return False
        return not any(t.kind is TransferKind.FETCH for t in await Transfers().open_of_frame(session, frame.id))

    async def _lose(self, node: NodeRecord, holding: Holding, reading: Reading) -> None:
        fate = Fate.GONE if reading.size is None else Fate.DAMAGED
        said = f"{reading.sentence} on {node.name}, which was missing; {holding.digest} was expected"
        async with self._database.write() as session:
            await self._losses.write_down(
                session, node, holding, fate, said=said, kind=KIND, level=Level.WARNING, was=Fate.AWAY
            )
