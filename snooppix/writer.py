"""Bytes from the network to a part, two blocks behind: written and digested in threads while the next block comes."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Self

from snooppix.carrier import Progress
from terapix.blocks import BLOCK
from terapix.part import Part, Span
from terapix.steps import reached

THREADS: Final = 3
"""One writes and digests the block, one digests the file, one flushes: bench_download.py."""

SMALL: Final = 512 * 1024
"""Bytes that one thread writes and digests sooner than two."""

AHEAD: Final = 2
"""Blocks handed over: one is digested and one waits, so that the digest never waits for the event loop."""


class Lane:
    """Pieces of work that a thread does one after the other; after one that failed none is begun."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._left: deque[tuple[Future[None], Callable[[], None]]] = deque()
        self._lock = threading.Lock()
        self._busy = False
        self._problem: BaseException | None = None

    def put(self, work: Callable[[], None]) -> asyncio.Future[None]:
        """Do this behind everything put before."""
        done: Future[None] = Future()
        with self._lock:
            self._left.append((done, work))
            begins, self._busy = not self._busy, True
        if begins:
            self._threads.submit(self._go)
        return asyncio.wrap_future(done)

    def _go(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    self._busy = False
                    return
                done, work = self._left.popleft()
            if not done.set_running_or_notify_cancel():
                continue
            if self._problem is None:
                try:
                    work()
                except BaseException as problem:  # noqa: BLE001 - whoever waits for it is told
                    self._problem = problem
            if self._problem is None:
                done.set_result(None)
            else:
                done.set_exception(self._problem)


class Writer:
    """Puts bytes into a part as they come over one connection."""

    def __init__(
        self, part: Part, progress: Progress, *, at: int | None = None, threads: Executor | None = None
    ) -> None:
        self.part = part
        self._progress = progress
        self._own = None if threads else ThreadPoolExecutor(THREADS, thread_name_prefix="part")
        self._threads: Executor = threads or self._own  # type: ignore[assignment]
        self._owner = at is None
        """It was there first, and closes the part at its end."""
        self._span: Span | None = None
        self._at = at
        self._pending: deque[asyncio.Future[None]] = deque()
        """What becomes of the blocks handed over, oldest first: of each that it is written, and that it is digested."""
        self._writing, self._digesting = Lane(self._threads), Lane(self._threads)
        self._next = 0
        """Where the block behind those handed over belongs."""
        self._flushing: asyncio.Future[None] | None = None
        self._passed: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *problem: object) -> None:
        await undisturbed(self._finish())

    async def _finish(self) -> None:
        """Let the threads end what they do, whatever it comes to, before the file is closed under them."""
        left = [*self._pending, *([self._flushing] if self._flushing else [])]
        await asyncio.gather(*left, return_exceptions=True)
        if self._own is not None:
            await asyncio.to_thread(self._own.shutdown)
        if self._owner:
            self.part.close()

    def begin(self, at: int) -> None:
        """Say where the next bytes belong."""
        self._at, self._span = at, None

    async def put(self, chunks: list[bytes]) -> None:
        """Hand a block over; returns at once unless `AHEAD` blocks are not yet written."""
        size = sum(map(len, chunks))
        if size >= SMALL and len(chunks) > 1:
            # one piece: a digest of many would ask for the interpreter after each, 0.2 s of 400 MB; joining takes 0.1
            chunks = [b"".join(chunks)]
        await self._settle(2 * (AHEAD - 1) if size >= SMALL else 0)
        span = self._span
        if span is None or not self._pending:
            span = self._span = await self._continued()
            self._next = span.at
        at, self._next = self._next, self._next + size
        if size < SMALL:
            self._pending.append(self._writing.put(partial(self._write, span, at, chunks)))
        else:
            self._pending.append(self._writing.put(partial(span.write, chunks)))
            self._pending.append(self._digesting.put(partial(self.part.follow, at, chunks)))
        if self.part.flush_due() and (self._flushing is None or self._flushing.done()):
            await self.flushed()
            self._flushing = asyncio.get_running_loop().run_in_executor(self._threads, self.part.flush)

    async def _continued(self) -> Span:
        """Give the span that goes on where the next bytes belong."""
        if self._span is not None and (self._at is not None or self._span.at == self.part.front):
            return self._span
        begin = self.part.front if self._at is None else self._at
        if begin % BLOCK == 0:  # then nothing is read
            return Span(self.part, begin)
        return await asyncio.get_running_loop().run_in_executor(self._threads, Span, self.part, begin)

    def _write(self, span: Span, at: int, chunks: list[bytes]) -> None:
        span.write(chunks)
        self.part.follow(at, chunks)

    async def settle(self) -> None:
        """Wait until everything handed over is written."""
        await self._settle(0)

    async def _settle(self, most: int) -> None:
        """Wait until at most so many of the things handed over are not done, then tell how far it is."""
        if len(self._pending) <= most:
            return
        while len(self._pending) > most:
            await asyncio.wait([self._pending[0]])
            self._pending.popleft().result()
        await self._catch_up()
        self.tell()

    async def _catch_up(self) -> None:
        """Digest what others had brought beyond the front before it came there."""
        if self.part.ahead:
            await asyncio.get_running_loop().run_in_executor(self._threads, self.part.follow, 0, ())

    async def flushed(self) -> None:
        """Wait for the disk, which may have refused what was written before."""
        if self._flushing is not None:
            flushing, self._flushing = self._flushing, None
            await asyncio.shield(flushing)

    def tell(self) -> None:
        """Pass the steps that the number of bytes stands for."""
        done, total = self.part.done, self.part.bound.total if self.part.bound else -1
        self._progress.done = done
        if done and "first" not in self._passed:
            self._passed.add("first")
            reached("fetch.first-bytes")
        if done and 2 * done >= total and "half" not in self._passed:
            self._passed.add("half")
            reached("fetch.half")


async def undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Let something come to its end although we are cancelled, and be cancelled then."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as found:
            cancelled = found
    if cancelled is not None:
        raise cancelled
    task.result()
