"""What compiles the kernels of measures, called as SExtractor's stage calls them, on one source of nine pixels."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.kernels import annulus, aperture, growth, isophote, kron, label, petrosian, pixel, vignet, windowed

Array = NDArray[Any]
SIDE = 24
_BAD = 1e30
_PLACE = np.arange(9)
X, Y = (11 + _PLACE % 3).astype(np.int32), (11 + _PLACE // 3).astype(np.int32)
"""Pixels of the source."""
_ROWS, _STARTS = np.zeros(1, np.int64), np.array([0, 9])
_CENTRES, _HELD = np.full((1, 2), 12.0), np.array([[0, SIDE]], np.int32)
_SHAPES = np.array([[1.0, 1.0, 0.0, 1.0, 1.0]])


def _cells(*shape: int) -> Array:
    return np.zeros((1, *shape), np.float32)


def _flags() -> Array:
    return np.zeros(1, np.int16)


def _image() -> tuple[Array, Array]:
    """Pixels and labels."""
    values, labels = np.zeros((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.int32)
    values[Y, X] = 9.0
    one = np.ones(1, np.int32)
    label.paint(
        labels, 0, _STARTS, 9 * one, 11 * one, 13 * one, X, Y, np.zeros(9, np.bool_), np.empty((0, 2), np.int32)
    )
    return values, labels


def _noise(variance: Array) -> tuple[Array, float, float, float, bool]:
    """Variances, the bound of bad ones, the global one, the gain, and whether that follows the weights."""
    return variance, _BAD, 1.0, 1.0, variance.size > 0


def _isophotal() -> None:
    values, _ = _image()
    one = np.ones(1)
    isophote.isophote(
        values, np.empty((0, 0), np.float32), np.inf, 1.0, 1.0, 1.0, False, 0, _ROWS, _STARTS, np.array([9]), X, Y,
        values[Y, X], _CENTRES, np.zeros(1, np.bool_), one, 99.0 * one, one, 0.0, 0.0 * one,
        np.empty((1, isophote.FIELDS)),
    )  # fmt: skip
    isophote.least(values, 0, _ROWS, _STARTS, np.array([9]), X, Y, np.empty(1, np.float32))


def _circles() -> None:
    values, labels = _image()
    aperture.circles(
        values, labels, *_noise(np.empty((0, 0), np.float32)), pixel.CORRECT, 0, _HELD, _ROWS, _CENTRES,
        np.array([5.0]), np.zeros(1, np.float32), _cells(1), _cells(1), _flags(),
    )  # fmt: skip


def _kron() -> None:
    values, labels = _image()
    none = np.empty((0, 0), np.float32)
    kron.ellipses(
        values, none, np.inf, values, labels, *_noise(none), pixel.CORRECT, 0, _HELD, _ROWS, _CENTRES, _SHAPES,
        np.zeros(1, np.float32), 2.5, 3.5,
        0.0, 0.0, _cells(), _cells(), _cells(), _flags(),
    )  # fmt: skip


def _petrosian() -> None:
    values, labels = _image()
    none = np.empty((0, 0), np.float32)
    petrosian.ellipses(
        values, none, np.inf, values, labels, *_noise(none), pixel.CORRECT, 0, _HELD, _ROWS, _CENTRES, _SHAPES,
        np.zeros(1, np.float32), 2.0, 3.5,
        0.0, 0.0, _cells(), _cells(), _cells(), _flags(),
    )  # fmt: skip


def _growth() -> None:
    values, labels = _image()
    growth.radii(
        values, labels, np.empty((0, 0), np.float32), np.inf, 1.0, pixel.CORRECT, 0, _ROWS, _CENTRES, _SHAPES, 0.0,
        np.full(1, 81.0, np.float32), np.array([0.5]), _HELD, _cells(1), _cells(), np.zeros((1, 4)),
        np.zeros(1), _flags(),
    )  # fmt: skip


def _windowed() -> None:
    values, labels = _image()
    half = np.ones(1, np.float32)
    windowed.windowed(
        values, labels, *_noise(np.empty((0, 0), np.float32)), pixel.CORRECT, 0, _ROWS, _CENTRES, _SHAPES, half,
        np.ones((1, 6)), _HELD, np.empty((1, windowed.FIELDS)), _flags(), _flags(),
    )  # fmt: skip


def _vignet() -> None:
    values, labels = _image()
    none = np.empty((0, 0), np.float32)
    vignet.vignets(values, labels, none, np.inf, pixel.CORRECT, 0, _ROWS, _CENTRES, _cells(5, 5))
    vignet.shifted(values, labels, none, np.inf, pixel.CORRECT, 0, _ROWS, _CENTRES, _cells(5, 5))


def _annulus() -> None:
    values, labels = _image()
    annulus.skies(
        values, labels, pixel.CORRECT, 0, _ROWS, np.array([[11, 13, 11, 13, 13, 13]]), SIDE, 4, np.zeros(1, np.float32)
    )


TASKS: tuple[Callable[[], None], ...] = (_annulus, _isophotal, _circles, _kron, _petrosian, _growth, _windowed, _vignet)
