"""Limits by time of day: when one holds, and which of several is the strictest."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Limited(Protocol):
    """A section of the settings that limits something at some hours."""

    @property
    def rate(self) -> int: ...

    @property
    def begin(self) -> str: ...

    @property
    def end(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Limit:
    """What holds now."""

    connections: int = 0
    """At the same time; 0: no limit."""
    rate: int = 0
    """Bytes a second over all of them; 0: no limit."""


def holds_at(section: Limited, at: datetime) -> bool:
    """Tell whether a section holds at a moment (UTC); its hours may cross midnight, and equal ones are all day."""
    clock = f"{at.astimezone(UTC):%H:%M}"
    if section.begin == section.end:
        return True
    if section.begin < section.end:
        return section.begin <= clock < section.end
    return clock >= section.begin or clock < section.end


def strictest(limits: Iterable[tuple[int, int]]) -> Limit:
    """Give the strictest of limits, each connections and bytes a second; 0 is none."""
    held = list(limits)
    return Limit(
        min((connections for connections, _ in held if connections), default=0),
        min((rate for _, rate in held if rate), default=0),
    )


def changes_at(sections: Iterable[Limited], at: datetime) -> datetime | None:
    """Give the next moment at which another set of sections holds; none if it is always the same one."""
    edges = {edge for section in sections if section.begin != section.end for edge in (section.begin, section.end)}
    now = at.astimezone(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    moments = [
        midnight + timedelta(days=day, hours=int(edge[:2]), minutes=int(edge[3:])) for edge in edges for day in (0, 1)
    ]
    return min((moment for moment in moments if moment > now), default=None)
