"""The scrub: every file that a node holds is read again from time to time and compared with its digest.

Frames, calibrations and products take their turns: what was compared longest ago
comes first, and each comparison is written down, so that a restart goes on where
it stopped. A file that reads otherwise twice is set aside on its node, never
removed, and brought again from a good one; where there is none, a frame is
fetched from the archive and a product is made again.
"""

import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from datatransfer.agent.reading import Reading
from datatransfer.depots import Depot, Depots
from datatransfer.disks import Ill
from datatransfer.errors import MoveError, NodeUnreachable
from datatransfer.losses import Loss, Losses
from datatransfer.repair import KIND, Repair
from dbclient.database import Database
from dbclient.records import NodeRecord
from dbclient.schema import Level
from dbclient.stores import Fate, Frames, Holding, Holdings, Inventory, Sort
from terapix.clock import Clock
from terapix.journal import logger
from terapix.steps import reached

log = logger("datatransfer.scrub")

AT_ONCE: Final = 100
"""Files that are looked up at once."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A file that is not what it was."""

    frame: str
    node: str
    path: str
    expected: str
    found: str | None
    """Digest as read; none if it is gone or cannot be read."""
    pixels: tuple[str, ...]
    """HDUs whose own checksums do not agree, in words."""
    aside: str | None
    """Where it lies now, below the node's root."""
    remedy: str
    """What was done about it, in words."""
    doubtful: tuple[str, ...] = ()
    """Frames whose products on this node were made since the file was last verified: they may have been made of it."""


class Scrub:
    """Reads files again, and has repaired what is damaged."""

    def __init__(self, database: Database, clock: Clock, depots: Depots, *, source: str) -> None:
        self._database = database
        self._clock = clock
        self._depots = depots
        self._losses = Losses(clock, source=source)
        self._repair = Repair(database, clock, depots, source=source)

    async def unread(self, node: NodeRecord, *, since: datetime, limit: int = 100) -> Sequence[Holding]:
        """Give the files of a node whose turn it is, longest ago first."""
        async with self._database.read() as session:
            return await Holdings().unread(session, node.id, since=since, limit=limit)

    async def whole(self, node: NodeRecord, *, since: datetime) -> AsyncIterator[tuple[Holding, Finding | None]]:
        """Read every file of a node that was not compared since a moment, once, at full speed.

        Raises
        ------
        NodeUnreachable
        """
        seen: set[tuple[Sort, int]] = set()  # what is on its way elsewhere stays unread, and is not asked for again
        while fresh := [
            holding
            for holding in await self.unread(node, since=since, limit=AT_ONCE + len(seen))
            if (holding.sort, holding.id) not in seen
        ]:
            for holding in fresh:
                seen.add((holding.sort, holding.id))
                yield holding, await self.read(node, holding)

    async def read(
        self, node: NodeRecord, holding: Holding, *, rate: float = 0.0, stop: threading.Event | None = None
    ) -> Finding | None:
        """Read a file again; None if it is as it was, or is being moved on.

        Parameters
        ----------
        rate : bytes a second at most; 0: as fast as the disk gives them
        stop : when set, reading and repairing end within a block

        Raises
        ------
        NodeUnreachable
            When its host or its disk does not answer: then nothing is said about the file.
        Stopped
        """
        stop = stop or threading.Event()
        depot = self._depots.of_node(node)
        first = await self._depots.read(depot, holding.path, rate=rate, stop=stop)
        if self._is_well(holding, first):
            await self._verify(node, holding, None)
            return None
        if isinstance(disk := await self._depots.disk(depot), Ill):
            raise NodeUnreachable(depot.directory, disk.reason)  # a disk that is not mounted has lost no file
        second = await self._depots.read(depot, holding.path, rate=rate, stop=stop)
        if self._is_well(holding, second):
            await self._verify(node, holding, first)
            return None
        return await self._act(node, depot, holding, second, stop)

    @staticmethod
    def _is_well(holding: Holding, reading: Reading) -> bool:
        """Tell whether a file is as it was; of a product also whether it was whole when its digest was taken."""
        whole = holding.sort is Sort.REPLICA or not reading.wrong
        return whole and reading.agrees(holding.digest, holding.size)

    async def _verify(self, node: NodeRecord, holding: Holding, first: Reading | None) -> None:
        """Write down that a file reads well now, and that it did not at first, if so."""
        async with self._database.write() as session:
            if not await Holdings().verify(session, holding, now=self._clock.now()) or first is None:
                return
            frame = await Frames().get(session, holding.frame_id)
            said = f"{holding.path} on {node.name} {first.sentence} at first, and then as it was: look at its disk"
            await self._losses.tell(session, node, frame, said, kind=KIND, level=Level.WARNING)

    async def _act(
        self, node: NodeRecord, depot: Depot, holding: Holding, reading: Reading, stop: threading.Event
    ) -> Finding | None:
        loss = await self._write_down(node, holding, reading)
        if loss is None:
            return None
        reached("scrub.recorded")
        log.warning("a file is not what it was", node=node.name, path=holding.path, found=reading.sentence)
        aside = await self._set_aside(depot, holding, reading)
        reached("scrub.set-aside")
        async with self._database.read() as session:
            doubtful = await Holdings().made_meanwhile(session, holding) if holding.sort is Sort.REPLICA else []
        if doubtful:
            await self._warn(node, loss, doubtful)
        remedy = None if loss.again else await self._repair.mend(node, holding, stop=stop)
        return Finding(
            frame=loss.frame.name,
            node=node.name,
            path=holding.path,
            expected=holding.digest,
            found=reading.digest,
            pixels=reading.wrong,
            aside=aside,
            remedy=remedy or loss.remedy,
            doubtful=tuple(doubtful),
        )

    async def _write_down(self, node: NodeRecord, holding: Holding, reading: Reading) -> Loss | None:
        """Say that the file is lost, unless its frame is on its way elsewhere: then it is read there."""
        fate = Fate.GONE if reading.size is None else Fate.DAMAGED
        async with self._database.write() as session:
            if holding.sort is Sort.REPLICA and holding.frame_id in await Inventory().open_moves(session):
                return None
            said = f"{reading.sentence} on {node.name}; {holding.digest} was expected"
            evidence = {"found": reading.digest, "found_bytes": reading.size, "pixels": list(reading.wrong)}
            return await self._losses.write_down(session, node, holding, fate, said=said, kind=KIND, data=evidence)

    async def _set_aside(self, depot: Depot, holding: Holding, reading: Reading) -> str | None:
        """Move the file out of the way, if it is there; what cannot be moved now is found by the audit."""
        if reading.size is None:
            return None
        why = {
            "reason": f"it {reading.sentence}",
            "expected": holding.digest,
            "found": reading.digest or "",
            "verified_at": holding.verified_at.isoformat(),
            "set_aside_at": self._clock.now().isoformat(),
        }
        try:
            return await self._depots.set_aside(depot, holding.path, why)
        except MoveError as problem:
            log.warning("a damaged file could not be set aside", root=depot.root, path=holding.path, why=str(problem))
            return None

    async def _warn(self, node: NodeRecord, loss: Loss, doubtful: Sequence[str]) -> None:
        named = ", ".join(doubtful[:5]) + (f" and {len(doubtful) - 5} more" if doubtful[5:] else "")
        said = f"its file on {node.name} may have been damaged already when the products of {named} were made of it"
        async with self._database.write() as session:
            data = {"frames": list(doubtful)}
            await self._losses.tell(session, node, loss.frame, said, kind=KIND, level=Level.WARNING, data=data)
