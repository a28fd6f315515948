"""Fillings: how full each node was, a row a day."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base


class Filling(Base):
    """How full a node was on a day when it was measured last: its history, of which a forecast is made."""

    __tablename__ = "fillings"

    node_id: Mapped[int] = mapped_column(ForeignKey("nodes.id"), primary_key=True, autoincrement=False)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    """UTC, as 2008-03-30."""
    used: Mapped[int]
    """Bytes held below its root."""
    free: Mapped[int]
    """Bytes still to be had, before promises and reserve."""
    at: Mapped[datetime]
    """When it was measured."""
