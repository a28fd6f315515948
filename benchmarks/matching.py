"""Sources of two catalogues of one image that are the same."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def matched(mine: NDArray[Any], other: NDArray[Any]) -> NDArray[np.int64]:
    """Pairs of rows whose isophotal positions lie within half a pixel of each other, (n, 2)."""
    cells: dict[tuple[int, int], list[int]] = {}
    for k, (x, y) in enumerate(zip(other["X_IMAGE"], other["Y_IMAGE"], strict=True)):
        cells.setdefault((int(x), int(y)), []).append(k)
    pairs = []
    for k, (x, y) in enumerate(zip(mine["X_IMAGE"], mine["Y_IMAGE"], strict=True)):
        near = [
            (float(np.hypot(other["X_IMAGE"][j] - x, other["Y_IMAGE"][j] - y)), j)
            for dx in (-1, 0, 1)
            for dy in (-1, 0, 1)
            for j in cells.get((int(x) + dx, int(y) + dy), ())
        ]
        if near and min(near)[0] < 0.5:
            pairs.append((k, min(near)[1]))
    return np.array(pairs, np.int64).reshape(-1, 2)
