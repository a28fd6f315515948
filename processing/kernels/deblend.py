"""Loops that part blends by a tree of thresholds (Bertin & Arnouts 1996, A&AS 117, 393, section 5)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels import lutz, shapes
from processing.kernels.shapes import FIELDS, describe

Array = NDArray[Any]
MERGED, OVERFLOW = 2, 64
SONS = 1024
"""Most branches of a level, as the original has room for."""
TWIG = 3
"""Fewest pixels of a branch, where detections need no fewer."""


@njit(cache=True, nogil=True)
def branches(
    starts: Array,
    x: Array,
    y: Array,
    value: Array,
    raw: Array,
    bounds: Array,
    threshold: float,
    levels: int,
    contrast: float,
    least: int,
    first: int,
    end: int,
    owner: Array,
    parts: Array,
) -> Array:
    """Find the objects that groups `first` to `end` of pixels are made of.

    Parameters
    ----------
    starts, x, y, value : the groups, row by row; `raw` before they were filtered
    bounds : float32, the threshold of each pixel, or empty; an object's is then the least of its pixels
    threshold : of all groups, where there are no bounds
    levels : number of thresholds
    contrast : least share of the flux by which a branch stands alone
    owner : (pixels,) int32, filled for blends with the number of the object among those of its group whose branch a
        pixel is in, -1 where it is in none
    parts : (groups,) int32, filled with the number of objects of each

    Returns
    -------
    table : (objects, FIELDS) float64; those of blends are of their branches only
    """
    table = np.zeros((max(end - first, 1) * 2, FIELDS))
    count = 0
    for k in range(first, end):
        part = slice(starts[k], starts[k + 1])
        gx, gy, gv, gr, gb = x[part], y[part], value[part], raw[part], bounds
        if bounds.size:
            gb = bounds[part]
            threshold = gb.min()
        whole = np.zeros(FIELDS)
        describe(gx, gy, gv, gr, gb, threshold, least, 0, whole)
        owners, objects, overflow = _branches(gx, gy, gv, gr, gb, whole, threshold, levels, contrast, min(least, TWIG))
        number = max(objects.shape[0], 1)
        if count + number > table.shape[0]:
            wider = np.zeros((2 * table.shape[0] + number, FIELDS))
            wider[:count] = table[:count]
            table = wider
        parts[k] = number
        if objects.shape[0] < 2:
            table[count] = whole
        else:
            owner[part] = owners
            table[count : count + number] = objects
        for row in range(count, count + number):
            table[row, shapes.FLAGS] = OVERFLOW if overflow else 0
            table[row, shapes.PARENT] = k + 1
        count += number
    return table[:count].copy()


@njit(cache=True, nogil=True)
def gather(
    starts: Array,
    x: Array,
    y: Array,
    value: Array,
    raw: Array,
    bounds: Array,
    threshold: float,
    least: int,
    first: int,
    end: int,
    owner: Array,
    parts: Array,
    table: Array,
    ends: Array,
) -> None:
    """Put pixels of groups `first` to `end` in the order of the objects that they were dealt to; describe those.

    Parameters
    ----------
    owner : as `dealing.deal` leaves it
    table : (objects of these groups, FIELDS), changed where a group is a blend
    ends : (objects of these groups,) int64, filled with the end of each object's pixels
    """
    count = 0
    for k in range(first, end):
        if parts[k] == 1:
            ends[count] = starts[k + 1]
            count += 1
            continue
        part = slice(starts[k], starts[k + 1])
        gx, gy, gv, gr, gb, owners = x[part], y[part], value[part], raw[part], bounds, owner[part]
        if bounds.size:
            gb = bounds[part]
        _sort(gx, gy, gv, gr, gb, owners, parts[k])
        begin = 0
        for j in range(parts[k]):
            stop = begin
            while stop < gx.size and owners[stop] == 2 * j:
                stop += 1
            kept = stop - begin
            while stop < gx.size and owners[stop] == 2 * j + 1:
                stop += 1
            told = table[count]
            flags, parent = told[shapes.FLAGS], told[shapes.PARENT]
            mine = slice(begin, stop)
            own_bounds = gb[mine] if gb.size else gb
            least_bound = own_bounds.min() if gb.size else threshold
            describe(gx[mine], gy[mine], gv[mine], gr[mine], own_bounds, least_bound, least, kept, told)
            told[shapes.FLAGS], told[shapes.PARENT] = int(flags) | MERGED, parent
            ends[count] = starts[k] + stop
            begin = stop
            count += 1


@njit(cache=True, nogil=True)
def _branches(  # noqa: C901, PLR0912  levels share the chart and the list of pixels
    x: Array,
    y: Array,
    value: Array,
    raw: Array,
    bounds: Array,
    whole: Array,
    threshold: float,
    levels: int,
    contrast: float,
    least: int,
) -> tuple[Array, Array, bool]:
    """Return the owner of each pixel (-1: none yet), the objects (n, FIELDS), and whether there were too many."""
    number = x.size
    none = np.full(number, -1, np.int32)
    nothing = np.zeros((0, FIELDS))
    peak = whole[shapes.PEAK]
    if number < 2 * least or levels < 2 or contrast >= 1.0 or threshold <= 0.0:
        return none, nothing, False
    x0, y0 = int(whole[shapes.X_MIN]), int(whole[shapes.Y_MIN])
    wide, tall = int(whole[shapes.X_MAX]) - x0 + 3, int(whole[shapes.Y_MAX]) - y0 + 3
    chart = np.full((tall, wide), -1, np.int32)  # place in this level's list, with a frame of nothing
    tops = np.zeros(number, np.bool_)
    if _peaks(x, y, value, x0, y0, chart, tops) < 2:
        return none, nothing, False
    label = np.empty((levels, number), np.int32)  # node of each pixel at each level, -1 where it is in none
    label[0] = 0
    node_level = np.zeros(64, np.int32)
    node_parent = np.full(64, -1, np.int32)
    node_excess = np.zeros(64)
    nodes, split, overflow = 1, False, False
    active = np.arange(number).astype(np.int32)
    lead = np.empty(number, np.int32)
    flux, pixels, names = np.empty(number), np.empty(number, np.int32), np.empty(number, np.int32)
    used = 1
    for level in range(1, levels):
        bound = threshold * (peak / threshold) ** (level / levels)
        label[level] = -1
        count = 0
        for k in range(active.size):
            p = active[k]
            if value[p] > bound:
                active[count] = p
                count += 1
        active = active[:count]
        for k in range(count):
            p = active[k]
            i, j = x[p] - x0 + 1, y[p] - y0 + 1
            lead[k] = k
            chart[j, i] = k
            for other in (chart[j, i - 1], chart[j - 1, i - 1], chart[j - 1, i], chart[j - 1, i + 1]):
                if other >= 0:
                    one, two = _root(lead, k), _root(lead, other)
                    lead[max(one, two)] = min(one, two)
        for k in range(count):
            flux[k], pixels[k], names[k] = 0.0, 0, -1
        for k in range(count):
            p = active[k]
            chart[y[p] - y0 + 1, x[p] - x0 + 1] = -1
            top = _root(lead, k)
            lead[k] = top
            flux[top] += value[p]
            pixels[top] += 1
        last = np.zeros(count, np.int64)
        for k in range(count):
            last[lead[k]] = k
        keys, sons = np.empty(count, np.int64), 0
        for k in range(count):  # a level's nodes come by their parents, then by their last pixels
            top = lead[k]
            if top == k and pixels[top] >= least:
                keys[sons] = label[level - 1, active[k]] * np.int64(number) + last[top]
                sons += 1
        if sons > SONS:
            overflow, sons = True, SONS
        while nodes + sons > node_level.size:
            node_level, node_parent = _twice(node_level), _twice(node_parent)
            node_excess = np.concatenate((node_excess, node_excess))
        for key in np.sort(keys[:sons]):
            top = lead[key % number]
            names[top] = nodes
            node_level[nodes], node_parent[nodes] = level, label[level - 1, active[top]]
            node_excess[nodes] = flux[top] - bound * pixels[top]
            nodes += 1
        kept, left = 0, 0
        for k in range(count):
            p, name = active[k], names[lead[k]]
            if name >= 0:
                label[level, p] = name
                active[kept] = p
                kept += 1
                left += tops[p]
        active = active[:kept]
        used = level + 1
        split = split or sons > 1
        if left <= sons or (kept < 2 * least and sons < 2):  # no branch has two peaks, or room for two branches
            break
    if not split:
        return none, nothing, overflow
    chosen = _chosen(node_level[:nodes], node_parent[:nodes], node_excess[:nodes], whole[shapes.FLUX] * contrast, used)
    owner = none
    if chosen.size < 2:
        return none, nothing, overflow
    objects = np.zeros((chosen.size, FIELDS))
    for j in range(chosen.size):
        node = chosen[j]
        level = node_level[node]
        mine = np.nonzero(label[level] == node)[0]
        owner[mine] = j
        bound = threshold * (peak / threshold) ** (level / levels)
        mine_bounds = bounds[mine] if bounds.size else bounds
        describe(x[mine], y[mine], value[mine], raw[mine], mine_bounds, bound, least, 0, objects[j])
    return owner, objects, overflow


@njit(cache=True, nogil=True)
def _peaks(x: Array, y: Array, value: Array, x0: int, y0: int, chart: Array, tops: Array) -> int:
    """Mark pixels that no neighbour outshines and tell their number: most groups have but one. Leaves -1s."""
    for k in range(x.size):
        chart[y[k] - y0 + 1, x[k] - x0 + 1] = k
    for k in range(x.size):
        i, j = x[k] - x0 + 1, y[k] - y0 + 1
        outshone = False
        for row in range(j - 1, j + 2):
            for column in range(i - 1, i + 2):
                other = chart[row, column]
                outshone |= other >= 0 and value[max(other, 0)] > value[k]
        tops[k] = not outshone
    for k in range(x.size):
        chart[y[k] - y0 + 1, x[k] - x0 + 1] = -1
    return int(tops.sum())


@njit(cache=True, nogil=True)
def _chosen(level: Array, parent: Array, excess: Array, least: float, used: int) -> Array:
    """Nodes that become objects: siblings of which two or more stand out by `least`, from the leaves down."""
    number = level.size
    fine = np.ones(number, np.bool_)
    out = np.empty(number, np.int32)
    count = 0
    starts = np.zeros(used + 1, np.int64)  # nodes come level by level
    for k in range(number):
        starts[level[k] + 1] += 1
    for k in range(used):
        starts[k + 1] += starts[k]
    standing = np.zeros(number, np.int32)
    for k in range(used - 2, -1, -1):
        for node in range(starts[k + 1], starts[k + 2]):
            up = parent[node]
            standing[up] += excess[node] > least
            fine[up] = fine[up] and fine[node]
        for up in range(starts[k], starts[k + 1]):
            if standing[up] < 2:
                continue
            for node in range(starts[k + 1], starts[k + 2]):
                if parent[node] == up and fine[node] and excess[node] > least:
                    out[count] = node
                    count += 1
            fine[up] = False
    return out[:count].copy()


@njit(cache=True, nogil=True)
def _sort(x: Array, y: Array, value: Array, raw: Array, bounds: Array, owner: Array, number: int) -> None:
    """Put pixels in the order of their owners, those of a branch by rows, then those dealt as the group lists them."""
    places = np.zeros(2 * number + 1, np.int64)
    for k in range(owner.size):
        places[owner[k] + 1] += 1
    for j in range(2 * number):
        places[j + 1] += places[j]
    listed = lutz.order(x, y)
    old_x, old_y, old_value, old_owner = x.copy(), y.copy(), value.copy(), owner.copy()
    old_raw, old_bounds = raw.copy(), bounds.copy()
    for dealt in range(2):
        for at in range(owner.size):
            k = listed[at] if dealt else at
            if old_owner[k] % 2 != dealt:
                continue
            to = places[old_owner[k]]
            places[old_owner[k]] += 1
            x[to], y[to], value[to], raw[to], owner[to] = old_x[k], old_y[k], old_value[k], old_raw[k], old_owner[k]
            if bounds.size:
                bounds[to] = old_bounds[k]


@njit(cache=True, nogil=True)
def _root(lead: Array, k: int) -> int:
    while lead[k] != k:
        lead[k] = lead[lead[k]]
        k = lead[k]
    return k


@njit(cache=True, nogil=True)
def _twice(old: Array) -> Array:
    new = np.full(2 * old.size, -1, np.int32)
    new[: old.size] = old
    return new
