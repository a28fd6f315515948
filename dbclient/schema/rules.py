"""Rules of automatic transfers: which frames go first, how their node is chosen, and which ones stay."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text


class Rule(Base):
    """One rule; of those that are on, the first that fits a frame decides."""

    __tablename__ = "rules"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    position: Mapped[int]
    """Its place in the order, from 1."""
    runid: Mapped[str] = mapped_column(Text(40), default="*")
    """Pattern of RUNIDs with * and ?; * takes frames without one, too."""
    filter: Mapped[str] = mapped_column(Text(40), default="*")
    """Pattern of filters, as r.*."""
    instrument: Mapped[str] = mapped_column(Text(40), default="*")
    """Pattern of instruments (INSTRUME), as MegaPrime."""
    program: Mapped[str] = mapped_column(Text(40), default="*")
    """Pattern of programs: the agency's letter of a RUNID, L for the Legacy Survey."""
    priority: Mapped[int] = mapped_column(default=0)
    """Higher goes first; an operator's request has 100."""
    policy: Mapped[str | None] = mapped_column(Text(12))
    """How its frames find their node; none: datatransfer.policy; hold: they stay at reception."""
    node: Mapped[str | None] = mapped_column(Text(32))
    """The only node that will do; none: any."""
    enabled: Mapped[bool] = mapped_column(default=True)
    """Whether it is on."""
    comment: Mapped[str] = mapped_column(Text(200), default="")
    """What it is for."""
    changed_by: Mapped[str] = mapped_column(Text(60))
    """Operator who wrote or changed it last."""
    changed_at: Mapped[datetime]
    """When."""
