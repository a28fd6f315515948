"""The two modes in which frames are transferred: how they are paced, and what operators want of them."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word
from dbclient.schema.transfers import TransferMode


class Mode(Base):
    """A mode with its countdown; one without a row has never run and was never paused."""

    __tablename__ = "modes"

    name: Mapped[TransferMode] = mapped_column(Word(TransferMode, 10), primary_key=True)
    paused: Mapped[bool] = mapped_column(default=False)
    """Whether it begins nothing: neither a run nor a transfer that it had promised."""
    every: Mapped[float | None]
    """Seconds between two of its runs."""
    ran_at: Mapped[datetime | None]
    """When its last run ended."""
    next_at: Mapped[datetime | None]
    """When the next one is due; none: at once."""
    asked_at: Mapped[datetime | None]
    """When an operator asked for a run that has not been made yet."""
    said: Mapped[str | None]
    """What came of the last run, in a sentence."""
    changed_by: Mapped[str | None] = mapped_column(Text(60))
    """Operator who paused or resumed it last."""
    changed_at: Mapped[datetime | None]
    """When."""
