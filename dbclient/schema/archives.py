"""Archives: stretches of the history that were put into files, so that the tables stay small."""

import enum
from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class ArchiveKind(enum.StrEnum):
    """What an archive holds."""

    EVENTS = "events"  #: the events of some seals
    TRANSFERS = "transfers"  #: transfers that are over
    LEASES = "leases"  #: promises of room that have ended


class Archive(Base):
    """A file of rows that are in no table any more, or will soon be in none."""

    __tablename__ = "archives"
    __table_args__ = (Index("ix_archives_kind", "kind", "last"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[ArchiveKind] = mapped_column(Word(ArchiveKind, 10))
    first: Mapped[int]
    """Rows of its kind from this number …"""
    last: Mapped[int]
    """… to this one lie in it; of transfers and leases those only that were over when it was made."""
    rows: Mapped[int]
    """How many these are."""
    begins: Mapped[datetime]
    """Moment of the first of them: when the event happened, or the transfer or lease ended."""
    ends: Mapped[datetime]
    """Moment of the last of them."""
    path: Mapped[str] = mapped_column(Text(200))
    """Its file, below the directory of retention.archive."""
    size: Mapped[int]
    """Bytes of the file."""
    digest: Mapped[str] = mapped_column(Text(80))
    """Of the file, as sha256:<hex>."""
    made_at: Mapped[datetime]
    """When the file was whole on its disk."""
    cleared_at: Mapped[datetime | None]
    """When the last of its rows had left the tables; none: they are being removed."""
