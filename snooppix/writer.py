"""Bytes from the network to a part, one block behind: written and digested in threads while the next block comes."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Final, Self

from snooppix.carrier import Progress
from terapix.blocks import BLOCK
from terapix.part import Part, Span
from terapix.steps import reached

THREADS: Final = 3
"""One writes and digests the block, one digests the file, one flushes: bench_download.py."""

SMALL: Final = 512 * 1024
"""Bytes that one thread writes and digests sooner than two."""


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
        self._pending: set[asyncio.Future[None]] = set()
        """The block that is being written."""
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
        """Hand a block over; returns as soon as the block before it is written."""
        await self.settle()
        loop = asyncio.get_running_loop()
        if self._span is None or (self._at is None and self._span.at != self.part.front):
            begin = self.part.front if self._at is None else self._at
            aligned = begin % BLOCK == 0  # then nothing is read
            make = loop.run_in_executor(self._threads, Span, self.part, begin) if not aligned else None
            self._span = Span(self.part, begin) if make is None else await make
        at = self._span.at
        if sum(map(len, chunks)) < SMALL:
            self._pending = {loop.run_in_executor(self._threads, self._write, self._span, at, chunks)}
        else:
            written = loop.run_in_executor(self._threads, self._span.write, chunks)
            self._pending = {written, loop.run_in_executor(self._threads, self.part.follow, at, chunks)}
        if self.part.flush_due() and (self._flushing is None or self._flushing.done()):
            await self.flushed()
            self._flushing = loop.run_in_executor(self._threads, self.part.flush)

    def _write(self, span: Span, at: int, chunks: list[bytes]) -> None:
        span.write(chunks)
        self.part.follow(at, chunks)

    async def settle(self) -> None:
        """Wait until everything handed over is written."""
        if self._pending:
            pending = self._pending
            await asyncio.wait(pending)
            self._pending = set()
            for done in pending:
                done.result()
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
