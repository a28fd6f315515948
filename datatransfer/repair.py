"""Repair: a file that was set aside is brought again from a good one, which is read just before."""

import threading
from collections.abc import AsyncIterator
from typing import Final

from datatransfer.agent.reading import Reading
from datatransfer.depots import Depot, Depots, Freight
from datatransfer.errors import MoveError
from datatransfer.losses import Losses
from dbclient.database import Database
from dbclient.records import FrameRecord, NodeRecord
from dbclient.schema import FrameState
from dbclient.stores import Frames, Holding, Holdings, Inventory, Nodes, Sort
from terapix.clock import Clock
from terapix.journal import logger
from terapix.steps import reached

log = logger("datatransfer.repair")

KIND: Final = "scrub"
"""Of the events."""


class Repair:
    """Brings files again that were lost; removes nothing."""

    def __init__(self, database: Database, clock: Clock, depots: Depots, *, source: str) -> None:
        self._database = database
        self._clock = clock
        self._depots = depots
        self._losses = Losses(clock, source=source)

    async def mend(self, node: NodeRecord, holding: Holding, *, stop: threading.Event) -> str | None:
        """Bring a file again under its name; say from where, or None if no good one can be had now.

        Raises
        ------
        Stopped
            When told to stop; what is lost stays written down.
        """
        async for depot, path, whence in self._origins(holding):
            try:
                reading = await self._depots.read(depot, path, rate=0.0, stop=stop)
                if not reading.agrees(holding.digest, holding.size):
                    await self._is_bad_too(holding, depot, path, reading)
                    continue
                if await self._wanted_elsewhere(holding):
                    return None
                target = self._depots.of_node(node)
                freight = Freight(depot, path, target, holding.path, holding.digest, holding.size)
                await self._depots.carry(freight, progress=lambda _: None, stop=stop, steps=False)
            except MoveError as problem:
                if stop.is_set():
                    raise
                log.warning("no good file could be brought", path=holding.path, whence=whence, why=str(problem))
                continue
            reached("scrub.brought")
            return await self._found_again(node, holding, f"{holding.path} on {node.name} was repaired from {whence}")
        return None

    async def _origins(self, holding: Holding) -> AsyncIterator[tuple[Depot, str, str]]:
        """Give places where the same bytes should lie: the reception, other nodes, what was laid out."""
        async with self._database.read() as session:
            frame = await Frames().get(session, holding.frame_id)
            nodes = {node.name: node for node in await Nodes().all(session)}
            product = holding.sort is Sort.PRODUCT
            others = [] if product else await Holdings().others(session, holding)
            laid_out = await Holdings().laid_out(session, holding) if product else []
        if not product and frame.path is not None and frame.wire_digest == holding.digest:
            yield self._depots.of_reception(frame.disk), frame.path, "the reception disk"
        for name, other in others:
            if nodes[name].state.answers:
                yield self._depots.of_node(nodes[name]), other.path, name
        for disk, path in laid_out:
            yield self._depots.of_reception(disk), path, "what was laid out for the archive"

    async def _is_bad_too(self, holding: Holding, depot: Depot, path: str, reading: Reading) -> None:
        """Act on a file that should have helped and is damaged: a node's own turn comes, the reception has none."""
        if depot.root.startswith("reception/") and holding.sort is Sort.REPLICA:
            async with self._database.read() as session:
                frame = await Frames().get(session, holding.frame_id)
            await self.clear_reception(frame, depot, path, reading)

    async def clear_reception(self, frame: FrameRecord, depot: Depot, path: str, reading: Reading) -> None:
        """Set a file at reception aside that is not what was verified, and have it fetched again.

        On one disk it may be the same file as a node's under a second name; left
        there, the next node that needs it would be given the damage.

        Raises
        ------
        NodeUnreachable
        """
        if reading.size is not None:
            why = {
                "reason": f"it {reading.sentence}",
                "expected": frame.wire_digest or "",
                "found": reading.digest or "",
            }
            await self._depots.set_aside(depot, path, why | {"set_aside_at": self._clock.now().isoformat()})
        async with self._database.write() as session:
            fresh = await Frames().get(session, frame.id)
            if fresh.state is FrameState.VALID and fresh.path == path:
                await self._losses.fetch(session, fresh, f"its file at reception {reading.sentence}")

    async def _wanted_elsewhere(self, holding: Holding) -> bool:
        """Tell whether the frame is on its way to some node: that move brings it, and two must not write one file."""
        async with self._database.read() as session:
            return holding.sort is Sort.REPLICA and holding.frame_id in await Inventory().open_moves(session)

    async def _found_again(self, node: NodeRecord, holding: Holding, said: str) -> str:
        async with self._database.write() as session:
            if not await Holdings().find_again(session, holding, now=self._clock.now()):
                return said
            frame = await Frames().get(session, holding.frame_id)
            if frame.state is FrameState.SPOTTED and holding.sort is Sort.REPLICA:
                said += "; it is fetched all the same"
            await self._losses.tell(session, node, frame, said, kind=KIND)
        log.info("file repaired", node=node.name, path=holding.path)
        return said
