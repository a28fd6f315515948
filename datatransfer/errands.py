"""Errands: all that the mover must know of one transfer, put together from the database just before it begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from datatransfer.depots import Depot, Depots, Freight
from datatransfer.errors import DiskGone, SourceGone
from datatransfer.nodes import Roster
from dbclient.records import FrameRecord, NodeRecord, ProductRecord, ReplicaRecord, TransferRecord
from dbclient.schema import FrameState, JobState, ReplicaState, TransferKind
from dbclient.stores import Cargoes, Jobs, Nodes, Replicas
from dbclient.stores.cargoes import ON_NODES
from terapix.identity import safe_name

NO_RUN: Final = "no-run"
"""Directory of frames whose RUNID cannot be a directory's name."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One transfer, with all that the mover must know."""

    transfer: int
    frame: FrameRecord
    node_id: int
    node: str
    freight: Freight
    """The frame's own file."""
    replica: ReplicaRecord | None = None
    """What it comes from, on another node; none: from the reception."""
    origin: str | None = None
    """Name of that node."""
    copies: bool = False
    """Whether it stays where it is, too."""
    products: tuple[ProductRecord, ...] = ()
    """Products that go along."""
    kept: int = 0
    """Bytes of all files that lie at its node since it was stopped."""

    @property
    def name(self) -> str:
        """Name of the file."""
        return Path(self.freight.path).name

    @property
    def freights(self) -> tuple[Freight, ...]:
        """All files: products first, so that the frame's own file at its old place tells that there is more to do."""
        ends = self.freight.source, self.freight.target
        along = (Freight(ends[0], p.path, ends[1], p.path, p.digest, p.size) for p in self.products)
        return (*along, self.freight)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(freight.size for freight in self.freights)


class Errands:
    """Puts errands together."""

    def __init__(self, roster: Roster, depots: Depots) -> None:
        self._roster = roster
        self._depots = depots

    async def of(self, session: AsyncSession, transfer: TransferRecord, frame: FrameRecord) -> Errand | str:
        """Put together what the mover must know; or say why the transfer makes no sense any more.

        Raises
        ------
        SourceGone, DiskGone
        """
        nodes = {node.id: node for node in await Nodes().all(session)}
        node = nodes.get(transfer.node_id or 0)
        depot = self._roster.depot(node.name) if node else None
        if node is None or depot is None:
            return f"{node.name if node else 'its node'} does not answer"
        if frame.state is FrameState.VALID:
            found = self._from_reception(transfer, frame, node, depot)
            return found if isinstance(found, str) else replace(found, kept=transfer.kept or 0)
        if frame.state not in ON_NODES:
            return f"the frame is {frame.state.value}"
        replicas = [r for r in await Replicas().of_frame(session, frame.id) if r.state is ReplicaState.HELD]
        if any(replica.node_id == node.id for replica in replicas):
            return f"it is on {node.name} already"
        if frame.wire_digest is None or not replicas:
            raise SourceGone(Path("frames") / frame.name)
        found = await self._from_node(session, transfer, frame, (node, depot), replicas, nodes)
        return found if isinstance(found, str) else replace(found, kept=transfer.kept or 0)

    def _from_reception(
        self, transfer: TransferRecord, frame: FrameRecord, node: NodeRecord, depot: Depot
    ) -> Errand | str:
        if transfer.kind is TransferKind.COPY:
            return "it is on no node any more"
        source = self._depots.of_reception(frame.disk)
        if not frame.path or frame.wire_digest is None:
            raise SourceGone(source.directory / (frame.path or f"from_CADC/headervalid/{frame.name}"))
        place = source.directory / frame.path
        if not place.parent.is_dir():
            raise DiskGone(frame.disk or "reception", place)
        if frame.size is None and not place.is_file():
            raise SourceGone(place)
        size = place.stat().st_size if frame.size is None else frame.size
        path = f"frames/{_directory(frame.runid)}/{safe_name(place.name)}"
        return Errand(
            transfer.id, frame, node.id, node.name, Freight(source, frame.path, depot, path, frame.wire_digest, size)
        )

    async def _from_node(
        self,
        session: AsyncSession,
        transfer: TransferRecord,
        frame: FrameRecord,
        to: tuple[NodeRecord, Depot],
        replicas: Sequence[ReplicaRecord],
        nodes: Mapping[int, NodeRecord],
    ) -> Errand | str:
        copies = transfer.kind is TransferKind.COPY
        held = [replica for replica in replicas if copies or transfer.origin_id in {None, replica.node_id}]
        if not held:
            origin = nodes.get(transfer.origin_id or 0)
            return f"it is not on {origin.name if origin else 'its node'} any more"
        held.sort(key=lambda replica: replica.node_id != transfer.origin_id)
        found = [
            (r, depot) for r in held if r.node_id in nodes and (depot := self._roster.depot(nodes[r.node_id].name))
        ]
        if not found:
            return f"{nodes[held[0].node_id].name} does not answer"
        replica, source = found[0]
        products: tuple[ProductRecord, ...] = ()
        if not copies:
            if any(job.state is JobState.RUNNING for job in await Jobs().of_frame(session, frame.id)):
                return "its job runs where it lies"
            cargo = await Cargoes().of_frame(session, frame.id, replica.node_id)
            products = cargo.products if cargo else ()
        node, depot = to
        path = f"frames/{_directory(frame.runid)}/{safe_name(Path(replica.path).name)}"
        freight = Freight(source, replica.path, depot, path, replica.digest, replica.size, apart=copies)
        origin_name = nodes[replica.node_id].name
        return Errand(
            transfer.id, frame, node.id, node.name, freight, replica, origin_name, copies=copies, products=products
        )


def _directory(runid: str | None) -> str:
    """Name a run's directory; what a header says is not trusted to be one."""
    try:
        return safe_name(runid or NO_RUN)
    except ValueError:
        return NO_RUN
