"""Random numbers by which left-over pixels of blends are dealt: one sequence for all images of a file.

The original draws them one image behind the other. So that images can be measured at once, each waits for the
state in which the one before it leaves the sequence.
"""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
from numpy.typing import NDArray

from processing.kernels import dealing

State = NDArray[np.uint32]
Turn = AbstractContextManager[State]
"""Entered with the state of the sequence; it is handed on as it is left."""


def first_turn() -> Turn:
    """Return the turn of an image that stands alone."""
    return nullcontext(dealing.seeded())


class Lots:
    """The sequence of a file whose images are counted from 0.

    Images before one that waits have to have begun, and each of them has to take its turn or to `release` it.
    """

    def __init__(self, count: int) -> None:
        self._states: list[Future[State]] = [Future() for _ in range(count + 1)]
        self._states[0].set_result(dealing.seeded())

    @contextmanager
    def turn(self, index: int) -> Iterator[State]:
        """Wait for the image before, and give the state."""
        state = self._states[index].result().copy()
        yield state
        self._states[index + 1].set_result(state)

    def release(self, index: int) -> None:
        """Hand on the state of an image that failed before its turn; nothing happens where it has had it."""
        following = self._states[index + 1]
        if not following.done():
            following.set_result(self._states[index].result())
