"""Chronicles: everything that the database remembers of one frame, for its story."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import (
    EventRecord,
    FrameRecord,
    JobRecord,
    LeaseRecord,
    NodeRecord,
    ProductRecord,
    PublicationRecord,
    ReceiptRecord,
    ReplicaRecord,
    RequestRecord,
    TransferRecord,
    record,
)
from dbclient.schema import ArchiveKind, Lease, Publication, Request, RequestKind
from dbclient.stores.archives import Archives
from dbclient.stores.events import Events
from dbclient.stores.frames import Frames
from dbclient.stores.jobs import Jobs
from dbclient.stores.nodes import Nodes
from dbclient.stores.products import Products
from dbclient.stores.receipts import Receipts
from dbclient.stores.replicas import Replicas
from dbclient.stores.transfers import Transfers

OF_RUNS = (RequestKind.TRANSFER, RequestKind.COPY)
"""Orders that are about a run."""
LOOKED_AT = 500
"""Orders about runs that are looked through, the latest ones: operators give a few a night."""


@dataclass(frozen=True, slots=True)
class Chronicle:
    """What is remembered of a frame; each list in the order in which it was written."""

    frame: FrameRecord
    generations: Sequence[FrameRecord] = ()
    """All of its name, newest first."""
    events: Sequence[EventRecord] = ()
    jobs: Sequence[JobRecord] = ()
    replicas: Sequence[ReplicaRecord] = ()
    products: Sequence[ProductRecord] = ()
    transfers: Sequence[TransferRecord] = ()
    """Those that are not over."""
    leases: Sequence[LeaseRecord] = ()
    """Those that hold."""
    publications: Sequence[PublicationRecord] = ()
    receipts: dict[int, list[ReceiptRecord]] = field(default_factory=dict)
    """What followers say of each publication, by its row."""
    orders: Sequence[RequestRecord] = ()
    """Of operators, about its run."""
    nodes: dict[int, NodeRecord] = field(default_factory=dict)
    """All nodes, by their rows."""
    archived: datetime | None = None
    """Up to when events were put into archives; none: all are here."""


class Chronicles:
    async def of(self, session: AsyncSession, frame: FrameRecord) -> Chronicle:
        """Gather what is remembered of a generation of a frame."""
        products = await Products().of_frame(session, frame.id)
        publications = await self._publications(session, products)
        archive = await Archives().newest(session, ArchiveKind.EVENTS)
        return Chronicle(
            frame=frame,
            generations=await Frames().generations(session, frame.name),
            events=await Events().of_frame(session, frame.id),
            jobs=await Jobs().of_frame(session, frame.id),
            replicas=await Replicas().of_frame(session, frame.id),
            products=products,
            transfers=await Transfers().open_of_frame(session, frame.id),
            leases=await self._leases(session, frame.id),
            publications=publications,
            receipts=await Receipts().of(session, [one.id for one in publications]) if publications else {},
            orders=await self._orders(session, frame.runid),
            nodes={node.id: node for node in await Nodes().all(session)},
            archived=archive.ends if archive else None,
        )

    async def _leases(self, session: AsyncSession, frame_id: int) -> list[LeaseRecord]:
        query = select(Lease).where(Lease.frame_id == frame_id, Lease.ended_at.is_(None)).order_by(Lease.id)
        return [record(LeaseRecord, row) for row in await session.scalars(query)]

    async def _publications(self, session: AsyncSession, products: Sequence[ProductRecord]) -> list[PublicationRecord]:
        """Give what was published of a frame's products, which have an index of their own there."""
        if not products:
            return []
        query = select(Publication).where(Publication.product_id.in_([one.id for one in products]))
        return [record(PublicationRecord, row) for row in await session.scalars(query.order_by(Publication.id))]

    async def _orders(self, session: AsyncSession, runid: str | None) -> list[RequestRecord]:
        if runid is None:
            return []
        query = select(Request).where(Request.kind.in_(OF_RUNS)).order_by(Request.id.desc()).limit(LOOKED_AT)
        rows = [row for row in await session.scalars(query) if row.arguments.get("runid") == runid]
        return [record(RequestRecord, row) for row in rows[::-1]]
