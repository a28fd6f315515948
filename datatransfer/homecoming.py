"""Homecoming: a node that was away is compared with the database before it is used again.

Every file that it should hold must be there with its size; the youngest are read
again, since a host that lost its power may have lost what its disk had not yet
written. What is not there, or is another file, is held no more; a frame that lies
nowhere else is fetched again, and a product is made again. Files of a node that
was missing are not held at all until each was read (`datatransfer.upkeep`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from datatransfer.depots import Depots
from datatransfer.losses import Losses
from dbclient.database import Database
from dbclient.records import NodeRecord
from dbclient.stores import Fate, Holding, Holdings
from terapix.clock import Clock
from terapix.journal import logger

log = logger("datatransfer.homecoming")

YOUNG: Final = timedelta(hours=1)
"""What was verified so shortly before the node was last seen is read again."""
KIND: Final = "audit"
"""Of the events."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found."""

    files: int
    missing: tuple[Holding, ...]
    differing: tuple[Holding, ...]

    @property
    def sentence(self) -> str:
        """As ``1203 files are as they were; 2 are missing, 1 differs``."""
        said = f"{self.files - len(self.missing) - len(self.differing)} of {self.files} files are as they were"
        wrong = [
            f"{len(found)} {word}" for found, word in ((self.missing, "missing"), (self.differing, "damaged")) if found
        ]
        return f"{said}; {', '.join(wrong)}" if wrong else said


class Homecoming:
    """Compares a node's files with the database."""

    def __init__(self, database: Database, clock: Clock, depots: Depots, *, source: str) -> None:
        self._database = database
        self._depots = depots
        self._losses = Losses(clock, source=source)

    async def receive(self, node: NodeRecord) -> Verdict:
        """Compare, write down what is wrong, and give the verdict.

        Raises
        ------
        NodeUnreachable
            When it went away again in between.
        """
        verdict = await self.compare(node)
        if verdict.missing or verdict.differing:
            await self._write_down(node, verdict)
        return verdict

    async def compare(self, node: NodeRecord) -> Verdict:
        """Compare a node's files with the database, and change nothing.

        Raises
        ------
        NodeUnreachable
        """
        depot = self._depots.of_node(node)
        async with self._database.read() as session:
            expected = await Holdings().of_node(session, node.id)
        found = await self._depots.sizes(depot, [holding.path for holding in expected])
        missing = tuple(holding for holding in expected if found[holding.path] is None)
        differing = [holding for holding in expected if found[holding.path] not in {None, holding.size}]
        young = [
            holding
            for holding in expected
            if found[holding.path] == holding.size and _is_young(holding.verified_at, node.seen_at)
        ]
        if young:
            digests = await self._depots.digests(depot, [holding.path for holding in young])
            differing += [holding for holding in young if digests.get(holding.path) != holding.digest]
        return Verdict(len(expected), missing, tuple(differing))

    async def _write_down(self, node: NodeRecord, verdict: Verdict) -> None:
        log.warning("node came back with other files than it had", node=node.name, verdict=verdict.sentence)
        lost: Mapping[Fate, tuple[str, tuple[Holding, ...]]] = {
            Fate.GONE: ("is gone from", verdict.missing),
            Fate.DAMAGED: ("is damaged on", verdict.differing),
        }
        for fate, (word, holdings) in lost.items():
            for holding in holdings:
                said = f"{word} {node.name}, which was away"
                async with self._database.write() as session:
                    await self._losses.write_down(session, node, holding, fate, said=said, kind=KIND)


def _is_young(verified_at: datetime, seen_at: datetime | None) -> bool:
    return seen_at is None or verified_at > seen_at - YOUNG
