"""Tallies: sums over frames that are kept as rows, so that no page reads ten million frames to say how many there are.

Triggers write what changes into `tally_changes` and never into `tallies`, which one daemon folds them into:
no two transactions ever wait for each other's sums. What a sum is, is always the rows of both together; on SQLite
frames behind the mark are counted from the table itself, for nothing is written when a listing brings them.
"""

import enum

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word
from dbclient.schema.frames import FrameKind, FrameState

LARGEST = 10**15
"""Bytes of a file that counts; a larger one is nonsense that somebody listed, and counts none."""
LONGEST = 10**9
"""Seconds of an exposure that counts; likewise."""


class TallyLevel(enum.StrEnum):
    """What the frames of a row have in common, beside kind, state and whether their generation is the newest."""

    ALL = "all"  #: nothing more
    RUN = "run"  #: run
    FILTER = "filter"  #: filter
    RUN_FILTER = "run-filter"  #: run and filter
    DAY = "day"  #: day, run and filter
    DATE = "date"  #: day
    NODE = "node"  #: the node that holds them; a frame on two nodes counts on both
    NODE_DATE = "node-date"  #: node and day


_FEW = Index(
    "ix_tallies_few",
    *("level", "kind", "current", "runid", "filter", "day", "state"),
    postgresql_include=("node_id", "frames", "withdrawn", "bytes", "exposure", "received", "received_bytes"),
    postgresql_where=text("level NOT IN ('day', 'node-date')"),
    info={"only": "postgresql"},
)
"""The sums of all but single days, whole: of a million rows these few lie everywhere. SQLite keeps them together."""


class Tally(Base):
    """Frames with the same words, counted and summed."""

    __tablename__ = "tallies"
    __table_args__ = (_FEW, {"sqlite_with_rowid": False})

    level: Mapped[TallyLevel] = mapped_column(Word(TallyLevel, 10), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    """Day (UTC) of reception, of what is not here yet that of its first listing, as 2008-03-30; empty: all days."""
    node_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Node that holds them; 0: wherever they are."""
    runid: Mapped[str] = mapped_column(Text(20), primary_key=True)
    """RUNID; empty: not known, or all."""
    filter: Mapped[str] = mapped_column(Text(40), primary_key=True)
    """Filter; empty: not known, or all."""
    kind: Mapped[FrameKind] = mapped_column(Word(FrameKind, 10), primary_key=True)
    state: Mapped[FrameState] = mapped_column(Word(FrameState, 12), primary_key=True)
    current: Mapped[bool] = mapped_column(primary_key=True)
    """Whether they are the highest generations of their names."""
    frames: Mapped[int]
    """How many there are."""
    withdrawn: Mapped[int]
    """Of these, how many the archive was found to list no more."""
    bytes: Mapped[int]
    """As the archive serves them."""
    exposure: Mapped[int]
    """Milliseconds: whole numbers, so that what is added and taken away again leaves nothing behind."""
    received: Mapped[int]
    """How many are, or were, on a reception disk."""
    received_bytes: Mapped[int]
    """Bytes of these."""


class TallyChange(Base):
    """Frames that came to some words (positive) or left them (negative), not yet folded into the tallies."""

    __tablename__ = "tally_changes"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    day: Mapped[str] = mapped_column(String(10))
    """Day (UTC), as in the tallies."""
    node_id: Mapped[int]
    """0: of the frame itself; else of what a node holds of it."""
    runid: Mapped[str] = mapped_column(Text(20))
    """RUNID; empty: not known."""
    filter: Mapped[str] = mapped_column(Text(40))
    """Filter; empty: not known."""
    kind: Mapped[FrameKind] = mapped_column(Word(FrameKind, 10))
    """Their kind."""
    state: Mapped[FrameState] = mapped_column(Word(FrameState, 12))
    """The state that they came to or left."""
    current: Mapped[bool]
    """Whether they were the highest generations of their names."""
    frames: Mapped[int]
    """How many came, or left."""
    withdrawn: Mapped[int]
    """Of these, how many were withdrawn."""
    bytes: Mapped[int]
    """As in the tallies."""
    exposure: Mapped[int]
    """Milliseconds."""
    received: Mapped[int]
    """How many were received."""
    received_bytes: Mapped[int]
    """Bytes of these."""


class TallyMark(Base):
    """How far frames are in the tallies: one row."""

    __tablename__ = "tally_marks"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    counted: Mapped[int]
    """Last frame row that is in them; on PostgreSQL, where triggers tell of every insert at once, it says nothing."""
