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
_SINGLE = (np.dtype(">f4"), np.dtype("<f4"))


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

    @property
    def nulling_regions(self) -> list[bool]:
        """Whether a pixel under the regions of a file is as good as bad.

        Not where 0 times a weight may be another thing than 0: where weights may be infinite, below 0 or -0.
        """
        bounds = [np.float32(bound) for rule in self.weights[:1] for bound in (rule.low, rule.high)]
        factors = [np.float32(rule.outweight) for rule in self.regions]
        plain = all(0 < bound < np.inf for bound in bounds) and all(0 <= factor < np.inf for factor in factors)
        return [plain and factor == 0 and not np.signbit(factor) for factor in factors]


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
    *,
    spend: bool = False,
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Combine maps and regions of one shape.

    Parameters
    ----------
    weights : arrays of numbers, of either byte order, taken as float32
        The first gives its values where it is good; the others only null it.
    flags : arrays of integers
    covered : bool arrays, or None where no region lies
        One a file of regions.
    kind : dtype
        Of the flag map.
    room : Room
        The maps returned lie in it, until it is used again; None: they are the caller's.
    spend : bool
        The first weight map need not stay what it is: where it is float32, the weight is made in its place.

    Returns
    -------
    weight : float32, in the byte order of the first weight map where that is float32 too; 1 where there is no weight
        map and nothing nulls it
    flag : of `kind`

    Notes
    -----
    Bit for bit what WeightWatcher 1.12 makes of it, NaN included: it is bad (tests/reference/test_weightwatcher.py).
    """
    shape = (weights[0] if weights else flags[0]).shape
    room = room or Room()
    flag = room.take("flag", shape, kind)
    bad, hit, fine = (room.take(use, shape, np.bool_) for use in ("bad", "hit", "fine"))
    if not weights:
        weight = room.take("weight", shape, np.float32)
        weight[...] = 1
        bad[...] = False
        flag[...] = 0
    elif spend and weights[0].dtype in _SINGLE:
        weight = weights[0]
    else:
        weight = room.take("weight", shape, weights[0].dtype if weights[0].dtype in _SINGLE else np.float32)
        _fill(weight, weights[0])
    for number, (pixels, rule) in enumerate(zip(weights, rules.weights, strict=True)):
        outside = hit if number else bad
        _outside(pixels if number else weight, rule, outside, room)
        if number:
            bad |= hit
            _flag(flag, outside, rule.outflag, room)
        else:
            np.multiply(outside.view(np.uint8), _as(rule.outflag, kind), out=flag)
    for bits, each in zip(flags, rules.flags, strict=True):
        if each.nulling:
            _test(bits, each.nulling, hit, room)
            bad |= hit
        for bit, outflag in each.translations:
            if bit != each.nulling:
                _test(bits, bit, fine, room)
            _flag(flag, hit if bit == each.nulling else fine, outflag, room)
    _cover(weight, flag, bad, covered, rules, room)
    return weight, flag


def _cover(
    weight: NDArray[np.float32],
    flag: NDArray[Any],
    bad: Mask,
    covered: Sequence[Mask | None],
    rules: Rules,
    room: Room,
) -> None:
    """Null weights that are bad, and do what regions ask for."""
    lying = [
        (mask, region, nulls)
        for mask, region, nulls in zip(covered, rules.regions, rules.nulling_regions, strict=True)
        if mask is not None
    ]
    for mask, region, nulls in lying:
        if nulls:
            bad |= mask
        _flag(flag, mask, region.outflag, room)
    _null(weight, bad, room)
    for mask, region, nulls in lying:
        if not nulls:
            # By their numbers: three times as fast as by a mask.
            weight[np.flatnonzero(mask)] *= np.float32(region.outweight)


def _fill(weight: NDArray[np.float32], pixels: NDArray[Any]) -> None:
    if pixels.dtype == weight.dtype:
        # As bytes of no order: numpy copies them without a look at each.
        np.copyto(weight.view(np.uint32), pixels.view(np.uint32))
    else:
        np.copyto(weight, pixels, casting="same_kind" if pixels.dtype.kind == "f" else "unsafe")


def _outside(pixels: NDArray[Any], rule: WeightRule, outside: Mask, room: Room) -> None:
    """Tell where `pixels` are not within the bounds of `rule`; what is no number is not."""
    low, high = np.float32(rule.low), np.float32(rule.high)
    if pixels.dtype in _SINGLE and 0 < low <= high:
        # Patterns of floats above 0 are in the order of the floats; those below 0, and what is no number, come last.
        pattern = room.take("pattern", pixels.shape, np.uint32)
        np.copyto(pattern, pixels.view(pattern.dtype.newbyteorder(pixels.dtype.byteorder)))
        pattern -= low.view(np.uint32)
        np.greater(pattern, high.view(np.uint32) - low.view(np.uint32), out=outside)
        return
    value = room.take("value", pixels.shape, np.float32)
    _fill(value, pixels)
    within = room.take("within", pixels.shape, np.bool_)
    np.greater_equal(value, low, out=within)
    np.less_equal(value, high, out=outside)
    within &= outside
    np.logical_not(within, out=outside)


def _null(weight: NDArray[np.float32], bad: Mask, room: Room) -> None:
    """Null `weight` where it is `bad`, whatever stands there: by a pattern of bits, which takes as long wherever."""
    if bad.any():
        kept = room.take("kept", bad.shape, np.int8)
        np.subtract(bad.view(np.int8), np.int8(1), out=kept)
        pattern = weight.view(np.int32)
        np.bitwise_and(pattern, kept, out=pattern)


def _flag(flag: NDArray[Any], where: Mask, outflag: int, room: Room) -> None:
    if outflag:
        bits = room.take("bits", where.shape, flag.dtype)
        np.multiply(where.view(np.uint8), _as(outflag, flag.dtype), out=bits)
        flag |= bits


def _as(outflag: int, kind: np.dtype[Any]) -> NDArray[Any]:
    return np.array(outflag).astype(kind)


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
