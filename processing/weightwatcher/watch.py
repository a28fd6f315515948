"""The general WeightWatcher rule: weight maps, flag maps and regions become one weight and one flag map.

Plain numpy: the rule is bound by memory, and the start of the compiler would
take longer than the work.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


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


@dataclass(frozen=True, slots=True)
class RegionRule:
    """What is made of one file of regions."""

    outflag: int
    """Set in the flag map where a region lies."""
    outweight: float
    """The weight is multiplied by it there, as float32."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is made of all inputs, each in the order of its kind."""

    weights: tuple[WeightRule, ...] = ()
    flags: tuple[FlagRule, ...] = ()
    regions: tuple[RegionRule, ...] = ()

    @property
    def outflags(self) -> list[int]:
        """Every flag that may be set."""
        return [
            *(rule.outflag for rule in self.weights),
            *(outflag for rule in self.flags for _, outflag in rule.translations),
            *(rule.outflag for rule in self.regions),
        ]


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
    covered: Sequence[Mask | None],
    rules: Rules,
    kind: np.dtype[Any],
    room: Room | None = None,
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Combine maps and regions of one shape.

    Parameters
    ----------
    weights : arrays of numbers, taken as float32
        The first gives its values where it is good; the others only null it.
    flags : arrays of integers
    covered : bool arrays, or None where no region lies
        One a file of regions.
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
    weight, flag = room.take("weight", shape, np.float32), room.take("flag", shape, kind)
    good, fine, hit = (room.take(use, shape, np.bool_) for use in ("good", "fine", "hit"))
    flag[...] = 0
    if not weights:
        weight[...] = 1
        good[...] = True
    for number, (pixels, rule) in enumerate(zip(weights, rules.weights, strict=True)):
        value = room.take("value", shape, np.float32) if number else weight
        np.copyto(value, pixels, casting="same_kind" if pixels.dtype.kind == "f" else "unsafe")
        within = fine if number else good
        np.greater_equal(value, np.float32(rule.low), out=within)
        np.less_equal(value, np.float32(rule.high), out=hit)
        within &= hit
        if number:
            good &= within
        _flag(flag, np.logical_not(within, out=hit), rule.outflag, room)
    for bits, each in zip(flags, rules.flags, strict=True):
        if each.nulling:
            _test(bits, each.nulling, hit, room)
            np.greater(good, hit, out=good)
        for bit, outflag in each.translations:
            if bit != each.nulling:
                _test(bits, bit, fine, room)
            _flag(flag, hit if bit == each.nulling else fine, outflag, room)
    _keep(weight, good, room)
    for mask, region in zip(covered, rules.regions, strict=True):
        if mask is not None:
            # By their numbers: three times as fast as by a mask.
            weight[np.flatnonzero(mask)] *= np.float32(region.outweight)
            _flag(flag, mask, region.outflag, room)
    return weight, flag


def _keep(weight: NDArray[np.float32], good: Mask, room: Room) -> None:
    """Null `weight` where it is not `good`, whatever stands there; three times as fast as indexing by a mask."""
    ones = room.take("ones", good.shape, np.int32)
    np.copyto(ones, good)
    np.negative(ones, out=ones)
    pattern = weight.view(np.int32)
    pattern &= ones


def _flag(flag: NDArray[Any], where: Mask, outflag: int, room: Room) -> None:
    if outflag:
        bits = room.take("bits", where.shape, flag.dtype)
        np.multiply(where.view(np.uint8), np.array(outflag).astype(flag.dtype), out=bits)
        flag |= bits


def _test(bits: NDArray[np.integer], mask: int, hit: Mask, room: Room) -> None:
    """Tell where `bits`, of either byte order, have any of `mask`; the sign is one bit more."""
    size = bits.dtype.itemsize
    wanted = np.array(mask & (256**size - 1), np.uint64).astype(f"u{size}")
    plain = bits.view(wanted.dtype)
    if not bits.dtype.isnative:
        wanted = wanted.byteswap()
    masked = room.take("masked", bits.shape, wanted.dtype)
    np.bitwise_and(plain, wanted[()], out=masked)
    np.not_equal(masked, wanted.dtype.type(0), out=hit)
