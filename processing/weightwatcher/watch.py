"""The general WeightWatcher rule: any number of weight and flag maps become one weight and one flag map.

Plain numpy: the rule is bound by memory, and the start of the compiler would
take longer than the work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class WeightRule:
    """What is made of one weight map."""

    low: float
    """Below it, as float32, a pixel is bad; so is one that is no number."""
    high: float
    outflag: int
    """Set in the flag map where it is bad."""


@dataclass(frozen=True, slots=True)
class FlagRule:
    """What is made of one flag map."""

    nulling: int
    """Bits that null the weight."""
    translations: tuple[tuple[int, int], ...]
    """Single bits of the map, and the flags they set."""


def watch(
    weights: Sequence[NDArray[Any]],
    flags: Sequence[NDArray[np.integer]],
    weight_rules: Sequence[WeightRule],
    flag_rules: Sequence[FlagRule],
    kind: np.dtype[Any],
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Combine maps of one shape.

    Parameters
    ----------
    weights : arrays of numbers, taken as float32
        The first gives its values where it is good; the others only null it.
    flags : arrays of integers
    kind : dtype
        Of the flag map.

    Returns
    -------
    weight : float32; 1 where there is no weight map and nothing nulls it
    flag : of `kind`

    Notes
    -----
    Bit for bit what WeightWatcher 1.12 makes of it, NaN included: it is bad (tests/reference/test_weightwatcher.py).
    """
    shape = (weights[0] if weights else flags[0]).shape
    weight: NDArray[np.float32] | None = None
    flag = np.zeros(shape, kind)
    for pixels, rule in zip(weights, weight_rules, strict=True):
        value = pixels.astype(np.float32)
        good = value >= np.float32(rule.low)
        good &= value <= np.float32(rule.high)
        weight = value if weight is None else weight
        _keep(weight, good)
        _flag(flag, ~good, rule.outflag)
    if weight is None:
        weight = np.ones(shape, np.float32)
    for bits, each in zip(flags, flag_rules, strict=True):
        _keep(weight, (bits & _like(each.nulling, bits)) == 0)
        for bit, outflag in each.translations:
            _flag(flag, (bits & _like(bit, bits)) != 0, outflag)
    return weight, flag


def _keep(weight: NDArray[np.float32], good: NDArray[np.bool_]) -> None:
    """Null `weight` where it is not `good`, whatever stands there; three times as fast as indexing by a mask."""
    ones = good.astype(np.int32)
    np.negative(ones, out=ones)
    pattern = weight.view(np.int32)
    pattern &= ones


def _flag(flag: NDArray[Any], where: NDArray[np.bool_], outflag: int) -> None:
    if outflag:
        flag |= where.astype(flag.dtype) * np.array(outflag).astype(flag.dtype)


def _like(mask: int, bits: NDArray[np.integer]) -> Any:
    """`mask` in the type of `bits`, whose sign is one bit more."""
    size = bits.dtype.itemsize
    native = bits.dtype.newbyteorder("=")
    return np.array(mask & (256**size - 1), np.uint64).astype(f"u{size}").view(native)[()]
