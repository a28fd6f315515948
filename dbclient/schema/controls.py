"""What operators want of the daemons themselves: to work or to rest, and with which settings."""

import enum
from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class Wish(enum.StrEnum):
    RUN = "run"  #: work
    REST = "rest"  #: begin nothing new: the process stays, and says so


class Control(Base):
    """What is wanted of a daemon; whether it does so is in its heartbeat."""

    __tablename__ = "controls"

    daemon: Mapped[str] = mapped_column(Text(60), primary_key=True)
    """snooppix, …"""
    wish: Mapped[Wish] = mapped_column(Word(Wish, 4), default=Wish.RUN)
    reload_at: Mapped[datetime | None]
    """When it was last asked to read its settings again."""
    changed_by: Mapped[str] = mapped_column(Text(60))
    """Operator."""
    changed_at: Mapped[datetime]
    """When."""


class Configuration(Base):
    """One version of the settings that operators edited on the page; the newest is in force."""

    __tablename__ = "configurations"
    __table_args__ = (Index("ix_configurations_daemon", "daemon", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    daemon: Mapped[str] = mapped_column(Text(60))
    """Daemon whose settings these are."""
    text: Mapped[str]
    """TOML, as the operator wrote it; it wins over the file, the environment wins over it."""
    comment: Mapped[str] = mapped_column(Text(200))
    """Why it was changed."""
    saved_by: Mapped[str] = mapped_column(Text(60))
    """Operator."""
    saved_at: Mapped[datetime]
    """When."""
