"""One file from the archive to a verified part: streamed, digested on the way, resumed after any interruption.

While one block of 4 MiB is written and digested in threads, the event loop
receives the next; so a verified download takes about as long as the digest alone
(bench_download.py).
"""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from aiohttp import ClientError, ClientResponse
from aiohttp.streams import EmptyStreamReader
from yarl import URL

from snooppix.bandwidth import Limits
from snooppix.carrier import Arrived, Progress, Proof, Wanted, told
from snooppix.errors import (
    ArchiveError,
    ArchiveSilent,
    Changed,
    Damaged,
    NoRoom,
    NotFits,
    Unreachable,
    UnsafeAddress,
)
from snooppix.intake import HEAD, Intake
from snooppix.mending import Mender
from snooppix.segments import Growth, Segments
from snooppix.treatment import failure
from snooppix.wire import Wire, in_words, retry_after
from snooppix.writer import Writer
from terapix.blocks import BLOCK
from terapix.claims import Claim
from terapix.clock import Clock, SystemClock
from terapix.identity import Digest
from terapix.part import Bound, Part
from terapix.steps import reached

__all__ = ["BLOCK", "Arrived", "Downloader", "Progress", "Wanted", "Writer"]

THREADS: Final = 24
"""For all downloads together: three for each of eight. Threads made anew for each file cost small ones a third."""
RESUMES: Final = 20
"""Interruptions of one connection that are answered by resuming at once, as long as each brought bytes."""


class _Afresh(Exception):
    """Begin the file again."""


class Downloader:
    """Fetches files over one wire.

    Parameters
    ----------
    wire : how hosts are asked
    limits : connections and bytes a second that each host may be asked for; none: any
    growth : when a large file comes over several connections; none: over one
    clock : waits and rates
    """

    def __init__(
        self, wire: Wire, *, limits: Limits | None = None, growth: Growth | None = None, clock: Clock | None = None
    ) -> None:
        self.wire = wire
        self.clock = clock or SystemClock()
        self.limits = limits or Limits(clock=self.clock)
        self.growth = growth or Growth()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="part")

    async def fetch(self, wanted: Wanted, source: str, progress: Progress) -> Arrived:
        """Fetch a file from one source, resuming as long as that brings the file nearer.

        Afterwards the part is complete and its digest verified. After a failure
        the part stays, for the next try to go on with.

        Raises
        ------
        FetchError
            What the source did; the part of a damaged file is kept beside as ``.bad``.
        """
        progress.host = URL(source).host or ""
        algorithm = wanted.digest.algorithm if wanted.digest else "md5"
        part = await asyncio.to_thread(Part.open, wanted.part, algorithm=algorithm)
        async with Writer(part, progress, threads=self._threads) as writer:
            try:
                await self._complete(source, wanted, writer, progress)
                expected = expected_of(wanted, part)
                if part.complete and expected is not None and part.digest != expected:
                    again = partial(self._again, wanted, part)
                    await Mender(part, expected, [source, *wanted.mirrors], again, progress).mend()
                return verify(wanted, part, progress)
            except UnsafeAddress as problem:
                raise Unreachable(wanted.name, progress.host, str(problem)) from problem
            except OSError as problem:
                raise disk_failure(problem, wanted, part) from problem

    async def _complete(self, source: str, wanted: Wanted, writer: Writer, progress: Progress) -> None:
        """Ask until all is here."""
        part, cuts, host = writer.part, 0, URL(source).host or ""
        segments = Segments(part, growth=self.growth, clock=self.clock, may_open=lambda: self.limits.has_room(host))
        while not part.complete and cuts < RESUMES:
            before = part.done
            try:
                segments.clear()
                await self._stream(source, wanted, writer, progress, segments)
            except _Afresh:
                cuts += 1
                await asyncio.to_thread(part.restart)
            except Unreachable:
                if not part.complete and part.done <= before:
                    raise
                cuts += 1
                progress.interruptions += 1
            else:
                cuts += part.done <= before
        writer.tell()
        await writer.flushed()

    async def _stream(
        self, source: str, wanted: Wanted, writer: Writer, progress: Progress, segments: Segments
    ) -> None:
        """Ask for the first of what is missing, and put what comes in its place; further connections may help."""
        part, host = writer.part, URL(source).host or ""
        begin, end = part.gaps()[0]
        last = str(end - 1) if part.bound and 0 <= end < part.bound.total else ""
        headers = {"Range": f"bytes={begin}-{last}"} if begin or last else {}
        async with (
            self.limits.connection(host),
            _reachable(wanted.name, host),
            self.wire.ask("GET", source, headers=headers, pauses=False) as response,
        ):
            if response.status == 416:
                if wanted.digest != part.digest or part.ahead:
                    raise _Afresh
                part.bound = Bound(str(part.digest), "", part.done)
                return
            if response.status not in {200, 206}:
                raise failure(response.status, wanted.name, host, retry_after=retry_after(response))
            progress.headers = told(response.headers)
            await _refuse_pages(response, wanted.name, host)
            await self._bind(response, wanted, part, begin)
            progress.total = part.bound.total if part.bound else None
            writer.tell()
            claim = segments.claim(*(part.gaps() or [(0, 0)])[0])
            writer.begin(claim.begin)
            async with segments.growing(partial(self._segment, source, wanted, part, progress, segments)):
                await self._receive(response, wanted, writer, progress, claim, segments)
        if (total := part.bound.total if part.bound else -1) < 0:
            part.settle(part.front)
        elif claim.left:
            raise Unreachable(wanted.name, host, f"the body ends after {part.done} of {total} bytes")

    async def _segment(
        self, source: str, wanted: Wanted, part: Part, progress: Progress, segments: Segments, claim: Claim
    ) -> None:
        """Bring one stretch over a connection of its own; what it does not bring the first one will."""
        host = URL(source).host or ""
        headers = {"Range": f"bytes={claim.begin}-{claim.end - 1}"}
        if not self.limits.has_room(host):  # another file has taken the place: who waits for it holds one meanwhile
            return
        progress.connections += 1
        try:
            async with (
                self.limits.connection(host),
                _reachable(wanted.name, host),
                self.wire.ask("GET", source, headers=headers, pauses=False) as response,
                Writer(part, progress, at=claim.begin, threads=self._threads) as writer,
            ):
                if _is_same(response, part, claim.begin):
                    await self._receive(response, wanted, writer, progress, claim, segments)
        except (Unreachable, ArchiveError):
            return
        finally:
            progress.connections -= 1

    async def _again(self, wanted: Wanted, part: Part, source: str, begin: int, end: int) -> bytes:
        """Fetch some bytes of the file once more."""
        host, content = URL(source).host or "", bytearray()
        async with (
            self.limits.connection(host),
            _reachable(wanted.name, host),
            self.wire.ask("GET", source, headers={"Range": f"bytes={begin}-{end - 1}"}, pauses=False) as response,
        ):
            if response.status not in {200, 206}:
                raise failure(response.status, wanted.name, host, retry_after=retry_after(response))
            whole = response.status == 200 and begin == 0 and end == (part.bound.total if part.bound else -1)
            if not whole and not _is_same(response, part, begin):
                raise Unreachable(wanted.name, host, "it does not give a part of the file, or has another file")
            while len(content) < end - begin and (chunk := await response.content.readany()):
                content += chunk
                await self.limits.spend(host, len(chunk))
            content += _left_in(response)
        if len(content) < end - begin:
            raise Unreachable(wanted.name, host, "the body ends early")
        return bytes(content[: end - begin])

    async def _bind(self, response: ClientResponse, wanted: Wanted, part: Part, asked: int) -> None:
        """Compare what the server offers with what was listed and with what the part belongs to."""
        host = response.url.host or ""
        offered = Digest.of_header(response.headers.get("Digest", ""))
        begin, total = _extent(response)
        if wanted.digest and offered and offered != wanted.digest and offered.algorithm == wanted.digest.algorithm:
            why = f"the archive now has {offered} where it listed {wanted.digest}; its next listing decides"
            raise Changed(wanted.name, host, why)
        if wanted.size is not None and total not in {wanted.size, -1} and offered is None:
            why = f"the archive now has {total} bytes where it listed {wanted.size}; its next listing decides"
            raise Changed(wanted.name, host, why)
        known = wanted.digest or offered
        bound = Bound(
            digest=str(known) if known else "",
            artifact=_version(response, digest=known is not None),
            # where listing and server disagree on the length alone, the digest will tell when it is reached
            total=max(total, wanted.size) if wanted.size is not None else total,
        )
        if response.status == 206 and (bound != part.bound or begin != asked):
            raise _Afresh
        if response.status == 200 and part.done:
            await asyncio.to_thread(part.restart)
        await asyncio.to_thread(part.bind, bound)

    async def _receive(
        self,
        response: ClientResponse,
        wanted: Wanted,
        writer: Writer,
        progress: Progress,
        claim: Claim,
        segments: Segments,
    ) -> None:
        """Pass the body on in blocks, until the claim is met."""
        host = progress.host
        intake = Intake(wanted, writer, claim, segments, host=host)
        try:
            while claim.left and (chunk := await _some(response, self.limits.most_at_once(host))):
                await intake.take(chunk)
                await self.limits.spend(host, len(chunk))
        finally:
            intake.keep(_left_in(response))
            await intake.end()


async def _some(response: ClientResponse, most: int) -> bytes:
    """Read what came, `most` bytes at most, any number if negative; as it came, for `readany` copies it into one."""
    if most >= 0:
        return await response.content.read(most)
    while True:
        piece, ends = await response.content.readchunk()
        if piece or not ends:
            return piece


def _is_same(response: ClientResponse, part: Part, begin: int) -> bool:
    """Tell whether an answer gives bytes of the very file that the part holds, from where they were asked for."""
    offered = Digest.of_header(response.headers.get("Digest", ""))
    bound = part.bound
    return (
        response.status == 206
        and bound is not None
        and _extent(response) == (begin, bound.total)
        and (offered is None or not bound.digest or str(offered) == bound.digest)
        and (offered is not None or _version(response, digest=bool(bound.digest)) == bound.artifact)
    )


def expected_of(wanted: Wanted, part: Part) -> Digest | None:
    """Return the digest that the whole file must have; none if neither listing nor server tells one."""
    if wanted.digest is not None:
        return wanted.digest
    return Digest.parse(part.bound.digest) if part.bound and part.bound.digest else None


def _left_in(response: ClientResponse) -> bytes:
    """Take what came before a cut, which aiohttp does not give: #4581; in 3.14 that may be every byte: #13348."""
    if isinstance(response.content, EmptyStreamReader):
        return b""
    return response.content._read_nowait(-1)  # noqa: SLF001 - there is no public way to these bytes


def verify(wanted: Wanted, part: Part, progress: Progress) -> Arrived:
    if not part.complete:
        raise Unreachable(wanted.name, progress.host, f"cut off {RESUMES} times, {part.done} bytes are here")
    reached("fetch.downloaded")
    expected = str(expected_of(wanted, part) or "")
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
    return Arrived(part.done, found, Proof.of(wanted, part.bound))


async def _refuse_pages(response: ClientResponse, name: str, host: str) -> None:
    if response.content_type in {"text/html", "application/xhtml+xml"}:
        why = "a web page came in its place, most likely a login or an error page"
        raise NotFits(name, host, why, head=await response.content.read(HEAD))
    packing = response.headers.get("Content-Encoding", "identity").lower()
    if packing not in {"identity", ""}:
        raise Unreachable(name, host, f"the server packs the file with {packing} although that was declined")


def _version(response: ClientResponse, *, digest: bool) -> str:
    """Give the server's name of this version of a file.

    Where a digest is known it tells versions apart, and mirrors may give one file each its own ETag and date.
    """
    artifact = response.headers.get("x-artifact-id", "")
    version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return artifact or ("" if digest else version)


def _extent(response: ClientResponse) -> tuple[int, int]:
    """Return the first byte of the body and the length of the whole file, -1 if the server does not say."""
    if response.status == 206:
        unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
        span, _, total = rest.partition("/")
        begin = span.partition("-")[0]
        if unit == "bytes" and begin.isascii() and begin.isdecimal() and total.isascii() and total.isdecimal():
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
        raise Unreachable(name, host, f"the connection failed: {in_words(problem)}") from problem
    except ConnectionError as problem:
        raise Unreachable(name, host, f"the connection failed: {problem.strerror}") from problem


def disk_failure(problem: OSError, wanted: Wanted, part: Part) -> Exception:
    """Return what a failure of the disk means: no room is a case of its own, anything else is a fault of this host."""
    if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
        total = part.bound.total if part.bound else wanted.size or 0
        return NoRoom(wanted.name, needed=total, missing=total - part.done)
    return problem
