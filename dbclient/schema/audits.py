"""Audits: what a comparison of database, disks and archive found, and what was done about it."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class AuditState(enum.StrEnum):
    RUNNING = "running"  #: nodes are being compared
    DONE = "done"  #: everything that answered was compared
    FAILED = "failed"  #: broke off; the reason says why


class Discrepancy(enum.StrEnum):
    """What can be wrong between database, disks and archive; `datatransfer.discrepancies` has evidence and action."""

    FILE_GONE = "file-gone"  #: a frame's or calibration's file is not on the node that should hold it
    PRODUCT_GONE = "product-gone"  #: a product's file is not on the node that should hold it
    OTHER_SIZE = "other-size"  #: a file has another size than the database knows
    KNOWN_FILE = "known-file"  #: the bytes of a frame, calibration or product lie where no row says so
    OTHER_GENERATION = "other-generation"  #: a file of ours that is not wanted any more lies where no row says so
    STRANGE_FILE = "strange-file"  #: a file that nothing here accounts for
    NO_FILE = "no-file"  #: a frame counts as placed or weighted, and no node holds it
    NO_PRODUCT = "no-product"  #: a frame counts as weighted, and a map of it is held nowhere
    LOST_AT_RECEPTION = "lost-at-reception"  #: a file that should lie at reception is not there
    STRANGE_AT_RECEPTION = "strange-at-reception"  #: a file at reception that no row accounts for
    WITHDRAWN = "withdrawn"  #: the archive has it no more, and one verified file is left here
    WITHDRAWN_LOST = "withdrawn-lost"  #: the archive has it no more, and no verified file is left here
    ARCHIVE_UNKNOWN = "archive-unknown"  #: archive and database were not compared lately
    NODE_SILENT = "node-silent"  #: a node did not answer, so nothing is said of its files


class Audit(Base):
    """One comparison of database, disks and archive."""

    __tablename__ = "audits"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    state: Mapped[AuditState] = mapped_column(Word(AuditState, 10), default=AuditState.RUNNING)
    asked_by: Mapped[str] = mapped_column(Text(60))
    """Operator, or the daemon's clock."""
    node: Mapped[str | None] = mapped_column(Text(32))
    """Only this node; none: all."""
    runid: Mapped[str | None] = mapped_column(Text(20))
    """Only files of this run; none: all."""
    repair: Mapped[bool]
    """Whether it acted on what it found."""
    started_at: Mapped[datetime]
    """When it began."""
    ended_at: Mapped[datetime | None]
    """When it was over."""
    files: Mapped[int] = mapped_column(default=0)
    """Files that the database places on nodes and at reception, compared."""
    bytes: Mapped[int] = mapped_column(default=0)
    """Bytes of these."""
    found: Mapped[int] = mapped_column(default=0)
    """Discrepancies."""
    repaired: Mapped[int] = mapped_column(default=0)
    """Of these, put right."""
    reason: Mapped[str | None]
    """Why it failed."""


class AuditFinding(Base):
    """One discrepancy that an audit found."""

    __tablename__ = "audit_findings"
    __table_args__ = (Index("ix_audit_findings_audit_id", "audit_id", "kind", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    audit_id: Mapped[int] = mapped_column(ForeignKey("audits.id"))
    kind: Mapped[Discrepancy] = mapped_column(Word(Discrepancy, 24))
    node_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"))
    """Node it was found on; none: the reception, or no place at all."""
    frame_id: Mapped[int | None] = mapped_column(ForeignKey("frames.id"))
    """Frame it is about, if known."""
    path: Mapped[str | None]
    """Below the root of node or reception disk."""
    evidence: Mapped[dict[str, Any]]
    """What database, disk and archive say."""
    action: Mapped[str]
    """What is to be done, or was done, in words."""
    done: Mapped[bool]
    """Whether it was put right."""
