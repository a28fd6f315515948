"""Hosts that files come from: whether they are asked at present."""

import enum
from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class HostState(enum.StrEnum):
    CLOSED = "closed"  #: asked as usual (the circuit is closed)
    OPEN = "open"  #: rests until a moment: it failed too often, or asked for it
    PROBING = "half-open"  #: one request shows whether it answers again


class Host(Base):
    """A circuit breaker; kept so that a restart does not storm a host that rests."""

    __tablename__ = "hosts"

    name: Mapped[str] = mapped_column(Text(120), primary_key=True)
    """Host name."""
    state: Mapped[HostState] = mapped_column(Word(HostState, 10), default=HostState.CLOSED)
    failures: Mapped[int] = mapped_column(default=0)
    """Failures in a row."""
    rests: Mapped[int] = mapped_column(default=0)
    """Rests in a row without a good answer in between."""
    reason: Mapped[str | None]
    """Why it rests."""
    until: Mapped[datetime | None]
    """When it is asked again."""
    answered_at: Mapped[datetime | None]
    """When it last did what it was asked."""
    changed_at: Mapped[datetime]
    """When the state last changed."""
