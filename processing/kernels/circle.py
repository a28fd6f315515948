"""Share of a pixel that lies within a circle, counted on a grid as the original counts it."""

import math

from numba import njit


@njit(cache=True, nogil=True)
def share(dx: float, dy: float, radius: float, over: int) -> float:
    """Return the share of a pixel of whose `over` by `over` parts the middles lie within a circle about 0.

    A row of parts is counted at once, from where the circle cuts it.
    """
    part, inside = 1.0 / over, 0
    start = 0.5 * (part - 1.0)
    left = dx + start
    for j in range(over):
        v = dy + start + j * part
        half = radius * radius - v * v
        if half <= 0.0:
            continue
        half = math.sqrt(half)
        first = max(math.floor((-half - left) * over) + 1, 0)
        last = min(math.ceil((half - left) * over) - 1, over - 1)
        if last >= first:
            inside += last - first + 1
    return inside * part * part
