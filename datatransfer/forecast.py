"""Forecast: when a transfer would be done, and which runs would lose their room by it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from datatransfer.lanes import AGEING
from datatransfer.placement import Plan
from dbclient.records import TransferRecord

ENOUGH: Final = 5
"""Transfers into a node that tell its rate; of fewer, those into all nodes are taken."""
LONGEST: Final = timedelta(days=3650)
"""A forecast beyond is none."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of a transfer."""

    ahead: int
    """Bytes that move before it."""
    rate: float | None
    """Bytes a second that came through of late, all moves at once together; none if nothing was ever moved."""
    done_at: datetime | None
    """When its last frame would be there; none where nothing moves, or nobody knows how fast."""


def rate_of(moves: Sequence[TransferRecord], node: str) -> float | None:
    """Measure bytes a second over the last transfers into a node, of time in which at least one was under way."""
    over = [move for move in moves if move.started_at and move.ended_at and move.bytes_done > 0]
    into = [move for move in over if move.node == node]
    chosen = into if len(into) >= ENOUGH else over
    busy, until = timedelta(0), None
    times = sorted((move.started_at, move.ended_at) for move in chosen if move.started_at and move.ended_at)
    for begun, ended in times:
        since = begun if until is None else max(begun, until)
        busy += max(timedelta(0), ended - since)
        until = ended if until is None else max(until, ended)
    seconds = busy.total_seconds()
    return sum(move.bytes_done for move in chosen) / seconds if seconds > 0 else None


def ahead_of(waiting: Iterable[TransferRecord], frames: Iterable[int], *, priority: int, now: datetime) -> int:
    """Sum the bytes that move before frames that are promised now in a lane, without what is promised to these."""
    own, turn = set(frames), now - timedelta(seconds=AGEING * priority)
    return sum(
        max(0, (each.bytes_total or 0) - each.bytes_done)
        for each in waiting
        if each.frame_id not in own
        and (each.started_at is not None or each.created_at - timedelta(seconds=AGEING * each.priority) <= turn)
    )


def forecast(own: int, *, ahead: int, rate: float | None, now: datetime) -> Forecast:
    """Say when so many bytes would be through."""
    if not own or not rate:
        return Forecast(ahead, rate, None)
    takes = (ahead + own) / rate
    return Forecast(ahead, rate, now + timedelta(seconds=takes) if takes < LONGEST.total_seconds() else None)


def held_back(before: Plan, after: Plan) -> tuple[str, ...]:
    """Name the runs, or the frames that are of none, that have room in one plan and not in the other."""
    placed = {promise.wanted.frame_id for promise in before.promises}
    lost = [refusal.wanted for refusal in after.refused if refusal.wanted.frame_id in placed]
    return tuple(dict.fromkeys(wanted.runid or wanted.name for wanted in lost))


def at(moment: datetime, now: datetime) -> str:
    """Write a moment as a person says it on that day: ``04:10``, or ``2003-12-22 04:10``; UTC."""
    return f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M}"
