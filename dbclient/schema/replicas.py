"""Replicas: which node holds which frame."""

import enum
from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class ReplicaState(enum.StrEnum):
    HELD = "held"  #: on the node, digest verified
    DAMAGED = "damaged"  #: digest differs; never used
    GONE = "gone"  #: no longer on the node
    AWAY = "away"  #: its node is missing: not counted until the node is back and was compared
    RETIRED = "retired"  #: removed by retention; the history says why


class Replica(Base):
    """A file of a frame or calibration on a node."""

    __tablename__ = "replicas"
    __table_args__ = (
        UniqueConstraint("frame_id", "node_id"),
        Index("ix_replicas_held", "node_id", "state", "frame_id", "size"),
        Index("ix_replicas_verified", "node_id", "state", "verified_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"))
    node_id: Mapped[int] = mapped_column(ForeignKey("nodes.id"))
    path: Mapped[str]
    """Path below the node's root."""
    size: Mapped[int]
    """Bytes."""
    digest: Mapped[str] = mapped_column(Text(80))
    """Digest of the file, as md5:<hex>."""
    state: Mapped[ReplicaState] = mapped_column(Word(ReplicaState, 10), default=ReplicaState.HELD)
    verified_at: Mapped[datetime]
    """When the file's digest was last compared."""
