"""Frames and calibrations, one row a generation."""

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from dbclient.schema.base import Base, Name, Text, Word


class FrameKind(enum.StrEnum):
    OBJECT = "object"  #: an exposure of the sky, processed by Elixir
    FLAT = "flat"  #: a master flat field that frames name in IMRED_FF
    MASK = "mask"  #: a bad-pixel mask that frames name in IMRED_MK
    PRODUCT = "product"  #: what another TERAPIX made and publishes, to which we are the archive


class FrameState(enum.StrEnum):
    """How far a frame has come. It moves forward, or aside with a reason."""

    SPOTTED = "spotted"  #: listed by the archive, not yet here
    FETCHED = "fetched"  #: on the reception disk in incoming/, wire digest verified
    VALID = "valid"  #: header and pixels verified, in from_CADC/headervalid/ (or calibrations/)
    PLACED = "placed"  #: on its node, digest verified
    WEIGHTED = "weighted"  #: weight and flag maps are registered
    REJECTED = "rejected"  #: is not what we take; lies in from_CADC/rejected/<reason>/
    FAILED = "failed"  #: all tries are used up; waits for an operator
    SUPERSEDED = "superseded"  #: a newer generation has taken its place


_RETRY = text("retry_at IS NOT NULL")
_WAITING = Index("ix_frames_waiting", "retry_at", "id", "state", sqlite_where=_RETRY, postgresql_where=_RETRY)
"""Of the few frames that wait; a listing that brings a million others does not touch it."""

_WEIGHTED = text("weighted_at IS NOT NULL")
_DONE = Index("ix_frames_weighted", "weighted_at", sqlite_where=_WEIGHTED, postgresql_where=_WEIGHTED)
"""When frames became weighted; likewise a listing does not touch it."""

_LACKING = text("state = 'weighted' AND catalogued_at IS NULL")
_NEXT = Index("ix_frames_uncatalogued", "kind", "current", "id", sqlite_where=_LACKING, postgresql_where=_LACKING)
"""Weighted frames without a catalogue of their present maps: those that are due for one, and some that failed.

What is counted stands in it, so that no frame has to be looked at.
"""

_HERE = text("state IN ('valid', 'placed', 'weighted')")
_FIELD = Index("ix_frames_field", "object", "id", sqlite_where=_HERE, postgresql_where=_HERE)
"""Of the frames that are here, so that a field can be kept together; a listing does not touch it either."""

URGENT = text("priority <> 0")
_TURNS = Index("ix_frames_urgent", "state", "priority", "id", sqlite_where=URGENT, postgresql_where=URGENT)
"""Of the few frames that somebody gave a priority; all others are taken in the order of `ix_frames_states`."""


class Frame(Base):
    """One generation of a frame: the same name processed again is a new row."""

    __tablename__ = "frames"
    __table_args__ = (
        UniqueConstraint("name", "generation"),
        Index("ix_frames_run", "kind", "current", "runid", "id"),
        Index("ix_frames_release", "kind", "current", "release"),
        Index("ix_frames_states", "kind", "current", "state", "id"),
        _WAITING,
        _DONE,
        _NEXT,
        _FIELD,
        _TURNS,
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(Name)
    """Identity, as 979412p."""
    generation: Mapped[int] = mapped_column(default=1)
    """1 for the first processing seen, one more for each re-processing."""
    current: Mapped[bool] = mapped_column(default=True)
    """Whether this is the highest generation of its name."""
    cause: Mapped[str | None] = mapped_column(Text(20))
    """What made this generation: new, checksum, processed, version, size, or stamp."""
    kind: Mapped[FrameKind] = mapped_column(Word(FrameKind, 10), default=FrameKind.OBJECT)
    state: Mapped[FrameState] = mapped_column(Word(FrameState, 12), default=FrameState.SPOTTED)
    reason: Mapped[str | None]
    """Why the frame waits, was rejected or failed; none while all goes well."""
    retry_at: Mapped[datetime | None]
    """When the next try is due; none: at once."""
    attempts: Mapped[int] = mapped_column(default=0)
    """Tries used up in the present state."""
    priority: Mapped[int] = mapped_column(default=0)
    """Higher goes first; an operator's request sets 100."""

    uri: Mapped[str]
    """Where the archive has it, as cadc:CFHT/979412p.fits.fz."""
    archive_modified: Mapped[datetime | None]
    """maxLastModified of the observation when last seen."""
    release: Mapped[datetime | None]
    """When the pixels become public."""
    processed_at: Mapped[datetime | None]
    """DATEPROC as the archive lists it."""
    elixir_version: Mapped[str | None] = mapped_column(Text(20))
    """EL_SYS as the archive lists it."""
    offered: Mapped[int | None]
    """Generation of a product as its publisher counts; none for frames."""
    withdrawn_at: Mapped[datetime | None]
    """When the archive was found to list it no more; we keep what we have."""
    size: Mapped[int | None]
    """Bytes of the file as the archive serves it."""
    wire_digest: Mapped[str | None] = mapped_column(Text(80))
    """Digest of these bytes, as md5:<hex>."""
    pixel_digest: Mapped[str | None] = mapped_column(Text(80))
    """Digest of the decoded pixels of all HDUs; survives another compression."""
    disk: Mapped[str | None] = mapped_column(Text(32))
    """Reception disk on which it lies or is promised room; none: the first."""
    path: Mapped[str | None]
    """Path below the reception disk while the file lies there; none once it has moved on."""

    runid: Mapped[str | None] = mapped_column(Text(20))
    """Observing run (proposal)."""
    crunid: Mapped[str | None] = mapped_column(Text(20))
    """Camera run of Elixir's calibrations."""
    qrunid: Mapped[str | None] = mapped_column(Text(20))
    """Queue run."""
    instrument: Mapped[str | None] = mapped_column(Text(40))
    """INSTRUME, as MegaPrime."""
    object: Mapped[str | None] = mapped_column(Text(80))
    """Target as the observer named it."""
    filter: Mapped[str | None] = mapped_column(Text(40))
    """Filter, as r.MP9601."""
    exposure_time: Mapped[float | None]
    """Seconds."""
    airmass: Mapped[float | None]
    """At the start of the exposure, as in the header."""
    observed_at: Mapped[datetime | None]
    """Start of the exposure."""
    ra: Mapped[float | None]
    """Centre of the mosaic, degrees, ICRS as far as the header's FK5 J2000 goes."""
    dec: Mapped[float | None]
    """Likewise."""
    corners: Mapped[list[Any] | None]
    """Four [ra, dec] in degrees around the mosaic."""
    ccds: Mapped[int | None]
    """CCDs in the file."""
    flat: Mapped[str | None] = mapped_column(Text(80))
    """IMRED_FF: the flat field that Elixir divided by."""
    mask: Mapped[str | None] = mapped_column(Text(80))
    """IMRED_MK: the mask of bad pixels."""
    elixir: Mapped[dict[str, Any] | None]
    """EL_SYS, DATEPROC, IMRED_* and PHOT_* as read from the primary header."""
    needs: Mapped[dict[str, Any] | None]
    """Bytes it will take on a node: frame, unpacked, weight, flag, sources, scratch."""

    spotted_at: Mapped[datetime]
    """When it was first listed by the archive."""
    fetched_at: Mapped[datetime | None]
    """When it was on the reception disk."""
    valid_at: Mapped[datetime | None]
    """When it was verified."""
    placed_at: Mapped[datetime | None]
    """When it was on its node."""
    weighted_at: Mapped[datetime | None]
    """When it was weighted."""
    catalogued_at: Mapped[datetime | None]
    """When catalogue and PSF were made with its present maps."""
    acknowledged_at: Mapped[datetime | None]
    """When its publisher was told that a product is safely here; none for frames."""
    supersedes: Mapped[int | None] = mapped_column(ForeignKey("frames.id"))
    """The generation before this one."""
