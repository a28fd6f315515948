"""What the settings of ``terapix weightwatcher`` ask for: one rule a map, and the maps made by them."""

import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from processing.astromatic import Values
from processing.errors import BadSetting
from processing.weightwatcher.combine import Areas, Inputs, Made, Outputs, combine
from processing.weightwatcher.kinds import WeightKind
from processing.weightwatcher.watch import FlagRule, RegionRule, Rules, WeightRule

_TOLD = ("WEIGHT_", "FLAG_", "POLY_", "OUTWEIGHT_TYPE")
"""Settings whose values are told in the headers."""


def weight_rules(values: Values) -> list[WeightRule]:
    """Return one rule a weight map; BadSetting where a list is shorter than that of the maps."""
    count = len(values.texts("WEIGHT_NAMES"))
    for key in ("WEIGHT_MIN", "WEIGHT_MAX", "WEIGHT_OUTFLAGS"):
        _enough(key, len(values.as_texts()[key].split(",")), count, "WEIGHT_NAMES")
    columns = (values.numbers("WEIGHT_MIN"), values.numbers("WEIGHT_MAX"), values.wholes("WEIGHT_OUTFLAGS"))
    return [WeightRule(*row) for row in zip(*(column[:count] for column in columns), strict=True)]


def flag_rules(values: Values) -> list[FlagRule]:
    """Return one rule a flag map; output flags are taken from their list bit after bit, map after map."""
    names = values.texts("FLAG_NAMES")
    nulling, masks, outflags = (values.wholes(key) for key in ("FLAG_WMASKS", "FLAG_MASKS", "FLAG_OUTFLAGS"))
    _enough("FLAG_WMASKS", len(nulling), len(names), "FLAG_NAMES")
    _enough("FLAG_MASKS", len(masks), len(names), "FLAG_NAMES")
    rest = iter(outflags)
    rules = []
    for name, null, mask in zip(names, nulling, masks, strict=False):
        bits = [1 << bit for bit in range(32) if mask >> bit & 1]
        found = list(zip(bits, rest, strict=False))
        if len(found) < len(bits):
            raise BadSetting(
                f"FLAG_OUTFLAGS: no flag for bit {bits[len(found)]:#x} of {name}; one for each bit was expected"
            )
        rules.append(FlagRule(null, tuple(found)))
    return rules


def region_rules(values: Values) -> list[RegionRule]:
    """Return one rule a file of regions; weights that are not given are 0, as the peer has them."""
    count = len(values.texts("POLY_NAMES"))
    outflags, outweights = values.wholes("POLY_OUTFLAGS"), values.numbers("POLY_OUTWEIGHTS")
    _enough("POLY_OUTFLAGS", len(outflags), count, "POLY_NAMES")
    padded = [*outweights, *[0.0] * count][:count]
    return [RegionRule(outflag, weight) for outflag, weight in zip(outflags[:count], padded, strict=True)]


def rules(values: Values) -> Rules:
    """Return what is made of all inputs."""
    return Rules(tuple(weight_rules(values)), tuple(flag_rules(values)), tuple(region_rules(values)))


def flag_kind(outflags: Sequence[int]) -> np.dtype[np.integer]:
    """Type of the flag map: the smallest signed one, or uint8, that holds the largest output flag."""
    largest, least = max(outflags, default=0), min(outflags, default=0)
    if largest >= 2**31 or least < 0:
        raise BadSetting(f"output flag {least if least < 0 else largest}: 0 to {2**31 - 1} was expected")
    if largest >= 2**15:
        return np.dtype(np.int32)
    return np.dtype(np.int16 if largest >= 2**7 else np.uint8)


def _enough(key: str, found: int, count: int, names: str) -> None:
    if found < count:
        raise BadSetting(f"{key}: {found} given, but {names} names {count} files; one for each was expected")


def run(values: Values) -> list[Made]:
    """Do what the settings say."""
    verbose = values.text("VERBOSE_TYPE") != "QUIET"
    areas = None
    if values.switch("GETAREA"):
        areas = Areas(values.number("GETAREA_WEIGHT"), int(np.bitwise_or.reduce(values.wholes("GETAREA_FLAGS"))))
    if not 0 <= values.number("OUTWEIGHT_STEP") < math.inf:
        raise BadSetting(f"OUTWEIGHT_STEP = {values.number('OUTWEIGHT_STEP')}: 0 or a number above it was expected")

    def told(made: Made) -> None:
        if verbose and areas is not None:
            shares = f"weight {made.weight_area:.4f}, flag {made.flag_area:.4f}"
            _say(f"extension {made.number}: share of good pixels {shares}")

    wanted = rules(values)
    inputs = Inputs(
        weights=[Path(name) for name in values.texts("WEIGHT_NAMES")],
        flags=[Path(name) for name in values.texts("FLAG_NAMES")],
        regions=[Path(name) for name in values.texts("POLY_NAMES")],
        union=values.switch("POLY_INTERSECT"),
        single=values.text("POLY_PRECISION") == "SINGLE",
    )
    outputs = Outputs(
        weight=_path(values.text("OUTWEIGHT_NAME")),
        flag=_path(values.text("OUTFLAG_NAME")),
        flag_kind=flag_kind(wanted.outflags),
        weight_kind=WeightKind(values.text("OUTWEIGHT_TYPE")),
        step=values.number("OUTWEIGHT_STEP"),
        areas=areas,
        provenance={key: text for key, text in values.as_texts().items() if key.startswith(_TOLD) and text},
    )
    threads = values.whole("NTHREADS") or len(os.sched_getaffinity(0))
    return combine(inputs, wanted, outputs, threads=threads, told=told)


def _path(name: str) -> Path | None:
    return Path(name) if name else None


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
