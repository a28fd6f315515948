"""The rule of weightwatcher against the same written out plainly, whatever way the pixels take through it."""

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.weightwatcher.watch import FlagRule, RegionRule, Room, Rules, WeightRule, watch

SIZE = 4000
ODD = [0.0, -0.0, np.nan, np.inf, -np.inf, -0.5, 1e-40, 0.3, 1.3, np.float32(0.3), np.float32(1.3)]
"""Values at which floats and their patterns may be taken for each other."""


def plainly(
    maps: list[NDArray[np.float32]], bits: NDArray[np.int16], masks: list[NDArray[np.bool_] | None], rules: Rules
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Pixel by pixel as issue and manual state it; what is no number is bad."""
    weight, flag = maps[0].copy(), np.zeros(SIZE, np.int32)
    for pixels, rule in zip(maps, rules.weights, strict=True):
        bad = ~((pixels >= np.float32(rule.low)) & (pixels <= np.float32(rule.high)))
        weight[bad] = 0
        flag[bad] |= rule.outflag
    (each,) = rules.flags
    weight[bits & each.nulling != 0] = 0
    for bit, outflag in each.translations:
        flag[bits & bit != 0] |= outflag
    for mask, region in zip(masks, rules.regions, strict=True):
        if mask is not None:
            weight[mask] *= np.float32(region.outweight)
            flag[mask] |= region.outflag
    return weight, flag


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98, 1.0], ids=lambda share: f"{share:g} bad")
@pytest.mark.parametrize("low", [0.3, 0.0, -1.0])
@pytest.mark.parametrize("factors", [(0.0, 0.5), (0.0, -0.0), (0.0, np.inf), (2.0, 0.0)])
def test_every_way_gives_the_plain_rule(order: str, share: float, low: float, factors: tuple[float, float]) -> None:
    chance = np.random.default_rng(5)
    first, second = (chance.normal(1, 0.03, SIZE).astype(np.float32) for _ in range(2))
    first[chance.random(SIZE) < share] = 9
    first[7 : 7 + len(ODD)] = second[30 : 30 + len(ODD)] = ODD
    bits = chance.integers(0, 8, SIZE, dtype=np.int16) * (chance.random(SIZE) < share)
    masks = [chance.random(SIZE) < 0.05, None if share == 1.0 else np.arange(SIZE) < 90]
    rules = Rules(
        (WeightRule(low, 1.3, 1), WeightRule(0.5, np.inf, 2)),
        (FlagRule(0b011, ((1, 4), (4, 8))),),
        tuple(RegionRule(16 << number, factor) for number, factor in enumerate(factors)),
    )
    maps = [first, second]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # 0 times infinity is asked for
        expected = plainly(maps, bits.astype(np.int16), masks, rules)
        for room in (None, Room()):
            kept = [pixels.astype(f"{order}f4") for pixels in maps]
            found = watch(kept, [bits.astype(f"{order}i2")], masks, rules, np.dtype(np.int32), room)
            np.testing.assert_array_equal(found[0].astype(np.float32).view(np.int32), expected[0].view(np.int32))
            np.testing.assert_array_equal(found[1], expected[1])
            for pixels, before in zip(kept, maps, strict=True):
                np.testing.assert_array_equal(pixels, before)
        spent = watch(kept, [bits.astype(f"{order}i2")], masks, rules, np.dtype(np.int32), Room(), spend=True)
        assert spent[0] is kept[0]
        np.testing.assert_array_equal(spent[0].astype(np.float32).view(np.int32), expected[0].view(np.int32))
        np.testing.assert_array_equal(spent[1], expected[1])
