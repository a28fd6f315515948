"""One file over FTP: asked for from where bytes are missing, on one connection or several, until it is right.

The end of a data connection is no proof that all came, and neither is the 226
behind it: size and digest decide. So a 226 that is lost with a control
connection which a router forgot meanwhile does no harm either. RETR has no end:
a connection that has brought its stretch hangs up.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from snooppix.carrier import Progress, Wanted
from snooppix.download import RESUMES
from snooppix.errors import ArchiveError, Changed, FetchError, NotSignedIn, Unreachable
from snooppix.ftp.control import NoRest, Refused
from snooppix.ftp.data import Data
from snooppix.ftp.door import Door, failure, trouble
from snooppix.ftp.session import Session
from snooppix.headers import BLOCK as CARDS
from snooppix.intake import Intake
from snooppix.mending import Mender
from snooppix.segments import Growth, Segments
from snooppix.writer import Writer
from terapix.claims import Claim
from terapix.clock import Clock
from terapix.identity import Digest
from terapix.part import Bound, Part

T = TypeVar("T")

LEAST_HEAD: Final = 9
"""Bytes by which the beginning of a FITS file is known: SIMPLE  =."""


@dataclass(frozen=True, slots=True)
class Offered:
    """What the server says of a file."""

    size: int | None
    modified: datetime | None

    @property
    def headers(self) -> dict[str, str]:
        """The same in the words of the protocol."""
        told = {"SIZE": self.size, "MDTM": f"{self.modified:%Y%m%d%H%M%S}" if self.modified else None}
        return {name: str(value) for name, value in told.items() if value is not None}


class Transfer:
    """One file on its way into its part.

    Parameters
    ----------
    door : the way to the server
    path : of the file on the server
    wanted, part, progress : what is wanted, what is here of it, and who is told
    growth : when it comes over several connections
    """

    def __init__(
        self,
        door: Door,
        path: str,
        wanted: Wanted,
        part: Part,
        progress: Progress,
        *,
        growth: Growth,
        clock: Clock,
        threads: Executor,
    ) -> None:
        self.door = door
        self.path = path
        self.wanted = wanted
        self.part = part
        self.progress = progress
        self._threads = threads
        self._head = b""
        """How the file begins: what comes from the middle must not begin so."""
        self._rests = True
        """The server begins in the middle of a file, as far as we know."""
        may_open = partial(door.limits.has_room, door.host)
        self.segments = Segments(part, growth=growth, clock=clock, may_open=may_open)

    async def complete(self, writer: Writer) -> None:
        """Ask until all is here, as long as that brings the file nearer.

        Raises
        ------
        FetchError
            What the server did.
        OSError
            As the disk fails.
        """
        cuts, whole = 0, False
        while not whole and cuts < RESUMES:
            before = self.part.done
            try:
                self.segments.clear()
                whole = await self._stream(writer)
                cuts += 1
            except NoRest:
                self._rests, self.segments.refused = False, True
                await asyncio.to_thread(self.part.restart)
            except Unreachable:
                if not self.part.complete and self.part.done <= before:
                    raise
                cuts += 1
                self.progress.interruptions += 1
        writer.tell()
        await writer.flushed()

    async def mend(self, expected: Digest, source: str) -> None:
        """Do what can be done about a wrong digest.

        Raises
        ------
        Changed
            If the file was replaced while it was fetched: nothing is damaged, and these bytes are of both.
        FetchError
            If the server cannot be asked.
        """
        async with self._session() as session:
            now = self._bound(await self._offered(session))
        if now != self.part.bound:
            self.part.discard()
            raise Changed(
                self.wanted.name, self.door.host, "it was replaced while it was fetched; its next listing decides"
            )
        await Mender(self.part, expected, [source], self._again, self.progress).mend()

    async def _stream(self, writer: Writer) -> bool:
        """Ask for the first of what is missing; further connections may help. True if the file is whole.

        Where no digest was listed, size and time behind the last byte have to be those before the first; a file that
        was replaced meanwhile begins again.
        """
        part, wanted = self.part, self.wanted
        if part.complete and wanted.digest:
            writer.tell()
            return True
        async with self._session() as session:
            offered = await self._offered(session)
            self.progress.headers = offered.headers
            await asyncio.to_thread(part.bind, self._bound(offered))
            total = part.bound.total if part.bound else -1
            self.progress.total = total
            writer.tell()
            if part.complete:
                return True
            if not self._rests and part.done:
                await asyncio.to_thread(part.restart)
            await self._fill(session, writer, total)
            return self.part.complete and (wanted.digest is not None or offered == await self._offered(session))

    async def _fill(self, session: Session, writer: Writer, total: int) -> None:
        """Bring the first gap, and let other connections take some of it."""
        claim = self.segments.claim(*self.part.gaps()[0])
        self._head = await asyncio.to_thread(self.part.head, CARDS) if claim.begin else b""
        data = await self._asked(session.begin(f"RETR {self.path}", offset=claim.begin))
        writer.begin(claim.begin)
        growing = self.segments.growing(self._segment) if total >= 0 else contextlib.nullcontext()
        try:
            async with growing:
                await self._receive(data, writer, claim)
                if claim.end == total:
                    await self._see_end(data, claim)
                data.close()
        finally:
            data.close()
        await self._settle(session, hung_up=0 <= claim.end < total)
        if total < 0:
            self.part.settle(self.part.front)
        elif claim.left:
            raise self._cut(f"the file ends after {self.part.done} of {total} bytes")

    async def _see_end(self, data: Data, claim: Claim) -> None:
        """See that no byte follows the last: a file that grows is not whole."""
        more = b"" if claim.left else await self._asked(data.read(1))
        if more:
            raise self._cut(f"more than the {claim.end} bytes announced came")

    async def _settle(self, session: Session, *, hung_up: bool) -> None:
        """Hear how the transfer ended; that does not matter where every byte is here, and a digest to tell."""
        try:
            await self._asked(session.settled(*(("2xx", "4xx", "5xx") if hung_up else ())))
        except FetchError:
            if self.wanted.digest is None or not self.part.complete:
                raise

    async def _segment(self, claim: Claim) -> None:
        """Bring one stretch over a connection of its own; what it does not bring the first one will."""
        if len(self._head) < LEAST_HEAD or not self._rests or not self.door.limits.has_room(self.door.host):
            return
        self.progress.connections += 1
        try:
            async with (
                self._session() as session,
                Writer(self.part, self.progress, at=claim.begin, threads=self._threads) as writer,
            ):
                if self._bound(await self._offered(session)) != self.part.bound:
                    return
                data = await self._asked(session.begin(f"RETR {self.path}", offset=claim.begin))
                try:
                    await self._receive(data, writer, claim)
                finally:
                    data.close()
        except NoRest:
            self._rests = False
        except FetchError:
            return
        finally:
            self.progress.connections -= 1

    async def _receive(self, data: Data, writer: Writer, claim: Claim) -> None:
        """Take what comes until the claim is met, or the server ends the connection."""
        intake = Intake(self.wanted, writer, claim, self.segments, host=self.door.host)
        try:
            while claim.left and (chunk := await self._asked(data.read())):
                if claim.at == claim.begin > 0 and self._begins_anew(chunk):
                    raise NoRest(350, "and begins at the beginning all the same")
                if claim.at == len(self._head) < CARDS:
                    self._head += chunk[: CARDS - len(self._head)]
                await intake.take(chunk)
        finally:
            await intake.end()

    def _begins_anew(self, chunk: bytes) -> bool:
        """Tell whether bytes that should be of the middle are those that the file begins with."""
        return self.wanted.fits and len(chunk) >= LEAST_HEAD and chunk.startswith(self._head[: len(chunk)])

    async def _again(self, source: str, begin: int, end: int) -> bytes:
        """Fetch some bytes of the file once more."""
        del source
        async with self._session() as session:
            try:
                content = await self._asked(session.begin_of(self.path, offset=begin, size=end - begin))
            except NoRest as refused:
                raise self._cut(str(refused)) from refused
        if len(content) < end - begin:
            raise self._cut("the file ends early")
        return content

    async def _offered(self, session: Session) -> Offered:
        return Offered(await self._asked(session.size(self.path)), await self._asked(session.modified(self.path)))

    def _bound(self, offered: Offered) -> Bound:
        """Compare what the server has with what was listed."""
        wanted = self.wanted
        if wanted.size is not None and offered.size is not None and offered.size != wanted.size:
            why = f"it now has {offered.size} bytes where {wanted.size} were listed; its next listing decides"
            raise Changed(wanted.name, self.door.host, why)
        total = offered.size if offered.size is not None else wanted.size
        return Bound(
            digest=str(wanted.digest) if wanted.digest else "",
            artifact=offered.modified.isoformat() if offered.modified else "",
            total=-1 if total is None else total,
        )

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        async with contextlib.AsyncExitStack() as stack:
            yield await self._asked(stack.enter_async_context(self.door.session()))

    async def _asked(self, what: Awaitable[T]) -> T:
        """Wait for a step of a session; what goes wrong there is an error of the fetch."""
        name, host = self.wanted.name, self.door.host
        try:
            return await what
        except NoRest:
            raise
        except Refused as refused:
            raise failure(refused, name, host) from refused
        except TimeoutError as problem:
            raise Unreachable(name, host, "no byte came in time") from problem
        except ArchiveError as problem:
            raise NotSignedIn(name, host, str(problem)) from problem
        except OSError as problem:
            raise Unreachable(name, host, trouble(problem)) from problem

    def _cut(self, why: str) -> Unreachable:
        return Unreachable(self.wanted.name, self.door.host, why)
