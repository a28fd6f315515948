"""The general WeightWatcher rule: any number of weight and flag maps become one weight and one flag map.

Plain numpy: the rule is bound by memory, and the start of the compiler would
take longer than the work.
"""

import math
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


class Room:
    """Arrays of one thread that are used again and again: fresh ones would cost a page fault every 4096 bytes."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[Any]] = {}

    def take(self, use: str, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
        """Return an array for `use`, whose content is left over from the last time."""
        count = math.prod(shape)
        held = self._held.get(use)
        if held is None or held.size < count or held.dtype != kind:
            held = self._held[use] = np.empty(count, kind)
        return held[:count].reshape(shape)


def watch(
    weights: Sequence[NDArray[Any]],
    flags: Sequence[NDArray[np.integer]],
    weight_rules: Sequence[WeightRule],
    flag_rules: Sequence[FlagRule],
    kind: np.dtype[Any],
    room: Room | None = None,
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Combine maps of one shape.

    Parameters
    ----------
    weights : arrays of numbers, taken as float32
        The first gives its values where it is good; the others only null it.
    flags : arrays of integers
    kind : dtype
        Of the flag map.
    room : Room
        The maps returned lie in it, until it is used again; None: they are the caller's.

    Returns
    -------
    weight : float32; 1 where there is no weight map and nothing nulls it
    flag : of `kind`

    Notes
    -----
    Bit for bit what WeightWatcher 1.12 makes of it, NaN included: it is bad (tests/reference/test_weightwatcher.py).
    """
    shape = (weights[0] if weights else flags[0]).shape
    room = room or Room()
    weight = room.take("weight", shape, np.float32)
    flag = room.take("flag", shape, kind)
    good = room.take("good", shape, np.bool_)
    above = room.take("above", shape, np.bool_)
    flag[...] = 0
    if not weights:
        weight[...] = 1
    for number, (pixels, rule) in enumerate(zip(weights, weight_rules, strict=True)):
        value = room.take("value", shape, np.float32) if number else weight
        np.copyto(value, pixels, casting="same_kind" if pixels.dtype.kind == "f" else "unsafe")
        np.greater_equal(value, np.float32(rule.low), out=good)
        np.less_equal(value, np.float32(rule.high), out=above)
        good &= above
        _keep(weight, good, room)
        _flag(flag, np.logical_not(good, out=good), rule.outflag, room)
    for bits, each in zip(flags, flag_rules, strict=True):
        masked = room.take("masked", shape, bits.dtype.newbyteorder("="))
        np.bitwise_and(bits, _like(each.nulling, bits), out=masked)
        _keep(weight, np.equal(masked, 0, out=good), room)
        for bit, outflag in each.translations:
            np.bitwise_and(bits, _like(bit, bits), out=masked)
            _flag(flag, np.not_equal(masked, 0, out=good), outflag, room)
    return weight, flag


def _keep(weight: NDArray[np.float32], good: NDArray[np.bool_], room: Room) -> None:
    """Null `weight` where it is not `good`, whatever stands there; three times as fast as indexing by a mask."""
    ones = room.take("ones", good.shape, np.int32)
    np.copyto(ones, good)
    np.negative(ones, out=ones)
    pattern = weight.view(np.int32)
    pattern &= ones


def _flag(flag: NDArray[Any], where: NDArray[np.bool_], outflag: int, room: Room) -> None:
    if outflag:
        bits = room.take("bits", where.shape, flag.dtype)
        np.multiply(where, np.array(outflag).astype(flag.dtype), out=bits)
        flag |= bits


def _like(mask: int, bits: NDArray[np.integer]) -> Any:
    """`mask` in the type of `bits`, whose sign is one bit more."""
    size = bits.dtype.itemsize
    native = bits.dtype.newbyteorder("=")
    return np.array(mask & (256**size - 1), np.uint64).astype(f"u{size}").view(native)[()]
