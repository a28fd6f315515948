"""Where a click on a picture of the focal plane meets the detectors, and where one goes from there. Pure."""

import math
from dataclasses import dataclass
from typing import Final, Self

from terapix.instruments import Ccd, Instrument

SHOWN: Final = 400
"""Pixels of the page across which a picture is shown, whatever the window: the browser tells clicks in them."""
SIDES: Final = (64, 128, 256, 512)
"""Sides of the squares that are shown at full resolution, in pixels."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A pixel of a frame."""

    ccd: int
    """Which CCD of the frame, from 0."""
    x: int
    """Column, from 0 in the frame as read out."""
    y: int

    def within(self, instrument: Instrument) -> Self:
        """The same, moved into the illuminated part of its CCD."""
        x0, x1, y0, y1 = instrument.datasec
        return type(self)(self.ccd, min(max(self.x, x0), x1 - 1), min(max(self.y, y0), y1 - 1))


def clicked(text: str) -> tuple[int, int] | None:
    """Read what a browser sends of a click on a picture: ``137,62``, from the upper left corner."""
    across, comma, down = text.partition(",")
    plain = all(part.isascii() and part.isdigit() and len(part) < 6 for part in (across, down))
    return (int(across), int(down)) if comma and plain else None


def aim(instrument: Instrument, ccds: tuple[Ccd, ...], click: tuple[int, int], side: int) -> Aim:
    """Give the pixel that was clicked on, on the nearest CCD where that was between them.

    Parameters
    ----------
    ccds : the CCDs of the frame
    click : pixels of the page from the picture's upper left corner, the picture being `SHOWN` wide
    side : pixels of the mosaic across one of the picture, which has one row and one column to spare
    """
    left, low = min(ccd.column for ccd in ccds), min(ccd.row for ccd in ccds)
    columns = -(-(max(ccd.column for ccd in ccds) - left + instrument.ccd_width) // side) + 1
    rows = -(-(max(ccd.row for ccd in ccds) - low + instrument.ccd_height) // side) + 1
    scale = columns * side / SHOWN
    across = left + (click[0] + 0.5) * scale
    up = low + rows * side - (click[1] + 0.5) * scale

    def distance(ccd: Ccd) -> float:
        beside = max(ccd.column - across, across - ccd.column - instrument.ccd_width, 0.0)
        return math.hypot(beside, max(ccd.row - up, up - ccd.row - instrument.ccd_height, 0.0))

    number = min(range(len(ccds)), key=lambda index: distance(ccds[index]))
    ccd = ccds[number]
    dx, dy = math.floor(across) - ccd.column, math.floor(up) - ccd.row
    if ccd.flipped:
        dx, dy = instrument.ccd_width - 1 - dx, instrument.ccd_height - 1 - dy
    return Aim(number, instrument.datasec[0] + dx, instrument.datasec[2] + dy).within(instrument)


def on_mosaic(instrument: Instrument, ccd: Ccd, at: Aim) -> tuple[int, int]:
    """Place of a pixel on the mosaic, in its pixels from the south-east corner."""
    dx, dy = at.x - instrument.datasec[0], at.y - instrument.datasec[2]
    if ccd.flipped:
        dx, dy = instrument.ccd_width - 1 - dx, instrument.ccd_height - 1 - dy
    return ccd.column + dx, ccd.row + dy


def steps(at: Aim, side: int, *, flipped: bool) -> dict[str, Aim]:
    """Give the squares beside this one, by where they lie on the picture: half a square up, down, left and right."""
    step = side // 2 * (-1 if flipped else 1)
    ways = {"left": (-step, 0), "right": (step, 0), "up": (0, step), "down": (0, -step)}
    return {way: Aim(at.ccd, at.x + dx, at.y + dy) for way, (dx, dy) in ways.items()}
