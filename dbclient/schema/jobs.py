"""Jobs: one stage on one frame, exactly once per recipe."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Text, Word


class JobState(enum.StrEnum):
    DUE = "due"  #: all inputs are on the node
    RUNNING = "running"  #: a worker has it and beats
    DONE = "done"  #: products are registered
    FAILED = "failed"  #: tries used up; waits for an operator
    SUPERSEDED = "superseded"  #: a newer generation of its frame has come before it was done


class Job(Base):
    """One stage on one generation of a frame with one recipe."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("frame_id", "stage", "recipe"),
        Index("ix_jobs_state_retry_at", "state", "retry_at"),
        Index("ix_jobs_stage_recipe", "stage", "recipe"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    frame_id: Mapped[int] = mapped_column(ForeignKey("frames.id"))
    """A frame row is one generation, so this names frame and generation."""
    node_id: Mapped[int] = mapped_column(ForeignKey("nodes.id"))
    stage: Mapped[str] = mapped_column(Text(30))
    """Name of the stage, as weight."""
    recipe: Mapped[str] = mapped_column(Text(80))
    """Digest of the recipe: a changed recipe is another job."""
    state: Mapped[JobState] = mapped_column(Word(JobState, 12), default=JobState.DUE)
    attempts: Mapped[int] = mapped_column(default=0)
    """Tries begun."""
    worker: Mapped[str | None] = mapped_column(Text(120))
    """Who has it: node name and process."""
    claim: Mapped[str | None] = mapped_column(Text(40))
    """Random token of the running attempt; only its holder may end the job."""
    done_share: Mapped[float] = mapped_column(default=0.0)
    """Share of the work done, 0 to 1."""
    reason: Mapped[str | None]
    """Why it failed, or is tried again."""
    retry_at: Mapped[datetime | None]
    """When the next try is due; none: at once."""
    beat_at: Mapped[datetime | None]
    """When its worker last said that it goes on."""
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    """When the running or last try began."""
    ended_at: Mapped[datetime | None]
    """When it was done, failed or superseded."""
    summary: Mapped[dict[str, Any] | None]
    """Figures of the stage: seconds, pixels, shares masked …"""
