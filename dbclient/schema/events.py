"""Events: the history of everything, only ever added to."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class Level(enum.StrEnum):
    INFO = "info"  #: as it should be
    WARNING = "warning"  #: something waits or was refused
    ERROR = "error"  #: an operator is needed


class Event(Base):
    """What happened: the history of everything, only ever added to."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_level_id", "level", "id"), {"sqlite_autoincrement": True})
    """Row numbers are never used twice."""

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    """When it happened."""
    source: Mapped[str] = mapped_column(Text(60))
    """Daemon, or operator:NAME."""
    kind: Mapped[str] = mapped_column(Text(40))
    """A word of the trade: spotted, fetched, rejected, placed, job-done, node-down …"""
    level: Mapped[Level] = mapped_column(Word(Level, 8), default=Level.INFO)
    message: Mapped[str]
    """One sentence for a person."""
    frame_id: Mapped[int | None] = mapped_column(ForeignKey("frames.id"), index=True)
    node_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"))
    data: Mapped[dict[str, Any] | None]
    """Facts for programs."""
