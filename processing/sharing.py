"""Tasks shared out to threads, with their answers in order."""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def shared(functions: Sequence[Callable[[], Result]], threads: int) -> Generator[Result]:
    """Yield what functions give, in their order, in which they are begun.

    The first error that is met is raised; functions not yet begun are then left alone, and those that are end first.
    """
    coming: list[Future[Result]] = []
    ready = threading.Event()

    def leave() -> None:
        for each in coming:
            each.cancel()

    def once(function: Callable[[], Result]) -> Result:
        ready.wait()  # until all can be left
        try:
            return function()
        except BaseException:
            leave()
            raise

    with ThreadPoolExecutor(threads, thread_name_prefix="share") as pool:
        try:
            coming += [pool.submit(once, function) for function in functions]
            ready.set()
            for each in coming:
                yield each.result()
        finally:
            ready.set()
            leave()
