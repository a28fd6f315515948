"""A region as a file of DS9 tells it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class System(StrEnum):
    """What the positions of a region are."""

    IMAGE = "image"  #: pixels of the file, the first one being 1
    PHYSICAL = "physical"  #: pixels before the image was cut or binned (LTM, LTV)
    FK4 = "fk4"  #: B1950, degrees
    FK5 = "fk5"  #: J2000, degrees
    ICRS = "icrs"  #: degrees
    GALACTIC = "galactic"  #: degrees
    ECLIPTIC = "ecliptic"  #: of J2000, degrees

    @property
    def on_the_sky(self) -> bool:
        return self not in {System.IMAGE, System.PHYSICAL}


class Unit(StrEnum):
    """What a length of a region is."""

    IMAGE = "i"  #: pixels of the file
    PHYSICAL = "p"  #: pixels before the image was cut or binned
    DEGREE = "d"  #: degrees on the sky


@dataclass(frozen=True, slots=True)
class Length:
    """A radius, a half-axis or a side."""

    value: float
    unit: Unit


@dataclass(frozen=True, slots=True)
class Region:
    """One shape."""

    shape: str
    """``polygon``, ``circle``, ``ellipse``, ``box`` or ``annulus``; annuli may be elliptical or boxes."""
    system: System
    points: tuple[tuple[float, float], ...]
    """Corners of a polygon, otherwise the centre, in `system`."""
    lengths: tuple[tuple[Length, Length], ...] = ()
    """Half-axes along x and y; two pairs, the inner one first, where the inside is left out."""
    angle: float = 0.0
    """Degrees: from x towards y of the image, or from west towards north on the sky."""
    tile: int = 1
    """Number of the image in the file, from 1; means nothing where `system` is on the sky."""
    excluded: bool = False
    """What lies in it is not in the mask, whatever else covers it."""
    text: str = ""
    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    """All others, as they stand in the file, ``global`` lines included."""
    path: Path | None = None
    """File it was read from."""
    line: int = 0
    """Line of that file, from 1."""
