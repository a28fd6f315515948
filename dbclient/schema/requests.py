"""Requests of operators: rows that the daemons act on."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class RequestKind(enum.StrEnum):
    FETCH = "fetch"  #: bring this frame now: arguments frame
    RELOAD = "reload"  #: read the file again into the database: arguments frame, because, undo (take the last one back)
    RETRY = "retry"  #: try a failed or waiting frame again: arguments frame
    ACCEPT = "accept"  #: take a rejected frame all the same: arguments frame, because
    LOOK = "look"  #: look at the archive now
    DIFFERENCE = "difference"  #: compare archive, database and disk now
    TRANSFER = "transfer"  #: move a run to a node at once: arguments runid, node, filter (or none)
    COPY = "copy"  #: have a run lie on several nodes: arguments runid, filter (or none), replicas or node
    EVACUATE = "evacuate"  #: drain a node and send what it holds to others: arguments node
    REBALANCE = "rebalance"  #: make the filled shares of nodes more alike: arguments most (bytes)
    DRAIN = "drain"  #: take nothing new: arguments node
    UNDRAIN = "undrain"  #: take frames again: arguments node
    AUDIT = "audit"  #: compare database, disks and archive: arguments node (or none), repair
    CLEAR = "clear"  #: let go what may go from a node: arguments node


class RequestState(enum.StrEnum):
    OPEN = "open"  #: not answered yet
    DONE = "done"  #: acted on
    REFUSED = "refused"  #: cannot be done, the answer says why


class Request(Base):
    """What an operator asks the daemons for."""

    __tablename__ = "requests"
    __table_args__ = (Index("ix_requests_state_kind", "state", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[RequestKind] = mapped_column(Word(RequestKind, 10))
    arguments: Mapped[dict[str, Any]]
    """What it is about: frame, run, node, filter."""
    state: Mapped[RequestState] = mapped_column(Word(RequestState, 10), default=RequestState.OPEN)
    answer: Mapped[str | None]
    """What came of it, in a sentence."""
    asked_by: Mapped[str] = mapped_column(Text(60))
    """Operator."""
    asked_at: Mapped[datetime]
    """When."""
    answered_at: Mapped[datetime | None]
    """When a daemon had acted on it."""
