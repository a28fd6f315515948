"""Publications: products on their way back to the archive, a ledger that both sides can compare."""

import enum
from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class PublicationState(enum.StrEnum):
    DUE = "due"  #: registered; the file is being laid out in to_CADC/
    OFFERED = "offered"  #: in to_CADC/, listed and served
    ACKNOWLEDGED = "acknowledged"  #: the archive has computed the same digest; we may delete
    SUPERSEDED = "superseded"  #: a newer generation was published before this one was acknowledged
    FAILED = "failed"  #: cannot be laid out, or the archive's digest is another one; waits for an operator


class Publication(Base):
    """One generation of a file under its published name."""

    __tablename__ = "publications"
    __table_args__ = (
        UniqueConstraint("name", "generation"),
        Index("ix_publications_state", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(Text(120))
    """File name as published, as 979412p_weight.fits.fz."""
    generation: Mapped[int]
    """Never falls: an older generation is refused on both sides."""
    kind: Mapped[str] = mapped_column(Text(30))
    """weight, flag, stack, stack-weight, catalogue, regions."""
    state: Mapped[PublicationState] = mapped_column(Word(PublicationState, 12), default=PublicationState.DUE)
    product_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"), index=True)
    """Product it was made from; none for files that were registered by hand."""
    frame_id: Mapped[int | None] = mapped_column(ForeignKey("frames.id"))
    """Frame it belongs to; none for stacks."""
    runid: Mapped[str | None] = mapped_column(Text(20))
    """Observing run of the frame."""
    source: Mapped[str]
    """Absolute path of the file that was registered."""
    disk: Mapped[str | None] = mapped_column(Text(32))
    """Reception disk whose to_CADC/ holds it; none: the first."""
    path: Mapped[str | None]
    """Path below that disk; none once it was deleted."""
    size: Mapped[int | None]
    """Bytes."""
    wire_digest: Mapped[str | None] = mapped_column(Text(80))
    """Digest of the bytes, as md5:<hex>."""
    pixel_digest: Mapped[str | None] = mapped_column(Text(80))
    """Digest of the decoded pixels of all HDUs; survives another compression."""
    reason: Mapped[str | None]
    """Why it waits or failed."""
    retry_at: Mapped[datetime | None]
    """When the next try is due; none: at once."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Tries used up in the present state."""
    registered_at: Mapped[datetime]
    """When it was registered for publication."""
    offered_at: Mapped[datetime | None]
    """When it was listed."""
    acknowledged_at: Mapped[datetime | None]
    """When the archive said that it is safe there."""
    acknowledged_by: Mapped[str | None] = mapped_column(Text(60))
    """Follower that said so."""
    deleted_at: Mapped[datetime | None]
    """When the file was removed from to_CADC/."""
