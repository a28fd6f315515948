"""Loops that tell which sharp pixels of a CCD are cosmic rays, and what belongs to these; see also `cosmics`."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.cosmic_shapes import greatest_answer, shape_members
from processing.kernels.cosmics import level_at, longer

Array = NDArray[Any]
SOFT, FIRM, RAY, FRINGE = 1, 2, 3, 4
"""What a pixel is: sharp beside a ray only, sharp in its own right, of a ray, beside one."""
LEAST = 0.5
"""Of the squared strength that makes a group a ray, what its own pixels have to bring."""
MANY = 3.0
"""Squares of heights, in those of a single pixel, that tell a long ray none of whose pixels stands out alone."""
NEAR = 2
"""Pixels from a ray within which shapes are its own."""
_ZERO = np.float32(0.0)


@njit(cache=True, nogil=True)
def _group(places: Array, state: Array, start: int, seen: Array, members: Array, first: int) -> int:
    """Write the FIRM pixels that hang together with the one of number `start` from `members[first]`; give the end."""
    ny, nx = state.shape
    last = first + 1
    members[first] = start
    seen[start] = True
    while first < last:
        y, x = places[members[first]] // nx, places[members[first]] % nx
        first += 1
        for row in range(max(y - 1, 0), min(y + 2, ny)):
            for column in range(max(x - 1, 0), min(x + 2, nx)):
                if state[row, column] != FIRM:
                    continue
                near = np.searchsorted(places, row * nx + column)
                if not seen[near]:
                    seen[near] = True
                    members[last] = near
                    last += 1
    return last


@njit(cache=True, nogil=True)
def _allowed(
    pixels: Array, flags: Array, banned: int, inside: Array, level: float, bounds: Array, y: int, x: int
) -> float:  # fmt: skip
    """Give the most light above the sky that the neighbours of a pixel let it have; infinite where they are unknown."""
    x0, x1, y0, y1 = inside
    allowed = np.inf
    for k in range(4):
        dy, dx = (0, 1, 1, 1)[k], (1, 0, 1, -1)[k]
        if y - dy < y0 or y + dy >= y1 or min(x - dx, x + dx) < x0 or max(x + dx, x - dx) >= x1:
            continue
        if (flags[y + dy, x + dx] | flags[y - dy, x - dx]) & banned:
            continue
        product = max(pixels[y + dy, x + dx] - level, _ZERO) * max(pixels[y - dy, x - dx] - level, _ZERO)
        if product >= 0.0:
            allowed = min(allowed, math.sqrt(bounds[k] * product))
    return allowed


@njit(cache=True, nogil=True)
def _laid_bare(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array, gain: Array,
    bounds: Array, state: Array, spare: float, y: int, x: int,
) -> float:  # fmt: skip
    """Tell how sharp a pixel is once the charge of rays beside it is taken away."""
    x0, x1, y0, y1 = inside
    level, dark = level_at(sky, centres, y, x), level_at(variance, centres, y, x)
    allowed = np.inf
    for k in range(4):
        dy, dx = (0, 1, 1, 1)[k], (1, 0, 1, -1)[k]
        if y - dy < y0 or y + dy >= y1 or min(x - dx, x + dx) < x0 or max(x + dx, x - dx) >= x1:
            continue
        if (flags[y + dy, x + dx] | flags[y - dy, x - dx]) & banned:
            continue
        product = bounds[k]
        for side in (-1, 1):
            row, column = y + side * dy, x + side * dx
            light = pixels[row, column] - level
            if state[row, column] == RAY:
                light = min(light, _allowed(pixels, flags, banned, inside, level, bounds, row, column))
            light = max(light, _ZERO)
            product *= light + spare * math.sqrt(dark + light / gain[column])
        if product >= 0.0:
            allowed = min(allowed, math.sqrt(product))
    high = pixels[y, x] - level
    return float((high - allowed) / math.sqrt(dark + max(high, _ZERO) / gain[x]))


@njit(cache=True, nogil=True)
def _follow(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array, gain: Array,
    bounds: Array, rays: Array, count: int, state: Array, spare: float, least: float,
) -> Array:  # fmt: skip
    """Add to the first `count` of `rays` what they hid."""
    nx = pixels.shape[1]
    x0, x1, y0, y1 = inside
    first = 0
    while first < count:
        y, x = rays[first] // nx, rays[first] % nx
        first += 1
        for row in range(max(y - 1, y0), min(y + 2, y1)):
            for column in range(max(x - 1, x0), min(x + 2, x1)):
                if state[row, column] == RAY or flags[row, column] & banned:
                    continue
                if state[row, column] == 0 and not least < _laid_bare(
                    pixels, flags, banned, inside, sky, variance, centres, gain, bounds, state, spare, row, column
                ):
                    continue
                state[row, column] = RAY
                if count == rays.size:
                    rays = longer(rays)
                rays[count] = row * nx + column
                count += 1
    return rays[:count]


@njit(cache=True, nogil=True)
def _height(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array, gain: Array,
    round_it: float, state: Array, y: int, x: int,
) -> float:  # fmt: skip
    """Tell by how much of its noise a pixel is brighter than those round it that are not FIRM let a star be."""
    x0, x1, y0, y1 = inside
    level = level_at(sky, centres, y, x)
    total, count = 0.0, 0
    for row in range(max(y - 1, y0), min(y + 2, y1)):
        for column in range(max(x - 1, x0), min(x + 2, x1)):
            value = pixels[row, column]
            if state[row, column] != FIRM and not flags[row, column] & banned and math.isfinite(value):
                total += value - level
                count += 1
    high = pixels[y, x] - level
    beside = round_it * max(total / count, 0.0) if count else 0.0
    return float((high - beside) / math.sqrt(level_at(variance, centres, y, x) + max(high, _ZERO) / gain[x]))


@njit(cache=True, nogil=True)
def accept(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array, gain: Array,
    full: float, bounds: Array, round_it: float, filters: Array, places: Array, strength: Array, state: Array,
    least: float, together: float, above: float, spare: float, track: float,
) -> Array:  # fmt: skip
    """Tell which sharp pixels belong to rays.

    Groups of those whose strength is above `least`, if the root of the sum of the squares of their strengths, and of
    the greatest answer of `filters` (n, size, size) at their highest, is above `together`, and one of them is brighter
    by `above` times its noise than the pixels round it that are not of the group let a star be, `round_it` times their
    mean; or many of them are so by less. Then, again and again, the sharp pixels that touch one, and those that would
    be sharp by `track`, with `spare`, without the charge of the rays that they touch.

    Parameters
    ----------
    state : (ny, nx) uint8, zeros
        Becomes RAY there, and SOFT or FIRM in the other sharp pixels.

    Returns
    -------
    rays : (n) int64
        Their places, in the order in which they were reached.
    """
    nx = state.shape[1]
    for k in range(places.size):
        state[places[k] // nx, places[k] % nx] = FIRM if strength[k] > least else SOFT
    seen = np.zeros(places.size, np.bool_)
    rays = np.empty(places.size, np.int64)
    count = 0
    for k in range(places.size):
        if seen[k] or strength[k] <= least:
            continue
        end = _group(places, state, k, seen, rays, count)
        total, heights, highest, summit = 0.0, 0.0, 0.0, -1
        for member in range(count, end):
            place = places[rays[member]]
            total += strength[rays[member]] ** 2
            height = _height(
                pixels, flags, banned, inside, sky, variance, centres, gain, round_it, state, place // nx, place % nx
            )
            heights += max(height, 0.0) ** 2
            if height > highest:
                highest, summit = height, place
        if not (highest > above or heights > MANY * above * above) or total < LEAST * together * together:
            continue
        if total < together * together and summit >= 0:
            shape = greatest_answer(
                pixels, flags, banned, inside, sky, variance, centres, gain, full, filters, summit // nx, summit % nx
            )
            total += max(shape, 0.0) ** 2
        if total > together * together:
            count = end
    for r in range(count):
        rays[r] = places[rays[r]]
        state[rays[r] // nx, rays[r] % nx] = RAY
    followed: Array = _follow(
        pixels, flags, banned, inside, sky, variance, centres, gain, bounds, rays, count, state, spare, track
    )
    return followed


@njit(cache=True, nogil=True)
def _chain(places: Array, nx: int, start: int, seen: Array, members: Array) -> int:
    """Write the numbers of the places that hang together with number `start` to `members`; give how many."""
    first, last = 0, 1
    members[0] = start
    seen[start] = True
    while first < last:
        place = places[members[first]]
        first += 1
        for row in range(-1, 2):
            for column in range(-1, 2):
                beside = place + row * nx + column
                near = np.searchsorted(places, beside)
                if near < places.size and places[near] == beside and not seen[near]:
                    seen[near] = True
                    members[last] = near
                    last += 1
    return last


@njit(cache=True, nogil=True)
def add_shapes(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array, gain: Array,
    bounds: Array, rays: Array, state: Array, shapes: Array, places: Array, numbers: Array, strength: Array,
    together: float, spare: float, track: float,
) -> Array:  # fmt: skip
    """Add the rays that their shape tells: `shaped_pixels` that hang together, apart from the `rays` already known.

    The root of the sum of the squares of their strengths is above `together`.

    Returns
    -------
    rays : (n) int64
        All of them; `state` becomes RAY there.
    """
    nx = state.shape[1]
    x0, x1, y0, y1 = inside
    apart = np.ones(places.size, np.bool_)
    for k in range(places.size):
        y, x = places[k] // nx, places[k] % nx
        for row in range(max(y - NEAR, y0), min(y + NEAR + 1, y1)):
            for column in range(max(x - NEAR, x0), min(x + NEAR + 1, x1)):
                apart[k] &= state[row, column] != RAY
    places, numbers, strength = places[apart], numbers[apart], strength[apart]
    seen = np.zeros(places.size, np.bool_)
    members = np.empty(places.size, np.int64)
    fresh = np.empty(64, np.int64)
    count = 0
    for k in range(places.size):
        if seen[k]:
            continue
        end = _chain(places, nx, k, seen, members)
        total = 0.0
        for member in members[:end]:
            total += strength[member] ** 2
        if total < together * together:
            continue
        for member in members[:end]:
            found = shape_members(
                pixels,
                flags,
                banned,
                inside,
                sky,
                variance,
                centres,
                shapes[numbers[member]],
                places[member],
                state,
                RAY,
            )
            while count + found.size > fresh.size:
                fresh = longer(fresh)
            fresh[count : count + found.size] = found
            count += found.size
    added = _follow(
        pixels, flags, banned, inside, sky, variance, centres, gain, bounds, fresh, count, state, spare, track
    )
    return np.concatenate((rays, added))


@njit(cache=True, nogil=True)
def fringe(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array, gain: Array,
    bounds: Array, rays: Array, state: Array, least: float, share: float,
) -> Array:  # fmt: skip
    """Find the pixels beside rays that got some of their charge.

    They are brighter than the sky by `least` times its noise, and by no more than `share` of the charge of a ray's
    pixel beside them: what that has above the light that its own neighbours allow.

    Returns
    -------
    fringes : (n) int64
        y * nx + x; `state` becomes FRINGE there.
    """
    nx = pixels.shape[1]
    x0, x1, y0, y1 = inside
    fringes = np.empty(8 * rays.size, np.int64)
    count = 0
    for r in range(rays.size):
        y, x = rays[r] // nx, rays[r] % nx
        level = level_at(sky, centres, y, x)
        allowed = _allowed(pixels, flags, banned, inside, level, bounds, y, x)
        most = share * (pixels[y, x] - level - allowed)
        for row in range(max(y - 1, y0), min(y + 2, y1)):
            for column in range(max(x - 1, x0), min(x + 2, x1)):
                if state[row, column] >= RAY or flags[row, column] & banned:
                    continue
                high = pixels[row, column] - level_at(sky, centres, row, column)
                noise = math.sqrt(level_at(variance, centres, row, column) + max(high, _ZERO) / gain[column])
                if least * noise < high < most:
                    state[row, column] = FRINGE
                    fringes[count] = row * nx + column
                    count += 1
    return fringes[:count]


def _warm() -> None:
    """Compile as `processing.defects.cosmics` calls."""
    pixels, flags, rows = np.ones((6, 8), np.float32), np.zeros((6, 8), np.int16), np.ones((1, 8), np.float32)
    ccd = (pixels, flags, 1, np.array([0, 8, 0, 6]), rows, rows, np.array([2.5]), rows[0])
    bounds, state, shapes = np.ones(4, np.float32), np.zeros((6, 8), np.uint8), np.ones((1, 3, 3), np.float32)
    places, strength = np.array([9, 10]), np.array([5.0, 6.0], np.float32)
    rays = accept(*ccd, 9.0, bounds, 1.0, shapes, places, strength, state, 2.0, 4.0, 3.0, 0.7, 1.5)
    rays = add_shapes(*ccd, bounds, rays, state, shapes, places, np.zeros(2, np.int64), strength, 4.0, 0.7, 1.5)
    fringe(*ccd, bounds, rays, state, -0.5, 1.0)


TASKS = (_warm,)
"""What compiles the kernels of this module."""
