"""Growth: what stages write of frames, as running sums, so that room can be promised before they run."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text


class Growth(Base):
    """Bytes of one kind of product and of the frames it was made of; what is old counts less and less."""

    __tablename__ = "growths"

    instrument: Mapped[str] = mapped_column(Text(40), primary_key=True)
    """Instrument of the frames; empty where it was never noted."""
    stage: Mapped[str] = mapped_column(Text(30), primary_key=True)
    """Name of the stage that wrote the products."""
    kind: Mapped[str] = mapped_column(Text(30), primary_key=True)
    """weight, flag, picture-frame, …"""
    product_bytes: Mapped[float]
    """Bytes of products, of late."""
    file_bytes: Mapped[float]
    """Bytes of the files of their frames, weighed likewise."""
    unpacked_bytes: Mapped[float]
    """Unpacked bytes of their frames, weighed likewise."""
    products: Mapped[int]
    """Products that were ever counted."""
    counted_at: Mapped[datetime]
    """When the last one was."""
