"""Laying out: a registered file comes to the shelf, is found to be what the ledger says, and is offered.

The order makes a kill at any moment harmless: first the file lies on the shelf
under a temporary name, then the ledger tells what it is and that the generation
before gives way, then it takes its name, then it is listed.
"""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final

from dbclient.database import Database
from dbclient.records import PublicationRecord
from dbclient.stores import Publications
from snooppix.errors import Rejection
from snooppix.headers import read_headers
from snooppix.pixels import pixel_digest
from snooppix.publisher.ledger import SOURCE, Ledger
from snooppix.publisher.names import is_fits as must_be_fits
from snooppix.publisher.shelf import ShelfFull, Staged
from snooppix.publisher.shelves import Shelves
from snooppix.verification import Verifier
from terapix.clock import Clock
from terapix.journal import logger
from terapix.retry import Backoff
from terapix.steps import reached

log = logger("publisher")

WAITS: Final = Backoff(first=30.0, factor=2.0, ceiling=3600.0, attempts=1_000_000)
"""A file that is not there, or a full disk, is looked at again."""
AT_ONCE: Final = 10
"""Files laid out before they are listed together."""


class Layout:
    """Brings what is due to the shelf, one file after the other; its pixels are unpacked on several processes."""

    def __init__(
        self, database: Database, shelves: Shelves, ledger: Ledger, verifier: Verifier, *, clock: Clock
    ) -> None:
        self.database = database
        self.shelves = shelves
        self.ledger = ledger
        self.verifier = verifier
        self.clock = clock
        self.at_work: str | None = None
        """File that is laid out now."""

    async def lay_out_due(self, stopping: asyncio.Event) -> list[str]:
        """Lay out what is due, until `stopping`; return the names of files that are offered now and were not."""
        async with self.database.read() as session:
            due = await Publications().due(session, now=self.clock.now(), limit=AT_ONCE)
        offered = []
        for publication in due:
            if stopping.is_set():
                break
            self.at_work = publication.name
            try:
                if await self._lay_out(publication):
                    offered.append(publication.name)
            except Rejection as rejection:
                await self._fail(publication, f"it cannot be published: {rejection.sentence}")
            except OSError as problem:
                await self._wait(publication, await asyncio.to_thread(_lacking, publication, problem))
            except Exception as problem:  # one file's trouble must not hold back the others
                log.exception("file is not laid out", file=publication.name)
                await self._wait(publication, f"trouble on this host: {problem}")
            finally:
                self.at_work = None
        return offered

    async def _lay_out(self, publication: PublicationRecord) -> bool:
        if await self.ledger.outdated(publication):
            return False
        staged = await asyncio.to_thread(self._begun, publication)
        pixels = publication.pixel_digest
        if staged is None:
            staged = await asyncio.to_thread(
                self.shelves.stage,
                Path(publication.source),
                publication.name,
                publication.generation,
                ours=publication.product_id is not None,
            )
            if str(staged.digest) != publication.wire_digest:
                reason = f"the file has digest {staged.digest} and was registered with {publication.wire_digest}"
                await self._fail(publication, f"{reason}: it was changed or damaged since")
                return False
            reached("publish.staged")
            pixels = await self._pixels(publication.name, staged)
        async with self.shelves.moving:
            if not await self._offer(publication, staged, pixels):
                await asyncio.to_thread(self.shelves.discard, publication.name, publication.generation)
                return False
        log.info("product offered", file=publication.name, generation=publication.generation, disk=staged.shelf.name)
        reached("publish.offered")
        return True

    async def _offer(self, publication: PublicationRecord, staged: Staged, pixels: str | None) -> bool:
        async with self.database.write() as session:
            if not await Publications().lay_out(
                session, publication.id, size=staged.size, pixel_digest=pixels, now=self.clock.now()
            ):
                return False
        reached("publish.recorded")
        await asyncio.to_thread(self.shelves.put_in_place, staged, publication.name)
        reached("publish.placed")
        async with self.database.write() as session:
            await Publications().offer(
                session,
                publication.id,
                disk=staged.shelf.name,
                path=staged.shelf.relative(publication.name),
                now=self.clock.now(),
                source=SOURCE,
            )
        return True

    def _begun(self, publication: PublicationRecord) -> Staged | None:
        """Find the file where an earlier life left it behind the ledger's note: in its place, or next to it. Blocks."""
        if publication.size is None:
            return None
        found = [*self.shelves.placed(publication.name)]
        if staged := self.shelves.staged(publication.name, publication.generation):
            found.append(staged)
        return next((one for one in found if str(one.digest) == publication.wire_digest), None)

    async def _pixels(self, name: str, staged: Staged) -> str | None:
        """Verify a FITS file whole and give the digest of its decoded pixels; none where it holds no image."""
        with staged.path.open("rb") as file:
            is_fits = file.read(9) == b"SIMPLE  ="
        if not is_fits:
            if must_be_fits(name):
                raise Rejection("not-fits", "it does not begin as a FITS file")
            return None
        headers = await asyncio.to_thread(read_headers, staged.path)
        sums = await self.verifier.unpack(staged.path, headers)
        return str(pixel_digest(sums)) if sums else None

    async def _wait(self, publication: PublicationRecord, reason: str) -> None:
        now = self.clock.now()
        retry_at = now + timedelta(seconds=WAITS.delay(publication.attempts + 1))
        async with self.database.write() as session:
            await Publications().wait(session, publication.id, reason=reason, retry_at=retry_at, now=now, source=SOURCE)

    async def _fail(self, publication: PublicationRecord, reason: str) -> None:
        await asyncio.to_thread(self.shelves.discard, publication.name, publication.generation)
        async with self.database.write() as session:
            await Publications().fail(session, publication.id, reason=reason, now=self.clock.now(), source=SOURCE)


def _lacking(publication: PublicationRecord, problem: OSError) -> str:
    """Say what a file waits for: its source, room, or a disk that can be written. Blocks."""
    if isinstance(problem, FileNotFoundError) and not Path(publication.source).exists():
        return f"its file is not on this host: {publication.source}"
    where = f": {problem.filename}" if problem.filename and not isinstance(problem, ShelfFull) else ""
    return f"{problem.strerror or type(problem).__name__}{where}"
