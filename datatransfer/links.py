"""Links: from where to where frames go between hosts, and how many, how fast, at this hour. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final

from terapix.hosts import LinkSection
from terapix.hours import Limit, holds_at, strictest

RECEPTION: Final = "reception"
"""Name of the place that all reception disks are, for limits."""


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """From one place to another."""

    source: str
    """Name of a node, or reception."""
    target: str
    """Name of a node."""

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


def concerns(section: LinkSection, link: Link) -> bool:
    """Tell whether a section means a link."""
    return fnmatchcase(link.source, section.source) and fnmatchcase(link.target, section.target)


def limit_of(sections: Sequence[LinkSection], link: Link, at: datetime) -> Limit:
    """Give the strictest of all limits that hold on a link now, whatever goes over others that share them."""
    return strictest((each.moves, each.rate) for each in sections if concerns(each, link) and holds_at(each, at))


def obstacle(sections: Sequence[LinkSection], moves: Collection[Link], link: Link, at: datetime) -> LinkSection | None:
    """Give the limit that keeps one move more from a link; none if it may begin.

    Parameters
    ----------
    moves : the link of each move that goes on
    """
    for section in sections:
        going = sum(concerns(section, each) for each in moves)
        if section.moves and concerns(section, link) and holds_at(section, at) and going >= section.moves:
            return section
    return None


def rates(sections: Sequence[LinkSection], moves: Collection[Link], at: datetime) -> Mapping[Link, int]:
    """Share what may go over links out among those in use, by the moves of each.

    Returns
    -------
    Mapping
        Bytes a second for each link in use; 0: as fast as it goes. What a section allows is shared by all the links
        that it means, so that never more than that goes over them together.
    """
    found = dict.fromkeys(moves, 0)
    for section in sections:
        if not section.rate or not holds_at(section, at):
            continue
        meant = [link for link in moves if concerns(section, link)]
        for link in set(meant):
            share = max(1, section.rate * meant.count(link) // len(meant))
            found[link] = min(found[link] or share, share)
    return found
