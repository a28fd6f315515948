"""Products: what stages made of frames."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class ProductState(enum.StrEnum):
    HELD = "held"  #: on the node, digest known
    SUPERSEDED = "superseded"  #: made from a generation or with a recipe that was replaced
    DAMAGED = "damaged"  #: digest differs; set aside, and made again
    GONE = "gone"  #: no longer on the node; made again
    AWAY = "away"  #: its node is missing: made again unless the node comes back first
    RETIRED = "retired"  #: removed by retention; the history says why


class Product(Base):
    """A file that a stage made of a frame."""

    __tablename__ = "products"
    __table_args__ = (
        UniqueConstraint("job_id", "kind"),
        Index("ix_products_held", "node_id", "state", "size"),
        Index("ix_products_verified", "node_id", "state", "verified_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), index=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    node_id: Mapped[int] = mapped_column(ForeignKey("nodes.id"))
    stage: Mapped[str] = mapped_column(Text(30))
    """Name of the stage that made it."""
    kind: Mapped[str] = mapped_column(Text(30))
    """weight, flag, picture-frame, picture-weight, picture-flag, regions, moc; catalogue, psf."""
    state: Mapped[ProductState] = mapped_column(Word(ProductState, 12), default=ProductState.HELD)
    path: Mapped[str]
    """Path below the node's root."""
    size: Mapped[int]
    """Bytes."""
    digest: Mapped[str] = mapped_column(Text(80))
    """Digest of the file, as md5:<hex>."""
    provenance: Mapped[dict[str, Any]]
    """Software versions, recipe, inputs with their digests."""
    created_at: Mapped[datetime]
    verified_at: Mapped[datetime]
    """When the file's digest was last compared; when it was made, at first."""
