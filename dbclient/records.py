"""Rows as values: frozen, slotted, with the tables' own field names (a test proves it)."""

from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

from dbclient.schema import (
    DifferenceState,
    FrameKind,
    FrameState,
    HostState,
    JobState,
    Level,
    NodeState,
    ProductState,
    PublicationState,
    ReplicaState,
    RequestKind,
    RequestState,
    TransferKind,
    TransferMode,
    TransferState,
    Wish,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One generation of a frame or calibration; units as in `dbclient.schema.frames`."""

    id: int
    name: str
    generation: int
    current: bool
    cause: str | None
    kind: FrameKind
    state: FrameState
    reason: str | None
    retry_at: datetime | None
    attempts: int
    priority: int
    uri: str
    archive_modified: datetime | None
    release: datetime | None
    processed_at: datetime | None
    elixir_version: str | None
    offered: int | None
    withdrawn_at: datetime | None
    size: int | None
    wire_digest: str | None
    pixel_digest: str | None
    disk: str | None
    path: str | None
    runid: str | None
    crunid: str | None
    qrunid: str | None
    instrument: str | None
    object: str | None
    filter: str | None
    exposure_time: float | None
    airmass: float | None
    observed_at: datetime | None
    ra: float | None
    dec: float | None
    corners: list[Any] | None
    ccds: int | None
    flat: str | None
    mask: str | None
    elixir: dict[str, Any] | None
    needs: dict[str, Any] | None
    spotted_at: datetime
    fetched_at: datetime | None
    valid_at: datetime | None
    placed_at: datetime | None
    weighted_at: datetime | None
    catalogued_at: datetime | None
    acknowledged_at: datetime | None
    supersedes: int | None


@dataclass(frozen=True, slots=True)
class FrameRow(FrameRecord):
    """A frame as lists show it."""

    node: str | None = None
    """Node that holds it."""
    progress: float | None = None
    """Share done of what is being done with it now, 0 to 1; none while it waits."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run with how far its frames have come."""

    runid: str | None
    frames: int
    bytes: int
    filters: tuple[str, ...]
    states: dict[FrameState, int]


@dataclass(frozen=True, slots=True)
class NodeRecord:
    id: int
    name: str
    directory: str
    address: str | None
    state: NodeState
    reason: str | None
    since: datetime | None
    capacity: int
    used: int
    free: int
    reserve: int
    seen_at: datetime | None
    disks: list[Any] | None = None


@dataclass(frozen=True, slots=True)
class NodeRoom:
    """What placement knows of a node, in bytes."""

    node_id: int
    name: str
    state: NodeState
    free: int
    leased: int
    reserve: int
    frames: int
    runs: frozenset[str]
    capacity: int = 0
    used: int = 0
    promised: tuple[int, int, int] = (0, 0, 0)
    """What `leased` is for: frames, products, scratch."""
    disks: tuple[Any, ...] = ()
    """Its disks as last measured; see `dbclient.schema.nodes`."""


@dataclass(frozen=True, slots=True)
class DaemonRecord:
    name: str
    host: str
    pid: int
    status: str
    endpoint: str | None
    started_at: datetime
    beat_at: datetime
    figures: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ReplicaRecord:
    id: int
    frame_id: int
    node_id: int
    path: str
    size: int
    digest: str
    state: ReplicaState
    verified_at: datetime


@dataclass(frozen=True, slots=True)
class TransferRecord:
    id: int
    frame_id: int
    node_id: int | None
    kind: TransferKind
    state: TransferState
    source: str
    origin_id: int | None
    mode: TransferMode | None
    priority: int
    bytes_total: int | None
    bytes_done: int
    rate: float | None
    reason: str | None
    headers: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    paused_at: datetime | None
    paused_by: str | None
    paused_because: str | None
    kept: int | None
    ended_at: datetime | None
    frame: str
    """Name of the frame."""
    node: str | None


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    id: int
    frame_id: int
    node_id: int
    frame_bytes: int
    product_bytes: int
    scratch_bytes: int
    created_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProductRecord:
    id: int
    frame_id: int
    job_id: int
    node_id: int
    stage: str
    kind: str
    state: ProductState
    path: str
    size: int
    digest: str
    provenance: dict[str, Any]
    created_at: datetime
    verified_at: datetime


@dataclass(frozen=True, slots=True)
class NewProduct:
    """A product as a worker hands it in."""

    kind: str
    path: str
    """Below the node's root."""
    size: int
    digest: str
    provenance: dict[str, Any]


@dataclass(frozen=True, slots=True)
class JobRecord:
    id: int
    frame_id: int
    node_id: int
    stage: str
    recipe: str
    state: JobState
    attempts: int
    worker: str | None
    claim: str | None
    done_share: float
    reason: str | None
    retry_at: datetime | None
    beat_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    summary: dict[str, Any] | None
    frame: str
    """Name of the frame."""
    node: str | None


@dataclass(frozen=True, slots=True)
class RequestRecord:
    id: int
    kind: RequestKind
    arguments: dict[str, Any]
    state: RequestState
    answer: str | None
    asked_by: str
    asked_at: datetime
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class EventRecord:
    id: int
    at: datetime
    source: str
    kind: str
    level: Level
    message: str
    frame_id: int | None
    node_id: int | None
    data: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class SealRecord:
    id: int
    at: datetime
    before: str
    after: int
    last: int
    events: int
    gaps: list[Any]
    late: list[Any]
    awaited: list[Any]
    content: str
    marks: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class HostRecord:
    name: str
    state: HostState
    failures: int
    rests: int
    reason: str | None
    until: datetime | None
    answered_at: datetime | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class DifferenceRecord:
    id: int
    archive: str
    state: DifferenceState
    asked_by: str
    reason: str | None
    started_at: datetime
    ended_at: datetime | None
    listed: int
    missed: int
    changed: int
    withdrawn: int
    returned: int
    lost: int
    strange: int


@dataclass(frozen=True, slots=True)
class PublicationRecord:
    id: int
    name: str
    generation: int
    kind: str
    state: PublicationState
    product_id: int | None
    frame_id: int | None
    runid: str | None
    source: str
    disk: str | None
    path: str | None
    size: int | None
    wire_digest: str | None
    pixel_digest: str | None
    reason: str | None
    retry_at: datetime | None
    attempts: int
    registered_at: datetime
    offered_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReceiptRecord:
    id: int
    publication_id: int
    follower: str
    agrees: bool
    wire_digest: str | None
    pixel_digest: str | None
    told_at: datetime


@dataclass(frozen=True, slots=True)
class ControlRecord:
    daemon: str
    wish: Wish
    reload_at: datetime | None
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class ConfigurationRecord:
    id: int
    daemon: str
    text: str
    comment: str
    saved_by: str
    saved_at: datetime


@cache
def _taken(kind: Any, more: frozenset[str]) -> tuple[tuple[str, ...], Any]:
    """Name the fields that a row gives, and give what takes them from it, the first twice: always more than one."""
    names = tuple(field.name for field in fields(kind) if field.name not in more)
    return names, attrgetter(*names, names[0])


def record(kind: type[T], row: Any, **more: Any) -> T:
    """Make a record from a mapped row: fields of the same name are taken over, `more` gives the rest."""
    chosen: Any = kind
    names, take = _taken(chosen, frozenset(more))
    return kind(**dict(zip(names, take(row), strict=False)), **more)
