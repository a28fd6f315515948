"""Geometry of what the page draws: the chain, the nodes' bars and the focal plane, as numbers for SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from dbclient.stores.fillings import Filled
from spica.chain import NodeBar, Step
from terapix.instruments import Ccd, Instrument

BAR = 1000.0
"""Width of a node's bar in its own units."""
ASIDE = ("rejected", "failed")
"""Steps that are no step of the way but beside it."""


@dataclass(frozen=True, slots=True)
class Link:
    """One step of the chain, drawn from its own share down to the next one's."""

    name: str
    count: int
    share: float
    here: int
    """Frames that are in this very state now."""
    points: str
    """Polygon in a box of 100 x 60."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a node's bar."""

    kind: str
    """held, promised, free, reserve or other."""
    x: float
    width: float
    bytes: int
    words: str


@dataclass(frozen=True, slots=True)
class Place:
    """A CCD on the focal plane."""

    ccd: Ccd
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class FocalPlane:
    """CCDs in their places, north up, in units of mosaic pixels."""

    width: int
    height: int
    ccd_width: int
    ccd_height: int
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """How something went, as a line."""

    points: str
    count: int
    """Points of the line: one is none."""
    words: str


def chain(steps: Sequence[Step], here: dict[str, int]) -> tuple[list[Link], list[Link]]:
    """Draw the steps of the way as one falling band, and those beside it each alone."""
    way = [step for step in steps if step.name not in ASIDE]
    beside = [step for step in steps if step.name in ASIDE]
    links = []
    for index, step in enumerate(way):
        following = way[index + 1].share if index + 1 < len(way) else step.share
        links.append(_link(step, following, here))
    return links, [_link(step, step.share, here) for step in beside]


def _link(step: Step, following: float, here: dict[str, int]) -> Link:
    left, right = 60 - 58 * step.share, 60 - 58 * following
    points = f"0,60 0,{left:.1f} 50,{left:.1f} 100,{right:.1f} 100,60"
    return Link(step.name, step.count, step.share, here.get(step.name, 0), points)


def bar(node: NodeBar) -> list[Part]:
    """Divide a node's bar: held, promised, free, reserve, and what others hold of its disk."""
    capacity = max(node.capacity, node.used + node.free, 1)
    promised = min(node.leased, node.free)
    reserve = max(0, min(node.reserve, node.free - promised))
    free = max(0, node.free - promised - reserve)
    amounts = (
        ("held", node.used, "held by frames and products"),
        ("promised", promised, "promised to frames on their way"),
        ("free", free, "free to promise"),
        ("reserve", reserve, "in reserve, never promised"),
        ("other", max(0, capacity - node.used - node.free), "taken by others on this disk"),
    )
    parts, x = [], 0.0
    for kind, amount, words in amounts:
        width = BAR * amount / capacity
        if amount > 0:
            parts.append(Part(kind, round(x, 2), round(max(width, 1.0), 2), amount, words))
        x += width
    return parts


def trend(history: Sequence[Filled], capacity: int, *, begin: date, days: int) -> Trend:
    """Draw how full a disk was on each day, as a line in a box of 100 x 30."""
    most = max(capacity, 1)
    points = [(100 * (one.day - begin).days / days, 30 - 29 * min(1.0, one.used / most)) for one in history]
    words = ""
    if history:
        first, last = history[0], history[-1]
        words = f"{100 * first.used / most:.0f} % full on {first.day}, {100 * last.used / most:.0f} % on {last.day}"
    return Trend(" ".join(f"{x:.1f},{y:.1f}" for x, y in points), len(points), words)


def focal_plane(instrument: Instrument, count: int | None) -> FocalPlane:
    """Put the CCDs of a frame that has `count` of them in their places."""
    ccds = instrument.ccds_of(count or len(instrument.ccds))
    width, height = instrument.ccd_width, instrument.ccd_height
    left, low = min(ccd.column for ccd in ccds), min(ccd.row for ccd in ccds)
    right = max(ccd.column for ccd in ccds) + width
    top = max(ccd.row for ccd in ccds) + height
    places = tuple(Place(ccd, ccd.column - left, top - ccd.row - height) for ccd in ccds)
    return FocalPlane(right - left, top - low, width, height, places)
