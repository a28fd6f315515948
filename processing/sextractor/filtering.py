"""Detection filters: ``.conv`` files, kernels as the convolution takes them, and what filters rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadSetting
from processing.kernels import convolve, retina
from processing.sextractor.records import Pixels
from processing.sextractor.retina import Retina
from processing.sextractor.settings import Settings

LONGEST = 1024
"""Values of a filter, as the original has room for."""


def read_filter(path: Path) -> tuple[tuple[tuple[float, ...], ...], bool]:
    """Return the rows of a filter file and whether it is to be divided by its sum.

    Raises
    ------
    BadSetting
        Names the file and line and what was expected.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as problem:
        raise BadSetting(f"FILTER_NAME = {path}: cannot be read ({problem.strerror})") from problem
    told = [(number, line.split("#")[0].split()) for number, line in enumerate(lines, 1)]
    told = [(number, words) for number, words in told if words]
    if not told or told[0][1][0] != "CONV":
        raise BadSetting(f"{path}: CONV NORM or CONV NONORM was expected in its first line")
    rows: list[tuple[float, ...]] = []
    for number, words in told[1:]:
        try:
            rows.append(tuple(float(word) for word in words))
        except ValueError:
            raise BadSetting(f"{path}:{number}: {' '.join(words)}: numbers were expected") from None
        if len(rows[-1]) != len(rows[0]):
            raise BadSetting(f"{path}:{number}: {len(rows[-1])} values, but {len(rows[0])} in the row above")
    if not rows or len(rows) * len(rows[0]) > LONGEST:
        raise BadSetting(f"{path}: 1 to {LONGEST} values were expected")
    if not any(any(row) for row in rows):
        raise BadSetting(f"{path}: every value is 0; a filter has some that are not")
    return tuple(rows), "NONORM" not in told[0][1]


def kernel(rows: tuple[tuple[float, ...], ...] | None, *, normalised: bool) -> NDArray[np.float32]:
    """Return a filter as it is multiplied with pixels, (height, width) float32; one pixel of 1 where there is none.

    It is divided by the sum of its absolute values, so that a filter whose own sum is about 0 (a Mexican hat) keeps its
    height.
    """
    if rows is None:
        return np.ones((1, 1), np.float32)
    values = np.array(rows, np.float32)
    if normalised:
        wide = values.astype(np.float64)
        values = (wide / np.abs(wide).sum()).astype(np.float32)
    return values


@dataclass(frozen=True, slots=True)
class Filter:
    """What filters rows of one image: a kernel, or a retina."""

    kernel: NDArray[np.float32]
    """One pixel of 1 where a retina filters."""
    retina: Retina | None
    sigma: np.float32
    """Noise of the background, ADU."""
    bounds: tuple[np.float32, np.float32]
    """ADU; pixels beyond them a retina leaves as they are."""

    @property
    def height(self) -> int:
        """Rows that it looks at for one."""
        return self.kernel.shape[0] if self.retina is None else self.retina.window[0]

    def fill(self, pixels: Pixels, first: int, filtered: Pixels) -> None:
        """Fill `filtered` (any, nx) with rows from `first` of `pixels` on, filtered; what lacks is outside."""
        if self.retina is None:
            convolve.convolve(pixels, self.kernel, first, filtered)
        else:
            one = self.retina
            retina.look(
                pixels, first, one.window, one.neurons, one.weights, one.linear, self.sigma, self.bounds, filtered
            )


def filter_with(settings: Settings, rms: float) -> Filter:
    """Return what filters an image whose background has a noise of `rms`, ADU."""
    sigma, given = np.float32(rms), settings.filter_thresh
    low = np.float32(given[0] * float(sigma)) if given else np.float32(-np.inf)
    high = np.float32(given[1] * float(sigma)) if len(given) > 1 else np.float32(1e30 if given else np.inf)
    kernel_of = kernel(settings.filter, normalised=settings.filter_normalised)
    return Filter(kernel_of, settings.retina, sigma, (low, high))
