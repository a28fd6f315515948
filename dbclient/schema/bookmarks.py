"""Bookmarks: how far an archive was read."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text


class Bookmark(Base):
    """How far an archive was read."""

    __tablename__ = "bookmarks"

    archive: Mapped[str] = mapped_column(Text(120), primary_key=True)
    """Archive, collection, instrument, and a mark of the selection."""
    reached: Mapped[datetime]
    """All rows up to here are safely in the database."""
    looked_at: Mapped[datetime]
    """When the archive was last asked with success."""
