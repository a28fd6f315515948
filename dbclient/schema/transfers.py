"""Transfers in both legs (archive to reception, reception to node) and the room promised for them."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class TransferKind(enum.StrEnum):
    FETCH = "fetch"  #: from the archive to the reception disk
    MOVE = "move"  #: from the reception disk, or from another node, to a node
    COPY = "copy"  #: from a node to another one, and both keep it


class TransferMode(enum.StrEnum):
    """Who sent a frame to a node."""

    AUTOMATIC = "automatic"  #: the rules did
    IMMEDIATE = "immediate"  #: an operator did


class TransferState(enum.StrEnum):
    PROMISED = "promised"  #: room is reserved, nothing has moved yet
    RUNNING = "running"  #: bytes are moving
    DONE = "done"  #: arrived, digest verified
    FAILED = "failed"  #: given up, with its reason; another transfer may follow


class Transfer(Base):
    """A frame's way from the archive to the reception disk, or from there to a node."""

    __tablename__ = "transfers"
    __table_args__ = (
        Index("ix_transfers_state_kind", "state", "kind"),
        Index("ix_transfers_ended", "kind", "state", "ended_at", "bytes_done"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), index=True)
    node_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"))
    """Where to; none for a fetch."""
    kind: Mapped[TransferKind] = mapped_column(Word(TransferKind, 6))
    state: Mapped[TransferState] = mapped_column(Word(TransferState, 10))
    source: Mapped[str]
    """Host it comes from, or path below the reception disk, or node and path there."""
    origin_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"))
    """Node it comes from, which gives it up unless it is a copy; none: the archive, or the reception."""
    mode: Mapped[TransferMode | None] = mapped_column(Word(TransferMode, 10))
    """Mode that sent it to its node; none for a fetch."""
    priority: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    """Its lane: a higher one goes first, and waiting raises it."""
    bytes_total: Mapped[int | None]
    """Bytes to come, if known."""
    bytes_done: Mapped[int] = mapped_column(default=0)
    """Bytes through."""
    rate: Mapped[float | None]
    """Bytes a second, lately."""
    reason: Mapped[str | None]
    """Why it failed."""
    headers: Mapped[dict[str, Any] | None]
    """What the server said of a fetched file: the headers of its answer, without cookies."""
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    """When the first bytes moved."""
    paused_at: Mapped[datetime | None]
    """When an operator paused it; none: it may begin, or moves. Its room stays promised."""
    paused_by: Mapped[str | None] = mapped_column(Text(60))
    """Operator who did."""
    paused_because: Mapped[str | None] = mapped_column(Text(200))
    """Why, in the operator's words."""
    kept: Mapped[int | None]
    """Bytes that lie at its node since it was stopped, behind which it goes on; none while it moves."""
    ended_at: Mapped[datetime | None]
    """When it arrived or was given up."""


class Lease(Base):
    """Room promised on a node for a frame and what it will become; ended when the bytes are there or given up."""

    __tablename__ = "leases"
    __table_args__ = (Index("ix_leases_ended_at_node_id", "ended_at", "node_id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"), index=True)
    node_id: Mapped[int] = mapped_column(ForeignKey("nodes.id"))
    frame_bytes: Mapped[int]
    """The frame itself (and calibrations the node lacks); 0 once the frame has arrived."""
    product_bytes: Mapped[int]
    """Weight and flag maps; 0 once they are registered."""
    scratch_bytes: Mapped[int]
    """Unpacked pixels while the job runs."""
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    """When nothing of it was needed any more; none while it holds."""
