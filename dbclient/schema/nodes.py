"""Nodes, and the daemons that beat."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class NodeState(enum.StrEnum):
    UP = "up"  #: takes frames
    DRAINING = "draining"  #: keeps what it has, takes nothing new
    DOWN = "down"  #: does not answer, or its directory is gone
    MISSING = "missing"  #: down for so long that what it held is counted as not held, and brought or made again
    REMOVED = "removed"  #: taken out by an operator; kept for the history of what it held

    @property
    def answers(self) -> bool:
        """Whether its files can be read now."""
        return self in {NodeState.UP, NodeState.DRAINING}


class Node(Base):
    """A place that holds frames and works on them."""

    __tablename__ = "nodes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(Text(32), unique=True)
    """Name of the node, and of its worker."""
    directory: Mapped[str]
    """Absolute path of its root on the host that has it."""
    address: Mapped[str | None] = mapped_column(Text(200))
    """Address of the agent of its host, as https://node5:8620; none: the coordinator's own host."""
    state: Mapped[NodeState] = mapped_column(Word(NodeState, 10), default=NodeState.UP)
    reason: Mapped[str | None]
    """Why it is down or draining."""
    since: Mapped[datetime | None]
    """When it came into its state; none if it was never in another."""
    capacity: Mapped[int]
    """Bytes TERAPIX may use there."""
    used: Mapped[int] = mapped_column(default=0)
    """Bytes held below its root when last measured."""
    free: Mapped[int] = mapped_column(default=0)
    """Bytes still to be had: the smaller of capacity minus used and what the disk has free to us."""
    reserve: Mapped[int] = mapped_column(default=0)
    """Bytes never promised."""
    seen_at: Mapped[datetime | None]
    """When it was last measured."""
    disks: Mapped[list[Any] | None]
    """Its disks as last measured, each with device, parts (frames, calibrations, products, scratch), free and total."""


class Daemon(Base):
    """A running daemon, by its heartbeat."""

    __tablename__ = "daemons"

    name: Mapped[str] = mapped_column(Text(60), primary_key=True)
    """snooppix, datatransfer, spica, worker:node1 …"""
    host: Mapped[str] = mapped_column(Text(120))
    """Host it runs on."""
    pid: Mapped[int]
    """Its process there."""
    status: Mapped[str]
    """What it says it is doing."""
    endpoint: Mapped[str | None]
    """Address of its status endpoint."""
    started_at: Mapped[datetime]
    """When it started."""
    beat_at: Mapped[datetime]
    """When it last said so: a daemon that is silent for long is dead."""
    figures: Mapped[dict[str, Any] | None]
    """What else it wants shown: archive lag, bookmark age …"""
