"""Threads for the parts of one image; none where one is enough: each has memory of its own that is cleared first."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Here(Executor):
    """Does everything in the thread that asks for it: what is submitted at once, what is mapped as it is taken."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> "Future[Result]":
        """Return a result that is there."""
        done: Future[Result] = Future()
        done.set_result(fn(*args, **kwargs))
        return done

    def map(self, fn: Callable[..., Result], *iterables: Iterable[Any], **_: Any) -> Iterator[Result]:
        """Results in their order."""
        return map(fn, *iterables)


def executor(threads: int) -> Executor:
    """Return what does so many parts at once."""
    return ThreadPoolExecutor(threads) if threads > 1 else _Here()
