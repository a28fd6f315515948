"""Stocks: what nodes hold, kept up by the database itself, so that nobody sums millions of rows."""

import enum

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Word


class StockKind(enum.StrEnum):
    REPLICA = "replica"  #: frames and calibrations
    PRODUCT = "product"  #: what stages made


class Stock(Base):
    """A change of what a node holds, or the sum of many; a node's rows add up to what it holds.

    Triggers on replicas and products write them. They are rows of their own and no
    counters, so that two who write at once never wait for each other; datatransfer
    adds them up now and then.
    """

    __tablename__ = "stocks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    node_id: Mapped[int] = mapped_column(ForeignKey("nodes.id"))
    kind: Mapped[StockKind] = mapped_column(Word(StockKind, 10))
    files: Mapped[int]
    """Files that came; below 0: that went."""
    bytes: Mapped[int]
    """Their bytes, likewise."""
