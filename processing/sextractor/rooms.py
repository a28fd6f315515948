"""Memory that images behind each other use again: what is new has to be cleared by the system, page by page."""

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Rooms:
    """Arrays that nobody uses at the moment; for any number of threads."""

    def __init__(self) -> None:
        self._free: dict[tuple[str, tuple[int, ...]], list[NDArray[Any]]] = {}
        self._lock = Lock()

    def pixels(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return an array of any content."""
        found = self._taken("pixels", shape)
        return np.empty(shape, np.float32) if found is None else found

    def labels(self, shape: tuple[int, int]) -> NDArray[np.int32]:
        """Return an array of zeros."""
        found = self._taken("labels", shape)
        return np.zeros(shape, np.int32) if found is None else found

    def leave_pixels(self, array: NDArray[np.float32]) -> None:
        """Give an array back that nobody looks at any more."""
        self._left("pixels", array)

    def leave_labels(self, array: NDArray[np.int32]) -> None:
        """Give an array back that is all zeros again."""
        self._left("labels", array)

    def _taken(self, kind: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
        with self._lock:
            free = self._free.get((kind, shape))
            return free.pop() if free else None

    def _left(self, kind: str, array: NDArray[Any]) -> None:
        with self._lock:
            self._free.setdefault((kind, array.shape), []).append(array)
