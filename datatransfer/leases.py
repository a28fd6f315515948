"""Leases that have lost their purpose. Pure."""

from collections.abc import Collection, Mapping, Sequence

from dbclient.records import FrameRecord, LeaseRecord
from dbclient.schema import FrameState


def judge(
    leases: Sequence[LeaseRecord],
    frames: Mapping[int, FrameRecord],
    moving: Collection[int],
    *,
    placed: Mapping[int, int],
    due: Collection[int] = (),
) -> tuple[tuple[int, str], ...]:
    """Name the frames whose leases keep room for nothing, and why.

    Parameters
    ----------
    leases : all open ones
    frames : the frames they name
    moving : frames with a move that is promised or running
    placed : the node that holds each placed frame
    due : weighted frames of which more will be made
    """
    release: list[tuple[int, str]] = []
    for lease in leases:
        frame = frames.get(lease.frame_id)
        reason = _lost(lease, frame, moving, placed, due)
        if reason:
            release.append((lease.frame_id, reason))
    return tuple(release)


def _lost(
    lease: LeaseRecord,
    frame: FrameRecord | None,
    moving: Collection[int],
    placed: Mapping[int, int],
    due: Collection[int],
) -> str | None:
    if frame is None:
        return "its frame is unknown"
    if lease.frame_id in moving:
        return None
    if frame.state is FrameState.PLACED or (frame.state is FrameState.WEIGHTED and lease.frame_id in due):
        return None if placed.get(lease.frame_id) == lease.node_id else "its frame lies elsewhere"
    if frame.state is FrameState.FAILED and placed.get(lease.frame_id) == lease.node_id:
        return None
    return f"its frame is {frame.state.value} and nothing moves"
