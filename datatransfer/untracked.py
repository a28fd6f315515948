"""Untracked files: what lies on a node and no row says so. It is adopted or set aside, never deleted."""

import threading
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from datatransfer.agent.leftovers import ASIDE
from datatransfer.agent.reading import Reading
from datatransfer.depots import Depot, Depots
from datatransfer.discrepancies import CASES
from datatransfer.losses import Losses
from dbclient.database import Database
from dbclient.records import FrameRecord, NodeRecord
from dbclient.schema import Discrepancy, FrameKind, FrameState, Level, ReplicaState
from dbclient.stores import Accounting, Events, Fate, Frames, Holding, Holdings, NewFinding, Replicas, Sort
from terapix.clock import Clock
from terapix.identity import FrameId, UnsafeName
from terapix.journal import logger

log = logger("datatransfer.untracked")

PRODUCTS: Final = "products/"
"""Room of what stages made."""
KIND: Final = "audit"
"""Of the events."""


@dataclass(frozen=True, slots=True)
class Nature:
    """What an untracked file is."""

    kind: Discrepancy
    frame: FrameRecord | None
    product: Holding | None
    said: str
    """In words, as ``reads as 979412p``."""


class Untracked:
    """Finds out what files are that no row accounts for, and adopts them or sets them aside."""

    def __init__(self, database: Database, clock: Clock, depots: Depots, *, source: str) -> None:
        self._database = database
        self._clock = clock
        self._depots = depots
        self._source = source
        self._losses = Losses(clock, source=source)

    async def of_node(
        self, node: NodeRecord, listed: Mapping[str, int], *, repair: bool, stop: threading.Event
    ) -> AsyncIterator[NewFinding]:
        """Judge the files of a node that the database does not place there.

        Parameters
        ----------
        listed : their paths, with bytes

        Raises
        ------
        NodeUnreachable
        """
        depot = self._depots.of_node(node)
        async with self._database.read() as session:
            superseded = await Accounting().superseded_paths(session, node.id)
        for path, size in listed.items():
            if path in superseded or ASIDE.search(path) or await self._accounted(node, path):
                continue
            reading = await self._depots.read(depot, path, rate=0.0, stop=stop)
            if reading.size is None or await self._accounted(node, path):
                continue  # it was removed, or recorded, while we looked
            nature = await self._nature(node, path, reading)
            if nature is None:
                continue
            evidence = {"bytes": size, "digest": reading.digest, "nature": nature.said}
            action, done = CASES[nature.kind].action, False
            if repair:
                action, done = await self._act(node, depot, path, reading, nature)
            yield NewFinding(
                kind=nature.kind,
                node_id=node.id,
                frame_id=nature.frame.id if nature.frame else None,
                path=path,
                evidence=evidence,
                action=action,
                done=done,
            )

    async def _accounted(self, node: NodeRecord, path: str) -> bool:
        """Tell whether a row says by now that the file is held there, or its frame is on its way or being worked on."""
        async with self._database.read() as session:
            if any(state == "held" for _, state in await Accounting().at(session, node.id, path)):
                return True
            for frame in await self._namesakes(path):
                if await Accounting().in_hand(session, frame.id):
                    return True
        return False

    async def _namesakes(self, path: str) -> list[FrameRecord]:
        """Give all generations of the frame or calibration after which a file is named."""
        async with self._database.read() as session:
            return await Frames().of_names(session, names_of(path))

    async def _nature(self, node: NodeRecord, path: str, reading: Reading) -> Nature | None:
        """Find out what a file is; None if it will have a row without us."""
        if path.startswith(PRODUCTS):
            return await self._product(node, path, reading)
        async with self._database.read() as session:
            found = await Accounting().with_digest(session, names_of(path), reading.digest or "")
            frame = found[0] if found else None
            if frame is None:
                return Nature(Discrepancy.STRANGE_FILE, None, None, "nothing of ours has its name and digest")
            held = [r for r in await Replicas().of_frame(session, frame.id) if r.state is ReplicaState.HELD]
        if frame.state is FrameState.SUPERSEDED or any(replica.node_id == node.id for replica in held):
            said = "a second file of" if held else "superseded:"
            return Nature(Discrepancy.OTHER_GENERATION, frame, None, f"{said} {_named(frame)}")
        if frame.kind is FrameKind.OBJECT and frame.state in {FrameState.FETCHED, FrameState.VALID}:
            return None  # it lies at reception and is placed; what is found at its place then serves
        return Nature(Discrepancy.KNOWN_FILE, frame, None, f"reads as {_named(frame)}")

    async def _product(self, node: NodeRecord, path: str, reading: Reading) -> Nature:
        async with self._database.read() as session:
            rows = [one for one in await Accounting().at(session, node.id, path) if one[0].sort is Sort.PRODUCT]
            row, state = next((one for one in rows if reading.agrees(one[0].digest, one[0].size)), (None, ""))
            frame = await Frames().get(session, row.frame_id) if row else None
        if row is None or frame is None:
            return Nature(Discrepancy.STRANGE_FILE, None, None, "no product of ours lay there with this digest")
        if frame.state is FrameState.SUPERSEDED or state == Fate.RETIRED:
            word = "superseded" if frame.state is FrameState.SUPERSEDED else "retired"
            return Nature(Discrepancy.OTHER_GENERATION, frame, row, f"a product of {_named(frame)}, {word}")
        return Nature(Discrepancy.KNOWN_FILE, frame, row, f"reads as a product of {_named(frame)}")

    async def _act(
        self, node: NodeRecord, depot: Depot, path: str, reading: Reading, nature: Nature
    ) -> tuple[str, bool]:
        """Adopt a file that is known, set any other aside; say what was done, and whether it was."""
        if nature.kind is Discrepancy.KNOWN_FILE and nature.frame is not None:
            return await self._adopt(node, path, reading, nature.frame, nature.product)
        why = {"reason": f"the audit found it: {nature.said}", "digest": reading.digest or ""}
        aside = await self._depots.set_aside(depot, path, why | {"set_aside_at": self._clock.now().isoformat()})
        if aside is None:
            return "it was gone when it was to be set aside", False
        async with self._database.write() as session:
            await Events().append(
                session,
                source=self._source,
                kind=KIND,
                level=Level.WARNING,
                message=f"{path} on {node.name} is set aside in {aside}: {nature.said}",
                frame_id=nature.frame.id if nature.frame else None,
                node_id=node.id,
                data={"path": path, "aside": aside, "digest": reading.digest},
                now=self._clock.now(),
            )
        return f"set aside in {aside}", True

    async def _adopt(
        self, node: NodeRecord, path: str, reading: Reading, frame: FrameRecord, product: Holding | None
    ) -> tuple[str, bool]:
        now = self._clock.now()
        async with self._database.write() as session:
            if product is not None:
                if not await Holdings().find_again(session, product, now=now):
                    return "its row says that it is held by now", False
            else:
                await Replicas().hold(
                    session,
                    frame_id=frame.id,
                    node_id=node.id,
                    path=path,
                    size=reading.size or 0,
                    digest=str(reading.digest),
                    now=now,
                )
            fresh = await Frames().get(session, frame.id)
            placed = product is None and await self._losses.find(session, node, fresh, str(reading.digest))
            await self._losses.tell(session, node, fresh, f"{path} on {node.name} is adopted by the audit", kind=KIND)
        return "adopted; it need not be fetched" if placed else "adopted", True


def names_of(path: str) -> list[str]:
    """Give the names of frames after which a file may be named: itself, without its generation, without its kind."""
    try:
        name = FrameId.of_file(path.rpartition("/")[2]).name
    except UnsafeName:
        return []
    stem, _, generation = name.rpartition(".g")
    names = [name] + ([stem] if stem and generation.isdigit() else [])
    if path.startswith(PRODUCTS) and "_" in name:
        names.append(name.partition("_")[0])
    return names


def _named(frame: FrameRecord) -> str:
    return frame.name if frame.generation == 1 else f"{frame.name} generation {frame.generation}"
