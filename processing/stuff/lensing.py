"""A constant lens in front of the field: convergence kappa and shear gamma.

The image of a source is its shape under the inverse of A = [[1-k-g1, -g2], [-g2, 1-k+g1]]
(Bartelmann & Schneider 2001, Phys. Rep. 340, 291, section 3.1). Light grows by 1/det A; the field shows
an area smaller by det A of the sky behind, to a fainter limit.
"""

import numpy as np
from numpy.typing import NDArray

from processing.stuff.settings import Settings

Floats = NDArray[np.float64]


def source_area(settings: Settings) -> float:
    """Area of the sky behind the lens over that of the field: det A."""
    g1, g2 = settings.gamma
    return (1.0 - settings.kappa) ** 2 - g1**2 - g2**2


def gain(settings: Settings) -> float:
    """Magnitudes by which images are brighter than sources."""
    return float(-2.5 * np.log10(source_area(settings)))


def lensed(settings: Settings, radius: Floats, ratio: Floats, angle: Floats) -> tuple[Floats, Floats, Floats]:
    """Semi-major axes, axis ratios and angles (degrees from x over y) of images of elliptical sources."""
    g1, g2 = settings.gamma
    k = settings.kappa
    if k == 0.0 and g1 == 0.0 and g2 == 0.0:
        return radius, ratio, angle
    image = np.linalg.inv(np.array([[1 - k - g1, -g2], [-g2, 1 - k + g1]]))
    turn = np.radians(angle)
    cosine, sine = np.cos(turn), np.sin(turn)
    axes = np.array([[cosine, -sine * ratio], [sine, cosine * ratio]])
    (a, b), (c, d) = np.einsum("ij,jkn->ikn", image, axes)
    xx, yy, xy = a * a + b * b, c * c + d * d, a * c + b * d
    middle, half = 0.5 * (xx + yy), np.hypot(0.5 * (xx - yy), xy)
    long, short = np.sqrt(middle + half), np.sqrt(np.maximum(middle - half, 0.0))
    return radius * long, short / long, np.degrees(0.5 * np.arctan2(2 * xy, xx - yy))
