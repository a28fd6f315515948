"""What a CCD's headers tell about its electronics: gain, noise, saturation, scale. Nothing in them is trusted.

A value that is missing or impossible is replaced by the next best one, and a note says so; no frame fails for it.
"""

import functools
import math
from dataclasses import dataclass, field

from processing.areas import Area
from processing.cards import CardValues
from processing.defects.image import Amplifier
from processing.reading import Extension
from terapix.instruments import BrightStars, known_instruments, load_instrument

GAIN = 1.0
"""Electrons an ADU where no header tells."""
READ_NOISE = 5.0
"""Electrons rms where no header tells: what CCDs of large cameras have."""
SCALE = 0.2
"""Arcsec a pixel where no header tells."""
_GAINS = (0.01, 1000.0)
_NOISES = (0.01, 1000.0)
_SCALES = (0.001, 100.0)
"""Values outside these are taken for nonsense."""


@dataclass(frozen=True, slots=True)
class Detector:
    """What reads a CCD out."""

    amplifiers: tuple[Amplifier, ...]
    """In the order of their columns; together they cover the illuminated part."""
    saturation: float
    """ADU from which a pixel is saturated; infinite where the header tells none."""
    pixel_scale: float
    """Arcsec a pixel."""
    optics: BrightStars | None = None
    """What the instrument makes of bright stars; None where the instrument is not known."""
    notes: tuple[str, ...] = ()
    """What the headers lacked, and what was taken."""


@dataclass(slots=True)
class _Headers:
    """The CCD's header, and behind it the primary one."""

    ccd: CardValues
    primary: CardValues
    notes: list[str] = field(default_factory=list)

    def number(self, keywords: tuple[str, ...], within: tuple[float, float], default: float) -> float:
        """First possible value of `keywords`; else `default`, with a note."""
        said: list[str] = []
        for keyword in keywords:
            for values in (self.ccd, self.primary):
                value = values.number(keyword)
                if value is not None and within[0] <= value <= within[1]:
                    if said:
                        self.notes.append(f"{', '.join(said)} cannot be; {keyword} = {value:g} is taken")
                    return value
                if values.plain(keyword):
                    said.append(f"{keyword} = {values.plain(keyword)[:20]}")
        told = f"{', '.join(said)} cannot be" if said else f"no {' or '.join(keywords)}"
        self.notes.append(f"{told}; {default:g} is taken")
        return default


def detector_of(extension: Extension, primary: CardValues, inside: Area) -> Detector:
    """Read what the headers tell about a CCD whose illuminated part is `inside`."""
    headers = _Headers(extension.values, primary)
    amplifiers = _amplifiers(headers, inside)
    scale = _pixel_scale(headers)
    optics = _optics_of(primary.text("INSTRUME") or extension.values.text("INSTRUME"))
    return Detector(amplifiers, _saturation(extension, primary), scale, optics, tuple(headers.notes))


@functools.cache
def _optics_of(camera: str) -> BrightStars | None:
    """What the camera that headers call so makes of bright stars."""
    for name in known_instruments():
        instrument = load_instrument(name)
        if instrument.camera == camera:
            return instrument.bright_stars
    return None


def _amplifiers(headers: _Headers, inside: Area) -> tuple[Amplifier, ...]:
    """Two amplifiers where the header names two (GAINA, GAINB), parted at DSECA or in the middle; else one."""
    if not any(headers.ccd.plain(keyword) for keyword in ("GAINA", "GAINB")):
        gain = headers.number(("GAIN",), _GAINS, GAIN)
        return (Amplifier(inside.x0, inside.x1, gain, headers.number(("RDNOISE",), _NOISES, READ_NOISE)),)
    boundary = (inside.x0 + inside.x1) // 2
    order = ("A", "B")
    sections = [Area.parse(headers.ccd.text(f"DSEC{letter}")) for letter in order]
    if sections[0] and sections[1]:
        if sections[0].x0 > sections[1].x0:
            order = ("B", "A")
        met = max(sections[0].x0, sections[1].x0)
        if inside.x0 < met < inside.x1:
            boundary = met
        else:
            headers.notes.append(f"DSECA and DSECB do not part DATASEC; column {boundary + 1} is taken")
    edges = (inside.x0, boundary, inside.x1)
    return tuple(
        Amplifier(
            edges[place], edges[place + 1],
            headers.number((f"GAIN{letter}", "GAIN"), _GAINS, GAIN),
            headers.number((f"RDNOISE{letter}"[:8], "RDNOISE"), _NOISES, READ_NOISE),
        )
        for place, letter in enumerate(order)
    )  # fmt: skip


def _saturation(extension: Extension, primary: CardValues) -> float:
    """SATURATE, else MAXLIN, of the CCD, else of the primary header; never above what its integers can hold."""
    ceiling = math.inf
    if extension.bitpix in {8, 16}:
        ceiling = (255 if extension.bitpix == 8 else 2**15 - 1) * extension.bscale + extension.bzero
    for values in (extension.values, primary):
        for keyword in ("SATURATE", "MAXLIN"):
            level = values.number(keyword)
            if level is not None and level > 0:
                return min(level, ceiling)
    return ceiling


def _pixel_scale(headers: _Headers) -> float:
    """Scale of the CD matrix, else of CDELT, else PIXSCAL1, PIXSCALE of the header."""
    one, two, three, four = (headers.ccd.number(f"CD{place}") or 0.0 for place in ("1_1", "1_2", "2_1", "2_2"))
    scale = 3600 * math.sqrt(abs(one * four - two * three))
    if _SCALES[0] <= scale <= _SCALES[1]:
        return scale
    scale = 3600 * abs(headers.ccd.number("CDELT1") or 0.0)
    if _SCALES[0] <= scale <= _SCALES[1]:
        return scale
    return headers.number(("PIXSCAL1", "PIXSCALE"), _SCALES, SCALE)
