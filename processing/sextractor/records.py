"""What the parts of SExtractor hand to each other: rows of pixels, detections, bands, measures.

Pixels are counted from 0 in here; the catalogue counts from 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from processing.sextractor.settings import Settings

Pixels = NDArray[np.float32]
Table = dict[str, NDArray[Any]]
"""Columns by the names of the original, one row a detection."""


class Rows(Protocol):
    """An image from which rows are read when they are needed."""

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""

    def read(self, first: int, end: int) -> NDArray[Any]:
        """Rows `first` to `end`, (end - first, nx); whoever reads them does not change them."""


@runtime_checkable
class Picking(Rows, Protocol):
    """An image of which a few pixels are had for less than all."""

    def at(self, y: NDArray[np.int32], x: NDArray[np.int32], first: int, end: int) -> NDArray[Any]:
        """Return the pixels (n,) at places within rows `first` to `end`."""


def fill(image: Rows, first: int, rows: Pixels) -> None:
    """Fill `rows` (any, nx) float32 with those of an image from `first` on.

    One that puts them there by a method of its own, `fill`, asks for no memory again and again.
    """
    if hasattr(image, "fill"):
        image.fill(first, rows)
    else:
        rows[:] = image.read(first, first + len(rows))


OBJECT = np.dtype(
    [
        ("x", "f8"),  # barycentre of the filtered pixels above the threshold
        ("y", "f8"),
        ("x2", "f8"),  # their second moments, pixel**2
        ("y2", "f8"),
        ("xy", "f8"),
        ("a", "f4"),  # rms along the axes, pixels
        ("b", "f4"),
        ("theta", "f4"),  # degrees from x towards y
        ("cxx", "f4"),  # of the ellipse, pixel**-2
        ("cyy", "f4"),
        ("cxy", "f4"),
        ("abcor", "f4"),  # share of a Gaussian's a*b that the threshold leaves
        ("flux", "f8"),  # sum of the filtered pixels
        ("peak", "f4"),  # largest filtered pixel
        ("x_peak", "i4"),
        ("y_peak", "i4"),
        ("x_min", "i4"),  # bounds, both inside
        ("x_max", "i4"),
        ("y_min", "i4"),
        ("y_max", "i4"),
        ("npix", "i4"),  # pixels above the detection threshold
        ("detection_threshold", "f4"),  # ADU above the background
        ("threshold", "f4"),  # of the analysis, ADU above the background
        ("mthresh", "f4"),  # DETECT_MINAREA-th brightest filtered pixel, above the threshold
        ("flags", "i2"),  # 2: was blended; 64, 128: room was short
        ("singular", "?"),  # moments were below those of a pixel
        ("own", "i4"),  # its own pixels, which come first; those of what CLEAN gave it follow
        ("parent", "i4"),  # number of the blend that it is part of, from 1
        ("x_last", "i4"),  # last pixel of that blend, row by row
        ("y_last", "i4"),
    ]
)
"""One detection, before it is measured."""


@dataclass(frozen=True)
class Detections:
    """Objects in the order of NUMBER, and the pixels that each is made of."""

    objects: NDArray[Any]
    """(n,) OBJECT."""
    starts: NDArray[np.int64]
    """(n + 1,): pixels of object k are those from ``starts[k]`` to ``starts[k + 1]``."""
    x: NDArray[np.int32]
    y: NDArray[np.int32]
    filtered: Pixels
    """Value of the filtered detection image there, ADU above the background."""
    raw: Pixels
    """Value of the detection image before it was filtered, ADU above the background."""
    hidden: NDArray[np.bool_]
    """Whether a pixel of what CLEAN took away counts for no object."""
    held: NDArray[np.int32]
    """(n, 2): first row and end of what the original holds in memory when it measures each; its widest apertures end
    there."""
    found: int
    """Objects before CLEAN took some away."""
    specks: NDArray[np.int32]
    """(m, 2): x and y of pixels above the threshold that are in no object; they count for none."""
    groups: int = 0
    """Of pixels that touch each other: what ID_PARENT counts."""

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """(n, 2) barycentres, (x, y), counted from 0."""
        return np.stack([self.objects["x"], self.objects["y"]], axis=1)

    @cached_property
    def middles(self) -> NDArray[np.float64]:
        """(n, 2) barycentres in single precision: the original puts circles and ellipses there, up to 1e-4 pixel off.

        A pixel at the edge of an ellipse counts or not, so that MAG_AUTO of a faint source hangs on these digits.
        """
        return self.centres.astype(np.float32).astype(np.float64)

    @cached_property
    def shapes(self) -> NDArray[np.float64]:
        """(n, 5): cxx, cyy, cxy, a, b."""
        columns = [self.objects[name].astype(np.float64) for name in ("cxx", "cyy", "cxy", "a", "b")]
        return np.stack(columns, axis=1)

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """(n, 6): x_min, x_max, y_min, y_max of an object's own pixels, and the last pixel (x, y) of its blend."""
        lengths, own = np.diff(self.starts), self.objects["own"].astype(np.int64)
        mine = np.arange(self.starts[-1]) - np.repeat(self.starts[:-1], lengths) < np.repeat(own, lengths)
        x, y = self.x[mine].astype(np.int64), self.y[mine].astype(np.int64)
        begins = np.cumsum(own) - own
        bounds = [each.reduceat(axis, begins) for axis in (x, y) for each in (np.minimum, np.maximum)]
        last = (self.objects[name].astype(np.int64) for name in ("x_last", "y_last"))
        return np.stack((*bounds, *last), axis=1)


@dataclass(frozen=True, slots=True)
class Noise:
    """What a band's errors follow from, with the numbers of one image."""

    gain: float
    """Electrons a unit; 0: infinite."""
    saturation: float
    """Level as the file has it, background included."""
    zero_point: float
    pixel_scale: float
    """Arcseconds."""
    background: float
    """Global mean."""
    rms: float
    """Global, ADU."""
    threshold: float
    """Of the analysis of the whole image, ADU above the background."""
    weight_gain: bool
    """Whether the gain follows the weights pixel by pixel."""
    bad_variance: float
    """Variance from which a pixel is bad; infinite without weights."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Rows of the image in which sources are detected: those that are measured, where it is the same."""

    values: Pixels
    """(rows, nx) less its background."""
    variance: Pixels | None
    """(rows, nx), ADU**2; None: ``rms**2`` everywhere."""
    rms: float
    """Global, ADU."""
    bad_variance: float
    """Variance from which a pixel is bad; infinite without weights."""


@dataclass(frozen=True, slots=True)
class Band:
    """Rows of an image in memory, with a margin around those whose detections are measured."""

    first: int
    """Number of the first row in the image."""
    height: int
    """Rows of the image."""
    values: Pixels
    """(rows, nx) measurement image less its background."""
    variance: Pixels | None
    """(rows, nx), ADU**2; at or above ``noise.bad_variance`` where bad. None: ``noise.rms**2`` everywhere."""
    detection: Seen
    labels: NDArray[np.int32]
    """(rows, nx): k + 1 where object k of the detections is, -1 where a speck is, else 0."""
    noise: Noise
    level: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
    """Background at places x and y of the image, drawn straight between its meshes."""


@dataclass(frozen=True, slots=True)
class Group:
    """Columns that are measured together.

    The driver makes the arrays that `gives` asks for, calls `measure` for chunks of rows from several threads, and
    does so only where one of its columns is wanted or needed by another group.
    """

    name: str
    gives: Callable[[Settings], Mapping[str, tuple[str, tuple[int, ...]]]]
    """Base columns with their type and the shape of a cell, such as ``{"FLUX_APER": ("f4", (3,))}``."""
    needs: tuple[str, ...]
    """Columns of earlier groups that it reads."""
    measure: Callable[[Band, Detections, NDArray[np.int64], Settings, Table], None]
    """Fills the cells of the given rows only; runs without the GIL in kernels; the same whatever the chunks are."""
