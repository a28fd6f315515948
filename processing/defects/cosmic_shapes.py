"""Shapes that cosmic rays leave, and the light that could be taken for them (docs/algorithms/cosmics.md)."""

import math

import numpy as np
from numpy.typing import NDArray

from processing.kernels import cosmic_shapes as kernels

SIZE = 7
"""Pixels on a side of the window that a shape fills."""
SPREAD = 0.5
"""Pixels rms: charge on its way to the gates, and the pixel itself."""
POINTS = ((0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.5, 0.5))
"""Row and column of a point, from the middle of its pixel."""
LINES = ((3.0, 4), (6.0, 8))
"""Lengths in pixels, and in how many directions."""
ARC, RADIUS, TURNS = 6.0, 3.0, 8
"""Pixels and pixels, and in how many directions: what a slow electron leaves."""
STEP, BEYOND = 0.5, 1.0
"""Pixels from one image of a star to the next, and how far outside the window they go."""
_FINE = 0.25

Floats = NDArray[np.float64]


def shapes() -> NDArray[np.float64]:
    """Draw the shapes: points, straight lines and arcs.

    Returns
    -------
    shapes : (n, SIZE, SIZE) float64, of norm 1
    """
    drawn = [_drawn(np.array([y]), np.array([x])) for y, x in POINTS]
    for length, directions in LINES:
        along = _along(length)
        angles = np.pi * np.arange(directions) / directions
        drawn += [_drawn(along * math.sin(angle), along * math.cos(angle)) for angle in angles]
    turn = _along(ARC) / RADIUS
    along, aside = RADIUS * np.sin(turn), RADIUS * (1.0 - np.cos(turn))
    aside -= aside.mean()
    for angle in 2.0 * np.pi * np.arange(TURNS) / TURNS:
        sine, cosine = math.sin(angle), math.cos(angle)
        drawn.append(_drawn(along * sine + aside * cosine, along * cosine - aside * sine))
    return np.array(drawn)


def images(bounds: NDArray[np.float32]) -> Floats:
    """Give the images of stars as sharp as `bounds` (`cosmics.sharpness`) let them be, wherever they touch the window.

    Between the bounds along the row, the column and both diagonals, the image is a Gauss curve; the wings of real ones
    are wider, so that they are sums of these.

    Returns
    -------
    images : (m, SIZE * SIZE) float64, of norm 1
    """
    log = np.log(bounds.astype(np.float64))
    across, up, slant = 0.5 * log[0], 0.5 * log[1], 0.125 * (log[2] - log[3])
    reach = SIZE // 2
    line = np.arange(-reach, reach + 1.0)
    at = np.arange(-reach - BEYOND, reach + BEYOND + 1e-9, STEP)
    y, x, row, column = np.meshgrid(at, at, line, line, indexing="ij")
    dy, dx = row - y, column - x
    found = np.exp(-(across * dx**2 + up * dy**2 + 2.0 * slant * dx * dy)).reshape(at.size**2, SIZE**2)
    stars: Floats = found / np.sqrt((found**2).sum(axis=1))[:, None]
    return stars


def bank(bounds: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give the shapes and the filters for them that starlight does not pass.

    Returns
    -------
    shapes, filters : (n, SIZE, SIZE) float32, of norm 1
    """
    drawn = shapes()
    filters = kernels.without_light(drawn.reshape(-1, SIZE**2), images(bounds))
    return drawn.astype(np.float32), filters.reshape(drawn.shape).astype(np.float32)


def _along(length: float) -> Floats:
    return np.linspace(-0.5 * length, 0.5 * length, round(length / _FINE) + 1)


def _drawn(y: Floats, x: Floats) -> Floats:
    """Spread the charge of points round the middle of the window."""
    line = np.arange(SIZE) - SIZE // 2
    up = np.exp(-0.5 * ((line[:, None] - y) / SPREAD) ** 2)
    across = np.exp(-0.5 * ((line[:, None] - x) / SPREAD) ** 2)
    image: Floats = np.einsum("yp,xp->yx", up, across)
    return image / math.sqrt(float((image**2).sum()))
