"""Receipts: what followers say that they hold."""

from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text


class Receipt(Base):
    """What one follower holds of a publication, as it computed itself."""

    __tablename__ = "receipts"
    __table_args__ = (UniqueConstraint("publication_id", "follower"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    publication_id: Mapped[int] = mapped_column(ForeignKey("publications.id"))
    """Generation of a published name."""
    follower: Mapped[str] = mapped_column(Text(60))
    """Who said so: its name in the file of followers, or the host that files were put to."""
    agrees: Mapped[bool]
    """All digests that it told are ours."""
    wire_digest: Mapped[str | None] = mapped_column(Text(80))
    """Digest of the bytes there; none if it keeps the file otherwise packed than it came."""
    pixel_digest: Mapped[str | None] = mapped_column(Text(80))
    """Digest of the decoded pixels there; none if it did not compute it."""
    told_at: Mapped[datetime]
    """When it said so last."""
