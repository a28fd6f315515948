"""Tasks shared out to threads, without the standard library's pool, which comes with half of the tool's own start."""

import threading
from collections.abc import Callable, Generator, Sequence
from typing import Generic, TypeVar

Result = TypeVar("Result")


class _Task(Generic[Result]):
    """A function that some thread calls once."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self._function = function
        self._answer: list[Result] = []
        self._problem: BaseException | None = None
        self._done = threading.Event()

    def do(self) -> bool:
        """Do it; tell whether it went well."""
        try:
            self._answer.append(self._function())
        except BaseException as problem:  # noqa: BLE001  raised to who waits
            self._problem = problem
        self._done.set()
        return self._problem is None

    def answer(self) -> Result:
        """Wait for it; what went wrong is raised."""
        self._done.wait()
        if self._problem is not None:
            raise self._problem
        return self._answer[0]


def shared(functions: Sequence[Callable[[], Result]], threads: int) -> Generator[Result]:
    """Yield what functions give, in their order, in which they are begun.

    The first error that is met is raised; functions not yet begun are then left alone, and those that are end first.
    """
    tasks = [_Task(function) for function in functions]
    waiting = iter(tasks)
    begin = threading.Lock()

    def leave() -> None:
        with begin:
            for _ in waiting:
                pass

    def work() -> None:
        while True:
            with begin:
                task = next(waiting, None)
            if task is None:
                return
            if not task.do():
                leave()

    workers = [threading.Thread(target=work, name=f"share-{number}") for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        for task in tasks:
            yield task.answer()
    finally:
        leave()
        for worker in workers:
            worker.join()
