"""Full differences of archive, database and disk: what each found."""

import enum
from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class DifferenceState(enum.StrEnum):
    RUNNING = "running"  #: the listing is being compared
    DONE = "done"  #: everything was compared
    FAILED = "failed"  #: the archive or this host did not do its part; the next one begins anew


class Difference(Base):
    """One comparison of all that the archive lists with what the database knows and the disks hold."""

    __tablename__ = "differences"
    __table_args__ = (Index("ix_differences_archive", "archive", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    archive: Mapped[str] = mapped_column(Text(120))
    """Registry and collection, as bookmarks have it."""
    state: Mapped[DifferenceState] = mapped_column(Word(DifferenceState, 10), default=DifferenceState.RUNNING)
    asked_by: Mapped[str] = mapped_column(Text(60))
    """Operator, or the daemon's clock."""
    reason: Mapped[str | None]
    """Why it failed, or what it leaves to an operator."""
    started_at: Mapped[datetime]
    """When it began."""
    ended_at: Mapped[datetime | None]
    """When it was over."""
    listed: Mapped[int] = mapped_column(default=0)
    """Files that the archive lists and the selection keeps."""
    missed: Mapped[int] = mapped_column(default=0)
    """Of these, new to the database: no look had brought them."""
    changed: Mapped[int] = mapped_column(default=0)
    """Of these, processed again without a look having told."""
    withdrawn: Mapped[int] = mapped_column(default=0)
    """Frames of the database that the archive lists no more."""
    returned: Mapped[int] = mapped_column(default=0)
    """Withdrawn frames that it lists again."""
    lost: Mapped[int] = mapped_column(default=0)
    """Files that the database places on a reception disk and that are not there."""
    strange: Mapped[int] = mapped_column(default=0)
    """Files on a reception disk that no frame of the database has."""
