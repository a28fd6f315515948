"""Seals: what holds the history together, so that what is changed in it afterwards is found."""

from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text


class Seal(Base):
    """A stretch of the history under one digest, which also covers the seal before."""

    __tablename__ = "seals"
    __table_args__ = (UniqueConstraint("before"), {"sqlite_autoincrement": True})
    """No seal has two that follow it."""

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    """When it was made."""
    before: Mapped[str] = mapped_column(Text(64))
    """Digest of the seal before; zeros for the first one."""
    after: Mapped[int]
    """It covers the events behind this number …"""
    last: Mapped[int]
    """… up to this one, without those of `gaps`, and those of `late` besides."""
    events: Mapped[int]
    """How many these are."""
    gaps: Mapped[list[Any]]
    """Numbers between that no event had when it was made: pairs of first and last."""
    late: Mapped[list[Any]]
    """Numbers of events from the gaps of earlier seals, which were committed after events with a higher number."""
    awaited: Mapped[list[Any]]
    """Gaps in which events may still appear, with the transaction and the moment after which none can."""
    content: Mapped[str] = mapped_column(Text(64))
    """BLAKE2b over the events, in order."""
    marks: Mapped[bytes] = mapped_column(LargeBinary)
    """The first 8 bytes of each event's own digest: they tell which event it is that does not fit."""
    digest: Mapped[str] = mapped_column(Text(64))
    """BLAKE2b over all this, and so over the whole history up to here."""
