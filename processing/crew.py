"""Worker processes of a stage: one CCD a worker, each opening its files itself.

Workers are plain child processes that speak over pipes, so that a stage may
start them from anywhere: from a script, or from inside a Dask worker, whose
process may not have children of the multiprocessing module. A worker ends when
its pipe closes, hence with its owner, however that died.

A message is a length and a pickle; the owner sends (function, arguments), the
worker answers (True, result) or (False, error).
"""

import atexit
import contextlib
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType
from typing import IO, Any, TypeVar

from processing.errors import ProcessingError, WorkerLost

Work = TypeVar("Work")
Result = TypeVar("Result")

KEEP = 60.0
"""Seconds for which idle workers are kept: starting one costs about a second of imports."""
_LENGTH = struct.Struct("<Q")
_ALONE = MappingProxyType(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
"""Workers share the cores out among themselves: threads of linear algebra would stand in each other's way, and their
number is not to change a bit."""
_AHEAD = 2
"""Tasks a worker handed out ahead of the one whose result is awaited; bounds the results held in memory."""


def _send(stream: IO[bytes], message: Any) -> None:
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def _receive(read: Callable[[int], bytes]) -> Any:
    head = read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    content = read(length)
    if len(content) < length:
        raise EOFError
    return pickle.loads(content)  # noqa: S301  from our own child over a private pipe


class _Worker:
    """One child process, and the thread-safe way to ask it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "processing.crew"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ALONE, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ask(self, function: Callable[..., Any], work: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            _send(self.process.stdin, (function, work))
            done, answer = _receive(self.process.stdout.read)
        except (OSError, EOFError) as problem:
            self.end()
            code = self.process.returncode
            raise WorkerLost(f"worker process {self.process.pid} ended ({code}) while it worked on {work}") from problem
        if not done:
            raise answer
        return answer

    def end(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Crew:
    """A number of worker processes that share out tasks."""

    def __init__(self, size: int) -> None:
        self._free = [_Worker() for _ in range(size)]
        self._lock = threading.Lock()
        self.size = size
        self.since = time.monotonic()
        """When it was last given back."""

    @property
    def fit(self) -> bool:
        """Whether every worker is there and was not idle for too long."""
        workers = self._free
        return len(workers) == self.size and all(w.alive for w in workers) and time.monotonic() - self.since < KEEP

    def _one(self, function: Callable[[Work], Result], work: Work) -> Result:
        with self._lock:
            worker = self._free.pop()
        try:
            result: Result = worker.ask(function, work)
        finally:
            with self._lock:
                self._free.append(worker)
        return result

    def map(self, function: Callable[[Work], Result], tasks: Iterable[Work]) -> Generator[Result]:
        """Yield ``function(task)`` in the order of `tasks`; the first error ends the others not yet begun."""
        waiting: list[Future[Result]] = []
        remaining = iter(tasks)
        with ThreadPoolExecutor(self.size, thread_name_prefix="crew") as threads:
            try:
                for task in remaining:
                    waiting.append(threads.submit(self._one, function, task))
                    if len(waiting) >= self.size * _AHEAD:
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()
            finally:
                for future in waiting:
                    future.cancel()

    def end(self) -> None:
        """End the workers."""
        for worker in self._free:
            worker.end()


_kept: list[Crew] = []
_kept_lock = threading.Lock()


@contextlib.contextmanager
def crew(size: int) -> Iterator[Crew]:
    """Lend `size` workers, those of an earlier job where they are still there.

    An error leaves workers in an unknown state of their memory, not of their
    pipes: they are ended unless the error is one of ours.
    """
    with _kept_lock:
        mine = next((kept for kept in _kept if kept.size == size and kept.fit), None)
        stale = [kept for kept in _kept if not kept.fit]
        _kept[:] = [kept for kept in _kept if kept is not mine and kept.fit]
    for old in stale:
        old.end()
    lent = mine or Crew(size)
    try:
        yield lent
    except ProcessingError:
        _keep(lent)
        raise
    except BaseException:
        lent.end()
        raise
    _keep(lent)


def _keep(lent: Crew) -> None:
    lent.since = time.monotonic()
    with _kept_lock:
        _kept.append(lent)
    later = threading.Timer(KEEP, _end_if_idle, (lent, lent.since))
    later.daemon = True
    later.start()


def _end_if_idle(lent: Crew, since: float) -> None:
    """End workers that nobody borrowed since they were given back."""
    with _kept_lock:
        idle = lent in _kept and lent.since == since
        if idle:
            _kept.remove(lent)
    if idle:
        lent.end()


@atexit.register
def dismiss() -> None:
    """End all workers that are kept."""
    with _kept_lock:
        gone, _kept[:] = list(_kept), []
    for lent in gone:
        lent.end()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _serve() -> None:
    """Answer tasks until the pipe closes or nobody asked for twice `KEEP`.

    The signals that stop the owner are ignored: its last tasks end, then its pipe closes.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while select.select([0], [], [], 2 * KEEP)[0]:
        try:
            function, work = _receive(_read_task)
        except EOFError:
            return
        try:
            answer = (True, function(work))
        except Exception as problem:  # noqa: BLE001  the owner raises it again
            answer = (False, _portable(problem))
        try:
            _send(answers, answer)
        except BrokenPipeError:
            return


def _read_task(length: int) -> bytes:
    """Read from the pipe without a buffer, so that `select` sees what is left."""
    pieces: list[bytes] = []
    while length > 0 and (piece := os.read(0, length)):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def _portable(problem: Exception) -> Exception:
    """Return the error itself if it survives pickling, else one that says the same."""
    try:
        pickle.loads(pickle.dumps(problem))  # noqa: S301  our own bytes
    except Exception:  # noqa: BLE001  an error's own constructor may raise anything
        return ProcessingError(f"{type(problem).__name__}: {problem}")
    return problem


if __name__ == "__main__":
    _serve()
