"""One file from the archive to a verified part: streamed, digested on the way, resumed after any interruption.

While one block of 4 MiB is written and digested in a thread, the event loop
receives the next; so a verified download takes about as long as the digest alone
(bench_download.py).
"""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self

from aiohttp import ClientError, ClientResponse
from aiohttp.streams import EmptyStreamReader
from yarl import URL

from snooppix.carrier import Arrived, Progress, Wanted, told
from snooppix.errors import ArchiveSilent, Changed, Damaged, FetchError, NoRoom, NotFits, Unreachable, UnsafeAddress
from snooppix.part import Bound, Part
from snooppix.treatment import failure
from snooppix.wire import Wire, retry_after
from terapix.identity import Digest
from terapix.steps import reached

__all__ = ["Arrived", "Downloader", "Progress", "Wanted"]

BLOCK: Final = 4 * 1024**2
"""Bytes that go to the writing thread at once."""
LINGER: Final = 0.5
"""Seconds after which a smaller block is written too: over a slow line 4 MiB are much to lose, and to wait for."""
RESUMES: Final = 20
"""Interruptions of one connection that are answered by resuming at once, as long as each brought bytes."""


class Writer:
    """Appends blocks to a part in a thread of its own, one block behind the network."""

    def __init__(self, part: Part, progress: Progress) -> None:
        self.part = part
        self._progress = progress
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="part")
        self._pending: asyncio.Future[None] | None = None
        """The block that is being written."""
        self._flushing: asyncio.Future[None] | None = None
        self._passed: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *problem: object) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        self.part.close()

    async def put(self, chunks: list[bytes]) -> None:
        """Hand a block over; returns as soon as the block before it is written."""
        await self.settle()
        loop = asyncio.get_running_loop()
        self._pending = loop.run_in_executor(self._threads, self._append, chunks)
        if self.part.flush_due() and (self._flushing is None or self._flushing.done()):
            await self.flushed()
            self._flushing = loop.run_in_executor(self._threads, self.part.flush)

    async def settle(self) -> None:
        """Wait until everything handed over is written."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            await asyncio.shield(pending)

    async def flushed(self) -> None:
        """Wait for the disk, which may have refused what was written before."""
        if self._flushing is not None:
            flushing, self._flushing = self._flushing, None
            await asyncio.shield(flushing)

    def _append(self, chunks: list[bytes]) -> None:
        self.part.append(chunks)
        self.tell()

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


class _Afresh(Exception):
    """Begin the file again."""


class Downloader:
    """Fetches files over one wire."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    async def fetch(self, wanted: Wanted, sources: Sequence[str], progress: Progress) -> Arrived:
        """Fetch a file from the first source that gives it whole.

        Afterwards the part is complete and its digest verified. After a failure
        the part stays, for the next try to go on with.

        Raises
        ------
        FetchError
            What the last source did; the part of a damaged file is kept beside as ``.bad``.
        """
        problem: FetchError | None = None
        for source in sources:
            progress.host = URL(source).host or ""
            try:
                return await self._from(source, wanted, progress)
            except NoRoom:
                raise
            except FetchError as found:
                problem = found
            except UnsafeAddress as found:
                problem = Unreachable(wanted.name, progress.host, str(found))
        raise problem or failure(404, wanted.name, "the archive")

    async def _from(self, source: str, wanted: Wanted, progress: Progress) -> Arrived:
        """Fetch from one source, resuming as long as that brings the file nearer."""
        algorithm = wanted.digest.algorithm if wanted.digest else "md5"
        part = await asyncio.to_thread(Part.open, wanted.part, algorithm=algorithm)
        async with Writer(part, progress) as writer:
            try:
                for _ in range(RESUMES):
                    before = part.done
                    try:
                        await self._stream(source, wanted, writer, progress)
                    except _Afresh:
                        await asyncio.to_thread(part.restart)
                    except Unreachable:
                        if not part.complete and part.done <= before:
                            raise
                        progress.interruptions += 1
                    if part.complete:
                        break
                await writer.flushed()
                return await asyncio.to_thread(_verify, wanted, part, progress)
            except OSError as problem:
                raise _disk(problem, wanted, part) from problem

    async def _stream(self, source: str, wanted: Wanted, writer: Writer, progress: Progress) -> None:
        """Ask for what is missing, once, and append what comes."""
        part = writer.part
        if part.complete:
            writer.tell()
            return
        headers = {"Range": f"bytes={part.done}-"} if part.done else {}
        async with _reachable(wanted.name, progress.host), self.wire.ask("GET", source, headers=headers) as response:
            if response.status == 416:
                if wanted.digest != part.digest:
                    raise _Afresh
                part.bound = Bound(str(part.digest), "", part.done)
                return
            if response.status not in {200, 206}:
                raise failure(response.status, wanted.name, progress.host, retry_after=retry_after(response))
            _refuse_pages(response, wanted.name, progress.host)
            await self._bind(response, wanted, part, progress)
            progress.total = part.bound.total if part.bound else None
            progress.headers = told(response.headers)
            writer.tell()
            await _receive(response, wanted, writer, progress)

    async def _bind(self, response: ClientResponse, wanted: Wanted, part: Part, progress: Progress) -> None:
        """Compare what the server offers with what was listed and with what the part belongs to."""
        offered = Digest.of_header(response.headers.get("Digest", ""))
        begin, total = _extent(response)
        if wanted.digest and offered and offered != wanted.digest and offered.algorithm == wanted.digest.algorithm:
            raise Changed(
                wanted.name,
                progress.host,
                f"the archive now has {offered} where it listed {wanted.digest}; its next listing decides",
            )
        if wanted.size is not None and total not in {wanted.size, -1} and offered is None:
            raise Changed(
                wanted.name,
                progress.host,
                f"the archive now has {total} bytes where it listed {wanted.size}; its next listing decides",
            )
        known = wanted.digest or offered
        bound = Bound(
            digest=str(known) if known else "",
            artifact=response.headers.get("x-artifact-id", ""),
            # where listing and server disagree on the length alone, the digest will tell when it is reached
            total=max(total, wanted.size) if wanted.size is not None else total,
        )
        if response.status == 206 and (bound != part.bound or begin != part.done):
            raise _Afresh
        if response.status == 200 and part.done:
            await asyncio.to_thread(part.restart)
        await asyncio.to_thread(part.bind, bound)


async def _receive(response: ClientResponse, wanted: Wanted, writer: Writer, progress: Progress) -> None:
    """Pass the body on in blocks."""
    total = writer.part.bound.total if writer.part.bound else -1
    come, size, chunks = writer.part.done, 0, list[bytes]()
    loop = asyncio.get_running_loop()
    given = loop.time()
    try:
        while chunk := await response.content.readany():
            if come == 0 and wanted.fits and _no_fits(chunk):
                raise NotFits(wanted.name, progress.host, "what comes does not begin as a FITS file", head=chunk[:4096])
            come += len(chunk)
            if 0 <= total < come:
                raise Unreachable(wanted.name, progress.host, f"more than the {total} bytes announced came")
            chunks.append(chunk)
            size += len(chunk)
            if size >= BLOCK or loop.time() - given >= LINGER:
                await writer.put(chunks)
                chunks, size, given = [], 0, loop.time()
    finally:
        if rest := _left_in(response):
            chunks.append(rest[: total - come] if total >= 0 else rest)
        if chunks and not (come == 0 and wanted.fits and _no_fits(chunks[0])):
            await writer.put(chunks)
        await writer.settle()
    if total < 0 and writer.part.bound:
        found = writer.part.bound
        writer.part.bound = Bound(found.digest, found.artifact, writer.part.done)
    elif writer.part.done < total:
        raise Unreachable(wanted.name, progress.host, f"the body ends after {writer.part.done} of {total} bytes")


def _left_in(response: ClientResponse) -> bytes:
    """Take what came before a cut, which aiohttp does not give: #4581; in 3.14 that may be every byte: #13348."""
    if isinstance(response.content, EmptyStreamReader):
        return b""
    return response.content._read_nowait(-1)  # noqa: SLF001 - there is no public way to these bytes


def _no_fits(begin: bytes) -> bool:
    return not begin.startswith(b"SIMPLE  ="[: len(begin)])


def _verify(wanted: Wanted, part: Part, progress: Progress) -> Arrived:
    if not part.complete:
        raise Unreachable(wanted.name, progress.host, f"cut off {RESUMES} times, {part.done} bytes are here")
    reached("fetch.downloaded")
    expected = str(wanted.digest) if wanted.digest else (part.bound.digest if part.bound else "")
    found = part.digest
    if expected and str(found) != expected:
        part.close()
        part.path.replace(part.path.with_suffix(".bad"))
        part.discard()
        raise Damaged(wanted.name, progress.host, expected=expected, found=str(found))
    if wanted.fits and not part.head(9).startswith(b"SIMPLE  ="):
        head = part.head()
        part.discard()
        raise NotFits(wanted.name, progress.host, "the file does not begin as a FITS file", head=head)
    reached("fetch.verified")
    return Arrived(part.done, found)


def _refuse_pages(response: ClientResponse, name: str, host: str) -> None:
    if response.content_type in {"text/html", "application/xhtml+xml"}:
        raise NotFits(name, host, "a web page came in its place, most likely a login or an error page")
    packing = response.headers.get("Content-Encoding", "identity").lower()
    if packing not in {"identity", ""}:
        raise Unreachable(name, host, f"the server packs the file with {packing} although that was declined")


def _extent(response: ClientResponse) -> tuple[int, int]:
    """Return the first byte of the body and the length of the whole file, -1 if the server does not say."""
    if response.status == 206:
        unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
        span, _, total = rest.partition("/")
        begin = span.partition("-")[0]
        if unit == "bytes" and begin.isdigit() and total.isdigit():
            return int(begin), int(total)
        return -1, -1
    return 0, response.content_length if response.content_length is not None else -1


@contextlib.asynccontextmanager
async def _reachable(name: str, host: str) -> AsyncIterator[None]:
    """Turn failures of a connection into `Unreachable`."""
    try:
        yield
    except TimeoutError as problem:
        raise Unreachable(name, host, "no byte came in time") from problem
    except ArchiveSilent as problem:
        raise Unreachable(name, host, str(problem)) from problem
    except ClientError as problem:
        raise Unreachable(name, host, f"the connection failed: {problem or type(problem).__name__}") from problem
    except ConnectionError as problem:
        raise Unreachable(name, host, f"the connection failed: {problem.strerror}") from problem


def _disk(problem: OSError, wanted: Wanted, part: Part) -> Exception:
    """Return what a failure of the disk means: no room is a case of its own, anything else is a fault of this host."""
    if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
        total = part.bound.total if part.bound else wanted.size or 0
        return NoRoom(wanted.name, needed=total, missing=total - part.done)
    return problem
