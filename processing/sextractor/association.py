"""Sources matched with the entries of a list: VECTOR_ASSOC, NUMBER_ASSOC and the choice among sources.

The ways of combining several entries were found by running the original, and so were its oddities: FIRST is the entry
of lowest y, and so are MEAN, MAG_MEAN, MIN and MAX of a list without magnitudes. Where the weights of a MEAN
add up to nothing or less, the original gives sums that were not divided; here it is the plain mean.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadSetting
from processing.sextractor.parameters import Wanted
from processing.sextractor.records import Table
from processing.sextractor.settings import Settings
from processing.sextractor.world import World

Floats = NDArray[np.float64]
NAMES = frozenset({"VECTOR_ASSOC", "NUMBER_ASSOC"})
"""Columns that ask for an association."""
BY_MAGNITUDE = frozenset({"MEAN", "MAG_MEAN", "MIN", "MAX"})
"""Ways that are FIRST where the list has no magnitudes."""
NO_MAGNITUDE = 99.0
"""From which a magnitude stands for no light."""


@dataclass(frozen=True, slots=True)
class Entries:
    """A list to associate with, from the lowest y on."""

    x: Floats
    """Pixels, counted from 1."""
    y: Floats
    magnitude: Floats | None
    """Or a weight, where the mean is taken."""
    data: Floats = field(repr=False)
    """(n, columns): what is taken over."""


def read_entries(
    settings: Settings, pixels: Callable[[Floats, Floats], tuple[Floats, Floats]] | None = None
) -> Entries:
    """Read ASSOC_NAME.

    Parameters
    ----------
    pixels : gives pixels, counted from 1, of world coordinates, NaN for those that are on none; only for
        ASSOCCOORD_TYPE WORLD

    Raises
    ------
    BadSetting
        The file cannot be read, a line is no row of numbers, ASSOC_PARAMS or ASSOC_DATA name a column that it
        does not have, or its coordinates are the sky's and the image has none; names file and line.
    """
    path = Path(settings.assoc_name)
    table, numbers = _numbers(path)
    places = _columns("ASSOC_PARAMS", settings.assoc_params, table.shape[1], path)
    if len(places) < 2:
        raise BadSetting(f"ASSOC_PARAMS = {places[0] + 1}: the columns of x and y were expected")
    taken: Sequence[int] = range(table.shape[1])
    if settings.assoc_data[0]:
        taken = _columns("ASSOC_DATA", settings.assoc_data, table.shape[1], path)
    _told(table[:, [*places, *taken]], path, numbers)
    x, y = table[:, places[0]], table[:, places[1]]
    if settings.assoccoord_type == "WORLD":
        if pixels is None:
            raise BadSetting("ASSOCCOORD_TYPE = WORLD: the image has no world coordinates; give pixels")
        x, y = pixels(x, y)
    order = np.argsort(y, kind="stable")
    order = order[np.isfinite(x[order]) & np.isfinite(y[order])]
    table = table[order]
    return Entries(x[order], y[order], table[:, places[2]] if len(places) > 2 else None, table[:, taken])


def _numbers(path: Path) -> tuple[Floats, list[int]]:
    """Rows of a list (n, columns), NaN where a word is no number, and the line of each."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as problem:
        raise BadSetting(
            f"ASSOC_NAME = {path}: cannot be read ({problem.strerror}); VECTOR_ASSOC and NUMBER_ASSOC need it"
        ) from problem
    rows: list[list[float]] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        rows.append([_number(word) for word in words])
        numbers.append(number)
        if len(rows[-1]) != len(rows[0]):
            raise BadSetting(f"{path}:{number}: {len(words)} columns where the first row has {len(rows[0])}")
    if not rows:
        raise BadSetting(f"ASSOC_NAME = {path}: there is no entry in it")
    return np.array(rows), numbers


def _number(word: str) -> float:
    """The number that a word is, NaN of a name."""
    try:
        return float(word)
    except ValueError:
        return np.nan


def _told(used: Floats, path: Path, numbers: Sequence[int]) -> None:
    """Refuse columns that are wanted and hold something else than numbers."""
    if (bad := np.isnan(used).any(axis=1)).any():
        raise BadSetting(f"{path}:{numbers[int(np.argmax(bad))]}: numbers were expected in columns that are taken over")


def _columns(key: str, given: Sequence[int], number: int, path: Path) -> Sequence[int]:
    for column in given:
        if not 1 <= column <= number:
            raise BadSetting(f"{key} = {column}: {path} has columns 1 to {number}")
    return [column - 1 for column in given]


def associate(x: Floats, y: Floats, entries: Entries, settings: Settings) -> tuple[Floats, NDArray[np.int32]]:
    """Return what each source takes over, (n, columns), 0 where nothing is near, and the number of entries.

    Parameters
    ----------
    x, y : (n,) pixels, counted from 1
    """
    values = np.zeros((len(x), entries.data.shape[1]))
    number = np.zeros(len(x), np.int32)
    radius = settings.assoc_radius
    how = settings.assoc_type
    if entries.magnitude is None and how in BY_MAGNITUDE:
        how = "FIRST"
    low, high = np.searchsorted(entries.y, y - radius, "left"), np.searchsorted(entries.y, y + radius, "right")
    for k in range(len(x)):
        near = slice(low[k], high[k])
        square = (entries.x[near] - x[k]) ** 2 + (entries.y[near] - y[k]) ** 2
        match = low[k] + np.nonzero(square <= radius * radius)[0]
        if match.size:
            weight = entries.magnitude[match] if entries.magnitude is not None else np.ones(match.size)
            values[k] = _combined(entries.data[match], weight, square[match - low[k]], how)
            number[k] = 1 if how == "FIRST" else match.size
    return values, number


def _combined(data: Floats, magnitude: Floats, square: Floats, how: str) -> Floats:
    """One row of several, by ASSOC_TYPE."""
    if how in {"FIRST", "NEAREST", "MIN", "MAX"}:
        order = {"FIRST": np.arange(len(data)), "NEAREST": square, "MIN": magnitude, "MAX": -magnitude}[how]
        return np.array(data[np.argmin(order)])
    if how == "SUM":
        return np.array(data.sum(axis=0))
    if how == "MAG_SUM":
        light = _light(data).sum(axis=0)
        return np.where(light > 0.0, -2.5 * np.log10(np.where(light > 0.0, light, 1.0)), NO_MAGNITUDE)
    weight = magnitude if how == "MEAN" else _light(magnitude)
    total = float(weight.sum())
    return np.array(weight @ data / total if total > 0.0 else data.mean(axis=0))


def _light(magnitude: Floats) -> Floats:
    return np.where(magnitude < NO_MAGNITUDE, 10.0 ** (-0.4 * np.minimum(magnitude, NO_MAGNITUDE)), 0.0)


def associated(
    base: Table, columns: Sequence[Wanted], x: Floats, y: Floats, settings: Settings, world: World | None = None
) -> Table:
    """Return VECTOR_ASSOC, as wide as it is wanted, and NUMBER_ASSOC of sources at `x`, `y`, counted from 1."""
    near = (float(x.mean()), float(y.mean())) if x.size else (1.0, 1.0)
    pixels = None if world is None else partial(world.pixels, near=near)
    values, number = associate(x, y, read_entries(settings, pixels), settings)
    width = max((each.size for each in columns if each.name == "VECTOR_ASSOC"), default=1)
    vector = np.zeros((len(x), width))
    shared = min(width, values.shape[1])
    vector[:, :shared] = values[:, :shared]
    return {**base, "VECTOR_ASSOC": vector, "NUMBER_ASSOC": number}


def selected(base: Table, settings: Settings) -> Table:
    """Return the sources that ASSOCSELEC_TYPE keeps, numbered from 1; all where nothing was associated."""
    if "NUMBER_ASSOC" not in base or settings.assocselec_type == "ALL":
        return base
    keep = (base["NUMBER_ASSOC"] > 0) == (settings.assocselec_type == "MATCHED")
    chosen = {name: values[keep] for name, values in base.items()}
    if "NUMBER" in chosen:
        chosen["NUMBER"] = np.arange(1, keep.sum() + 1, dtype=base["NUMBER"].dtype)
    return chosen
