"""Homecoming: a node that was away is compared with the database before it is used again.

Every file that it should hold must be there with its size; the youngest are read
again, since a host that lost its power may have lost what its disk had not yet
written. What is not there, or is another file, is no replica any more; a frame
that lies nowhere else is fetched again from the archive.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.depots import Depots
from dbclient.database import Database
from dbclient.records import FrameRecord, NodeRecord, ProductRecord, ReplicaRecord
from dbclient.schema import FrameState, Level, ReplicaState
from dbclient.stores import Events, Frames, Products, Replicas
from terapix.clock import Clock
from terapix.journal import logger

log = logger("datatransfer.homecoming")

YOUNG: Final = timedelta(hours=1)
"""What was verified so shortly before the node was last seen is read again."""
AT_ONCE: Final = 5000
"""Files of one question to an agent."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A file that a node should hold."""

    path: str
    size: int
    digest: str
    replica: ReplicaRecord | None
    """None: a product."""
    frame_id: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found."""

    files: int
    missing: tuple[Expected, ...]
    differing: tuple[Expected, ...]

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
        self._clock = clock
        self._depots = depots
        self._source = source

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
            expected = _expected(await Replicas().on_node(session, node.id), await Products().on_node(session, node.id))
        paths = [item.path for item in expected]
        found: dict[str, int | None] = {}
        for begin in range(0, len(paths), AT_ONCE):
            found |= await self._depots.sizes(depot, paths[begin : begin + AT_ONCE])
        missing = tuple(item for item in expected if found[item.path] is None)
        differing = [item for item in expected if found[item.path] not in {None, item.size}]
        young = [
            item
            for item in expected
            if found[item.path] == item.size and item.replica and _is_young(item.replica.verified_at, node.seen_at)
        ]
        if young:
            digests = await self._depots.digests(depot, [item.path for item in young])
            differing += [item for item in young if digests.get(item.path) != item.digest]
        return Verdict(len(expected), missing, tuple(differing))

    async def _write_down(self, node: NodeRecord, verdict: Verdict) -> None:
        log.warning("node came back with other files than it had", node=node.name, verdict=verdict.sentence)
        lost: Mapping[str, tuple[ReplicaState, tuple[Expected, ...]]] = {
            "is gone from": (ReplicaState.GONE, verdict.missing),
            "is damaged on": (ReplicaState.DAMAGED, verdict.differing),
        }
        for word, (state, items) in lost.items():
            for item in items:
                async with self._database.write() as session:
                    await self._lose(session, node, item, state, word)

    async def _lose(
        self, session: AsyncSession, node: NodeRecord, item: Expected, state: ReplicaState, word: str
    ) -> None:
        now = self._clock.now()
        frame = await Frames().get(session, item.frame_id)
        await Events().append(
            session,
            source=self._source,
            kind="audit",
            level=Level.ERROR,
            message=f"{item.path} {word} {node.name}, which was away",
            frame_id=frame.id,
            node_id=node.id,
            now=now,
        )
        if item.replica is None:
            return
        await Replicas().mark(session, item.replica.id, state)
        others = [r for r in await Replicas().of_frame(session, frame.id) if r.state is ReplicaState.HELD]
        if not others and frame.state is FrameState.PLACED:
            await self._fetch_again(session, frame, f"its file {word} {node.name}", now)

    async def _fetch_again(self, session: AsyncSession, frame: FrameRecord, why: str, now: datetime) -> None:
        await Frames().advance(
            session,
            frame.id,
            FrameState.SPOTTED,
            now=now,
            source=self._source,
            message=f"is fetched again: {why}",
            event="lost",
            path=None,
            disk=None,
        )


def _expected(replicas: list[ReplicaRecord], products: list[ProductRecord]) -> list[Expected]:
    held = [Expected(item.path, item.size, item.digest, item, item.frame_id) for item in replicas]
    return held + [Expected(item.path, item.size, item.digest, None, item.frame_id) for item in products]


def _is_young(verified_at: datetime, seen_at: datetime | None) -> bool:
    return seen_at is None or verified_at > seen_at - YOUNG
