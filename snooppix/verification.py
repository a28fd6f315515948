"""Is this file what we take, and is it whole? Header rules, checksums of every HDU, and all pixels unpacked.

Headers are read first and without any library that a hostile one could upset;
pixels are touched only after every size was found to agree with the file.
"""

import asyncio
import errno
import multiprocessing
import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, Self

from dbclient.schema import FrameKind
from snooppix.acceptance import FileKind, Verdict, judge, judge_calibration
from snooppix.errors import Rejection
from snooppix.headers import Hdu, Header, Headers, read_headers
from snooppix.metadata import describe, get_ready
from snooppix.pixels import PixelSum, examine, follow_parent, load_decoder, pixel_digest
from snooppix.publisher.names import is_fits
from terapix.identity import Digest
from terapix.instruments import Instrument
from terapix.journal import logger

log = logger("verification")

PROCESSES: Final = 2
"""Processes that unpack pixels: 36 CCDs take 5 s on one, 2.7 s on two; more would starve the downloads."""
BLAMED: Final = 3
"""Times that unpacking a file may end its process before the file is blamed."""
KILLED: Final = 10
"""Times that the process may be killed by others before the file waits: that says nothing of the file."""
SMALL: Final = 4 * 1024**2
"""Bytes of a file up to which one process unpacks it all: to ask a second one would take longer."""
PATIENCE: Final = 600.0
"""Seconds after which unpacking one file is given up; a frame takes 3."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A file that we take."""

    columns: dict[str, Any]
    """Metadata for its row."""
    pixel_digest: Digest | None
    """None for a file without an image."""
    hdus: int = 0
    summed: int = 0
    """HDUs that hold a CHECKSUM or a DATASUM, which agrees."""

    @property
    def sentence(self) -> str:
        """What was verified."""
        sums = f"checksums of {self.summed} of {self.hdus} HDUs agree" if self.summed else "no HDU has a checksum"
        return f"headers and all pixels verified, {sums}"


@dataclass(frozen=True, slots=True)
class Read:
    """What the headers of a file say."""

    verdict: Verdict
    headers: Headers
    columns: dict[str, Any]
    """Metadata for its row; empty if it is not taken."""


def read_file(
    path: Path, *, instrument: Instrument, kind: FrameKind, name: str, compression: float, lenient: bool = False
) -> Read:
    """Read and judge the headers of a file; `lenient` as in `judge`.

    Raises
    ------
    Rejection
        If the file cannot be read as FITS at all; what can be read has its rejection in the verdict.
    """
    if kind is FrameKind.PRODUCT:
        return _read_product(path, name)
    headers = read_headers(path)
    if kind is not FrameKind.OBJECT:
        verdict = judge_calibration(headers, instrument, wanted=kind)
        width, height = headers.images[0].shape if headers.images else (0, 0)
        unpacked = width * height * len(headers.images) * 2
        columns: dict[str, Any] = {
            "ccds": len(headers.images),
            "filter": headers.text("FILTER")[:40] or None,
            "crunid": headers.text("CRUNID")[:20] or None,
            "needs": {"frame": headers.size, "unpacked": unpacked, "weight": 0, "flag": 0, "scratch": 0},
        }
        return Read(verdict, headers, columns if verdict.accepted else {})
    verdict = judge(headers, instrument, name=name, lenient=lenient)
    if not verdict.accepted:
        return Read(verdict, headers, {})
    size = headers.size or path.stat().st_size
    placed = not any(excused.word == "wcs" for excused in verdict.excused)
    try:
        columns = describe(headers, size=size, compression=compression, placed=placed, maps=instrument.weights)
    except Rejection as rejection:
        return Read(Verdict(verdict.kind, rejection), headers, {})
    return Read(verdict, headers, columns)


def _read_product(path: Path, name: str) -> Read:
    """Read a product: a FITS file of any kind, unless its name says that it is a table of text."""
    with path.open("rb") as file:
        begins = file.read(9) == b"SIMPLE  ="
    if not begins and not is_fits(name):
        bare = Headers(Header({}), (), (), path.stat().st_size)
        return Read(Verdict(FileKind.PRODUCT, None), bare, {"ccds": 0})
    headers = read_headers(path)
    if headers.is_dump:
        raise Rejection("not-fits", "it holds FITS headers and no data")
    return Read(Verdict(FileKind.PRODUCT, None), headers, {"ccds": len(headers.images)})


def shares(hdus: Sequence[Hdu], parts: int) -> list[list[Hdu]]:
    """Divide HDUs among processes, the largest first, so that all end together."""
    buckets: list[list[Hdu]] = [[] for _ in range(max(1, min(parts, len(hdus))))]
    for hdu in sorted(hdus, key=lambda hdu: -hdu.data_size):
        min(buckets, key=lambda bucket: sum(h.data_size for h in bucket)).append(hdu)
    return buckets


class Verifier:
    """Verifies files in processes of its own."""

    def __init__(self, instrument: Instrument, *, compression: float, processes: int = PROCESSES) -> None:
        self.instrument = instrument
        self.compression = compression
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *problem: object) -> None:
        await asyncio.to_thread(self._end)

    def warm(self) -> None:
        """Start the processes and load what reading needs, while the first file is still on its way."""
        if self._pool is None:
            pool = self._begin()
            for _ in range(self._processes):
                pool.submit(load_decoder)
            asyncio.get_running_loop().run_in_executor(None, get_ready)

    async def read(self, path: Path, *, kind: FrameKind, name: str, lenient: bool = False) -> Read:
        """Read and judge the headers alone."""
        return await asyncio.to_thread(
            read_file,
            path,
            instrument=self.instrument,
            kind=kind,
            name=name,
            compression=self.compression,
            lenient=lenient,
        )

    async def verify(self, path: Path, *, kind: FrameKind, name: str) -> Verified:
        """Verify a file whole.

        Raises
        ------
        Rejection
            With the first thing that is wrong.
        OSError
            If the disk does not give its bytes, or the processes are killed again and again.
        """
        read = await self.read(path, kind=kind, name=name)
        if read.verdict.rejection is not None:
            raise read.verdict.rejection
        sums = await self.unpack(path, read.headers) if read.headers.hdus else []
        hdus = read.headers.hdus
        summed = sum(hdu.header.has_sum for hdu in hdus)
        return Verified(read.columns, pixel_digest(sums) if sums else None, len(hdus), summed)

    async def unpack(self, path: Path, headers: Headers) -> list[PixelSum]:
        """Verify the checksums of all HDUs and unpack their pixels.

        Where the processes end, it is done again by such that no other file shares: only those can blame it.
        """
        pool = self._begin()
        try:
            return await self._unpack(pool, path, headers)
        except BrokenProcessPool:
            log.warning("a process that unpacks pixels has ended", file=path.name)
            await asyncio.to_thread(self._end, pool)
        except TimeoutError as problem:
            await asyncio.to_thread(self._end, pool)
            raise _endless() from problem
        return await self._unpack_alone(path, headers)

    async def _unpack_alone(self, path: Path, headers: Headers) -> list[PixelSum]:
        ends: Counter[bool] = Counter()
        """How often processes were killed by others (True), and ended by themselves."""
        while ends[False] < BLAMED and ends[True] < KILLED:
            pool = self._make()
            try:
                return await self._unpack(pool, path, headers)
            except BrokenProcessPool:
                ends[await asyncio.to_thread(were_killed, pool)] += 1
                log.warning("a process that unpacks this file alone has ended", file=path.name)
            except TimeoutError as problem:
                raise _endless() from problem
            finally:
                await asyncio.to_thread(_end, pool)
        if ends[True] >= KILLED:
            why = "the process that unpacks its pixels is killed each time, as the kernel does when memory is short"
            raise ChildProcessError(errno.ECHILD, why, path.name)
        raise Rejection(
            "pixels", f"unpacking its pixels ended the process that did it, {BLAMED} times: the file is broken"
        )

    async def _unpack(self, pool: ProcessPoolExecutor, path: Path, headers: Headers) -> list[PixelSum]:
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Future[list[PixelSum]]] = []
        try:
            for share in shares(headers.hdus, self._processes if headers.size > SMALL else 1):
                tasks.append(loop.run_in_executor(pool, examine, path, share))  # noqa: PERF401 - each begins at once
            async with asyncio.timeout(PATIENCE):
                return [found for part in await asyncio.gather(*tasks) for found in part]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = self._make()
        return self._pool

    def _make(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._processes, mp_context=context, initializer=follow_parent)

    def _end(self, which: ProcessPoolExecutor | None = None) -> None:
        """End the processes; with `which`, only if those are still the ones at work."""
        if self._pool is not None and which in {None, self._pool}:
            pool, self._pool = self._pool, None
            _end(pool)


def _end(pool: ProcessPoolExecutor) -> None:
    for process in _processes(pool):
        process.kill()
    pool.shutdown(cancel_futures=True)


def _processes(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    """Give the processes at work; there is no public way to end one that hangs, or to learn how it ended."""
    return list((pool._processes or {}).values())  # noqa: SLF001


def were_killed(pool: ProcessPoolExecutor) -> bool:
    """Tell whether a process of a broken pool ended by SIGKILL, which no file can cause; others then end by SIGTERM.

    The pool is broken as soon as a process closes its end of the pipe, which is before the kernel knows how it ended:
    all are waited for.
    """
    processes = _processes(pool)
    pool.shutdown(wait=True)
    codes = {process.exitcode for process in processes}
    return codes - {None, 0, -signal.SIGTERM} == {-signal.SIGKILL}


def _endless() -> Rejection:
    return Rejection("pixels", f"its pixels were not unpacked within {PATIENCE:.0f} s")
