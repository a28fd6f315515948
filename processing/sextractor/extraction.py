"""What came out of one image: its sources, and what is told of them in headers and summaries."""

from dataclasses import dataclass, field
from enum import StrEnum

from processing.sextractor.parameters import Wanted
from processing.sextractor.records import Table


class Warned(StrEnum):
    """What an image lacked; the catalogue is made all the same, and its metadata say so."""

    NO_WCS = "NO_WCS"  #: positions on the sky are NaN, world coordinates are pixels
    NO_GAIN = "NO_GAIN"  #: errors have no photon noise
    NO_VALUE = "NO_VALUE"  #: pixels that are NaN or infinite
    NO_WEIGHT = "NO_WEIGHT"  #: the weight map is 0 everywhere
    SATURATED = "SATURATED"  #: more than half of the pixels are
    EMPTY = "EMPTY"  #: nothing was detected
    FEWER_FLAGS = "FEWER_FLAGS"  #: the flag map has no such image
    NO_PSF = "NO_PSF"  #: the model of the PSF was made of no star: none is fitted
    NO_PIXELS = "NO_PIXELS"  #: an HDU without a two-dimensional image was passed over


@dataclass(frozen=True, slots=True)
class Caution:
    """One warning."""

    kind: Warned
    told: str
    """What was found, and what it does to the catalogue."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.told}"


@dataclass(frozen=True, slots=True)
class Statistics:
    """Numbers of one image, as its catalogue's header tells them."""

    background: float
    """Median level, ADU."""
    rms: float
    """Median of the background's noise, ADU."""
    threshold: float
    """Of detection, ADU."""
    analysis_threshold: float
    pixel_scale: float
    """Arcseconds."""
    gain: float
    """Electrons an ADU; 0: not told."""
    saturation: float
    """ADU."""
    weight_scales: tuple[float, float] = (0.0, 0.0)
    """By which weights of the measurement and of the detection image were scaled; 0 without weights."""
    detected: int = 0
    """Before CLEAN."""
    groups: int = 0
    """Before they were parted."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Extraction:
    """Sources of one image."""

    number: int
    """Of the image in its file, from 1."""
    count: int
    """Images of the file."""
    file: str
    """Its name, without directories."""
    cards: str = field(repr=False)
    """Header of the image, card images behind each other."""
    wanted: tuple[Wanted, ...] = field(repr=False)
    table: Table = field(repr=False)
    statistics: Statistics
    warnings: tuple[Caution, ...] = ()

    @property
    def sources(self) -> int:
        return len(next(iter(self.table.values())))
