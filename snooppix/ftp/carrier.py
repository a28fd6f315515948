"""Brings files over FTP: RETR from where the part ends, until size and digest are right.

The end of a data connection is no proof that all came, and neither is the 226
behind it: size and digest decide. So a 226 that is lost with a control
connection which a router forgot meanwhile does no harm either.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from yarl import URL

from snooppix.carrier import Arrived, Progress, Wanted
from snooppix.download import BLOCK, LINGER, RESUMES, Writer, disk_failure, no_fits, verify
from snooppix.errors import (
    ArchiveError,
    Busy,
    Changed,
    FetchError,
    NoRoom,
    NotAllowed,
    NotFits,
    NotSignedIn,
    NotStored,
    Unreachable,
    UnsafeAddress,
)
from snooppix.ftp.door import SIGN_IN, Door, is_full, trouble
from snooppix.ftp.session import Data, Refused, Session
from terapix.part import Bound, Part

T = TypeVar("T")

ABSENT: Final = frozenset({450, 550, 551, 553})
"""Replies that mean: not there, or not now."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What the server says of a file."""

    size: int | None
    modified: datetime | None


class FtpDownloader:
    """Fetches files from the one server that is followed."""

    def __init__(self, door: Door) -> None:
        self.door = door

    async def fetch(self, wanted: Wanted, sources: Sequence[str], progress: Progress) -> Arrived:
        """Fetch a file from the first source that gives it whole; afterwards the part is complete and verified.

        Raises
        ------
        FetchError
            What the last source did; the part of a damaged file is kept beside as ``.bad``.
        """
        problem: FetchError | None = None
        for source in sources:
            progress.host = URL(source).host or ""
            try:
                return await self._from(self.door.path(source), wanted, progress)
            except NoRoom:
                raise
            except FetchError as found:
                problem = found
            except UnsafeAddress as found:
                problem = Unreachable(wanted.name, progress.host, str(found))
        raise problem or NotStored(wanted.name, "the archive", "it is listed and has no address")

    async def _from(self, path: str, wanted: Wanted, progress: Progress) -> Arrived:
        """Fetch one file, resuming as long as that brings it nearer."""
        algorithm = wanted.digest.algorithm if wanted.digest else "md5"
        part = await asyncio.to_thread(Part.open, wanted.part, algorithm=algorithm)
        async with Writer(part, progress) as writer:
            try:
                for _ in range(RESUMES):
                    before = part.done
                    try:
                        if await self._stream(path, wanted, writer, progress):
                            break
                    except Unreachable:
                        if not part.complete and part.done <= before:
                            raise
                        progress.interruptions += 1
                await writer.flushed()
                return await asyncio.to_thread(verify, wanted, part, progress)
            except OSError as problem:
                raise disk_failure(problem, wanted, part) from problem

    async def _stream(self, path: str, wanted: Wanted, writer: Writer, progress: Progress) -> bool:
        """Ask for what is missing, once, and append what comes; True if the file is whole.

        Where no digest was listed, size and time behind the last byte have to be those before the first; a file that
        was replaced meanwhile begins again.
        """
        part, name, host = writer.part, wanted.name, progress.host
        if part.complete and wanted.digest:
            writer.tell()
            return True
        session = await _asked(self.door.open(), name, host)
        try:
            offered = await _asked(_offered(session, path), name, host)
            progress.headers = _told(offered)
            await asyncio.to_thread(part.bind, _bound(offered, wanted, host))
            progress.total = part.bound.total if part.bound else None
            writer.tell()
            if part.complete:
                return True
            data = await _asked(session.begin(f"RETR {path}", offset=part.done), name, host)
            await _receive(data, wanted, writer, progress)
            try:
                await _asked(session.settled(), name, host)
            except FetchError:
                if wanted.digest is None or not part.complete:
                    raise
            _close_end(part, wanted, progress)
            return wanted.digest is not None or offered == await _asked(_offered(session, path), name, host)
        finally:
            session.close()


async def _offered(session: Session, path: str) -> Offered:
    return Offered(await session.size(path), await session.modified(path))


def _told(offered: Offered) -> dict[str, str]:
    """Say what the server said of a file, in the words of the protocol."""
    told = {"SIZE": offered.size, "MDTM": f"{offered.modified:%Y%m%d%H%M%S}" if offered.modified else None}
    return {name: str(value) for name, value in told.items() if value is not None}


def _bound(offered: Offered, wanted: Wanted, host: str) -> Bound:
    """Say what the bytes belong to; a part of another size, time or digest begins again."""
    if wanted.size is not None and offered.size is not None and offered.size != wanted.size:
        raise Changed(
            wanted.name,
            host,
            f"it now has {offered.size} bytes where {wanted.size} were listed; its next listing decides",
        )
    total = offered.size if offered.size is not None else wanted.size
    return Bound(
        digest=str(wanted.digest) if wanted.digest else "",
        artifact=offered.modified.isoformat() if offered.modified else "",
        total=-1 if total is None else total,
    )


async def _receive(data: Data, wanted: Wanted, writer: Writer, progress: Progress) -> None:
    """Pass what comes on in blocks, until the server ends the connection."""
    total = writer.part.bound.total if writer.part.bound else -1
    come, size, chunks = writer.part.done, 0, list[bytes]()
    loop = asyncio.get_running_loop()
    given = loop.time()
    try:
        while chunk := await _asked(data.read(), wanted.name, progress.host):
            if come == 0 and no_fits(chunk):
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
        data.close()
        if chunks:
            await writer.put(chunks)
        await writer.settle()


def _close_end(part: Part, wanted: Wanted, progress: Progress) -> None:
    """Compare what came with what was announced; where nobody told the length, the end of the file is its end."""
    if part.bound is not None and part.bound.total < 0:
        part.bound = Bound(part.bound.digest, part.bound.artifact, part.done)
    elif not part.complete:
        total = part.bound.total if part.bound else -1
        raise Unreachable(wanted.name, progress.host, f"the file ends after {part.done} of {total} bytes")


async def _asked(what: Awaitable[T], name: str, host: str) -> T:
    """Wait for a step of a session; what goes wrong there is an error of the fetch."""
    try:
        return await what
    except Refused as refused:
        raise failure(refused, name, host) from refused
    except TimeoutError as problem:
        raise Unreachable(name, host, "no byte came in time") from problem
    except ArchiveError as problem:
        raise NotSignedIn(name, host, str(problem)) from problem
    except OSError as problem:
        raise Unreachable(name, host, trouble(problem)) from problem


def failure(refused: Refused, name: str, host: str) -> FetchError:
    """Return the error that a reply stands for."""
    why = str(refused)
    if refused.code == 421 or (refused.code in SIGN_IN and is_full(refused)):
        return Busy(name, host, why, retry_after=None)
    if refused.code in SIGN_IN:
        return NotSignedIn(name, host, why)
    if refused.code in ABSENT:
        return (NotAllowed if "permission" in refused.text.lower() else NotStored)(name, host, why)
    return Unreachable(name, host, why)
