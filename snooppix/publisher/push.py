"""Putting files to an archive that receives: minoc's PUT, and its transactions for large files.

A file up to publisher.push_segment bytes is one PUT with its digest and length
as preconditions. A larger one goes within a transaction: started, appended to
segment by segment, and committed. How far it is, the archive knows; which
transaction it is, a sidecar on the shelf keeps, so that a kill or a cut
connection costs one segment. The answer 201 with our digest is the acknowledgement.
A file is opened once: what is put is one generation whole, whatever takes its
name meanwhile, and nothing is committed whose bytes are not those of the ledger.
"""

import asyncio
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import ClientError, ClientResponse
from yarl import URL

from dbclient.database import Database
from dbclient.records import PublicationRecord
from dbclient.schema import PublicationState
from dbclient.stores import Publications
from snooppix.errors import ArchiveError
from snooppix.protocol.facts import digest_header
from snooppix.publisher.acknowledgement import Acknowledgement
from snooppix.publisher.description import content_type
from snooppix.publisher.ledger import SOURCE, Ledger
from snooppix.publisher.parcel import Parcel, Transaction, keep, kept
from snooppix.publisher.shelf import PUT
from snooppix.publisher.shelves import Shelves
from snooppix.wire import Wire, retry_after
from terapix.clock import Clock
from terapix.errors import TerapixError
from terapix.identity import Digest
from terapix.journal import logger
from terapix.retry import Backoff
from terapix.steps import reached

log = logger("publisher")

SCHEME: Final = "cadc"
"""Of the URIs under which an archive keeps what is put there: its own."""
WAITS: Final = Backoff(first=10.0, factor=2.0, ceiling=1800.0, attempts=1_000_000)
REPEATS: Final = 5
"""Times that one segment is sent again before the file waits."""
AT_ONCE: Final = 20
"""Files put a pass."""
OF_ARCHIVE: Final = {401, 403, 408, 429}
"""Answers, beside those of 500 and more, that another file would have too: then all wait."""
ID, OP, TOTAL = "x-put-txn-id", "x-put-txn-op", "x-total-length"
SMALLEST, LARGEST = "x-put-segment-minbytes", "x-put-segment-maxbytes"


class NotTaken(TerapixError):
    """The archive does not take a file now."""

    def __init__(self, why: str, *, retry_after: float | None = None, status: int = 0) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        """Seconds that it asked us to wait."""
        self.of_archive = status in OF_ARCHIVE or status >= 500 or retry_after is not None
        """It would take no other file either."""


class Damaged(TerapixError):
    """What lies on the shelf is not what the ledger says."""

    def __init__(self, publication: PublicationRecord, found: str) -> None:
        super().__init__(
            f"{publication.name} has digest {found} on its shelf, and {publication.wire_digest} in the ledger"
        )


class Pusher:
    """Puts what is offered to one archive, one file after the other."""

    def __init__(
        self,
        database: Database,
        shelves: Shelves,
        ledger: Ledger,
        wire: Wire,
        *,
        address: str,
        segment: int,
        collection: str,
        clock: Clock,
    ) -> None:
        self.database = database
        self.shelves = shelves
        self.ledger = ledger
        self.wire = wire
        self.address = address.rstrip("/")
        """Of the file service, as https://archive/minoc."""
        self.receiver = (URL(self.address).host or "archive")[:60]
        """What the archive is called in the ledger."""
        self.segment = segment
        self.collection = collection
        self.clock = clock
        self.at_work: str | None = None
        """File that is put now."""
        self.rests_until: datetime | None = None
        """Until then nothing is asked of the archive: it did not answer, or takes nothing."""
        self._troubles = 0

    async def put_due(self, stopping: asyncio.Event) -> int:
        """Put what is offered and not acknowledged, until `stopping`; return how many files arrived."""
        now = self.clock.now()
        if self.rests_until is not None and now < self.rests_until:
            return 0
        self.rests_until = None
        async with self.database.read() as session:
            due = await Publications().to_push(session, now=now, limit=AT_ONCE, to=self.receiver)
        arrived = 0
        for publication in due:
            if stopping.is_set() or self.rests_until is not None:
                break
            self.at_work = publication.name
            try:
                arrived += await self._attempt(publication)
            except Exception as problem:  # one file's trouble must not hold back the others
                log.exception("file is not put", file=publication.name)
                await self._wait(publication, f"trouble on this host: {problem}", None)
            finally:
                self.at_work = None
        return arrived

    async def _attempt(self, publication: PublicationRecord) -> bool:
        """Put one file; what is in its way is noted with it, and where it is in the way of all, all wait."""
        try:
            arrived = await self._deliver(publication)
        except NotTaken as problem:
            await self._wait(publication, str(problem), problem.retry_after)
            if problem.of_archive:
                self._rest(problem.retry_after)
            return False
        except Damaged as problem:
            log.warning("a file on the shelf is damaged", file=publication.name, why=str(problem))
            await self.ledger.lost(publication)
            return False
        except FileNotFoundError:
            if self.shelves.named(publication.disk).trouble is None:
                await self.ledger.lost(publication)
            return False
        except (ArchiveError, ClientError, OSError, TimeoutError) as problem:
            why = str(problem) or type(problem).__name__
            await self._wait(publication, f"the archive does not take it at {self.address}: {why}", None)
            self._rest(None)
            return False
        self._troubles = 0
        return arrived

    def _rest(self, asked: float | None) -> None:
        """Ask nothing of the archive for a while: what waits, waits with the file that met the trouble."""
        self._troubles += 1
        pause = max(WAITS.delay(self._troubles), asked or 0.0)
        self.rests_until = self.clock.now() + timedelta(seconds=pause)
        log.warning("the archive takes nothing", address=self.address, seconds=pause)

    async def _deliver(self, publication: PublicationRecord) -> bool:
        path = self.shelves.path(publication)
        if path is None or publication.size is None or publication.wire_digest is None:
            return False
        if await self.ledger.outdated(publication):
            return False
        digest = Digest.parse(publication.wire_digest)
        address = f"{self.address}/files/{quote(f'{SCHEME}:{self.collection}/{publication.name}', safe=':/')}"
        if await self._held(address) != digest:  # else an earlier life put it, and was killed before it could say so
            with path.open("rb") as file:
                parcel = Parcel(publication, file.fileno(), digest)
                if os.fstat(file.fileno()).st_size != publication.size:
                    raise Damaged(publication, await asyncio.to_thread(parcel.found))
                if publication.size <= self.segment:
                    await self._put(address, parcel)
                else:
                    await self._put_in_segments(address, parcel)
            reached("put.committed")
        there = await self._held(address)
        if there is None:
            raise NotTaken("the archive took the file and does not show it")
        self._sidecar(publication).unlink(missing_ok=True)
        told = Acknowledgement(publication.name, publication.generation, str(there), None)
        await self.ledger.judge(told, by=self.receiver)
        return there == digest

    def _sidecar(self, publication: PublicationRecord) -> Path:
        return self.shelves.named(publication.disk).sidecar(publication.name)

    async def undo_abandoned(self) -> int:
        """Give up the transactions of files that are not to be put any more; return how many there were.

        An earlier life began them, and the file was replaced, or acknowledged by another way.
        """
        sidecars = await asyncio.to_thread(lambda: [*self._sidecars()])
        if not sidecars:
            return 0
        async with self.database.read() as session:
            rows = {row.name: row for row in await Publications().on_shelves(session)}
        undone = 0
        for name, sidecar in sidecars:
            row, begun = rows.get(name), await asyncio.to_thread(kept, sidecar)
            wanted = row is not None and row.state is PublicationState.OFFERED and self._sidecar(row) == sidecar
            if wanted and begun is not None and row is not None and begun.digest == row.wire_digest:
                continue
            try:
                if begun is not None and begun.address.startswith(f"{self.address}/"):
                    await self._abort(begun, name)
            except (ArchiveError, ClientError, OSError, TimeoutError) as problem:
                log.warning("an old transaction cannot be given up yet", file=name, why=str(problem))
                continue
            await asyncio.to_thread(sidecar.unlink, missing_ok=True)
            undone += 1
        return undone

    def _sidecars(self) -> Iterator[tuple[str, Path]]:
        for shelf in self.shelves.usable:
            for sidecar in shelf.sidecars():
                yield sidecar.name[1 : -len(PUT)], sidecar

    async def _abort(self, transaction: Transaction, name: str) -> None:
        async with self.wire.ask("POST", transaction.address, headers={ID: transaction.id, OP: "abort"}) as response:
            log.info("an old transaction is given up", file=name, status=response.status)

    async def _held(self, address: str) -> Digest | None:
        """Ask for the digest of what the archive has there; none if it has nothing."""
        async with self.wire.ask("HEAD", address) as response:
            if response.status == 404:
                return None
            _expect(response, 200)
            return Digest.of_header(response.headers.get("Digest", ""))

    async def _put(self, address: str, parcel: Parcel) -> None:
        size, name = parcel.size, parcel.publication.name
        headers = {"Content-Length": str(size), "Digest": _header(parcel.digest), "Content-Type": content_type(name)}
        async with self.wire.ask("PUT", address, headers=headers, data=parcel.blocks(0, size)) as response:
            if response.status == 412:
                found = await asyncio.to_thread(parcel.found)
                if found != str(parcel.digest):
                    raise Damaged(parcel.publication, found)
            _expect(response, 201)
            self._compare(response, parcel.digest)

    async def _put_in_segments(self, address: str, parcel: Parcel) -> None:
        name, size = parcel.publication.name, parcel.size
        transaction, done = await self._resume(address, parcel)
        if transaction is None:
            transaction = await self._start(address, parcel)
        step, failures = transaction.segment(self.segment), 0
        hasher = await asyncio.to_thread(parcel.hashed, done)
        while done < size:
            end = min(size, done + step)
            ahead = hasher.copy()
            await asyncio.to_thread(parcel.hash_on, ahead, done, end)
            try:
                await self._append(transaction, parcel, done, end, Digest("md5", ahead.hexdigest()))
            except (ClientError, OSError, TimeoutError, NotTaken) as problem:
                failures += 1
                if failures > REPEATS or (isinstance(problem, NotTaken) and problem.of_archive):
                    raise  # what came so far stays there, and the next try goes on behind it
                found = await self._state(transaction, parcel)
                if found is None:
                    raise NotTaken("the archive has given the transaction up: it is begun again") from problem
                log.info("segment is sent again", file=name, begin=found, why=str(problem))
                done = found
                hasher = await asyncio.to_thread(parcel.hashed, done)
                continue
            done, hasher, failures = end, ahead, 0
            reached("put.appended")
        if hasher.hexdigest() != parcel.digest.hexadecimal:
            await self._abort(transaction, name)
            raise Damaged(parcel.publication, f"md5:{hasher.hexdigest()}")
        await self._commit(transaction, parcel.digest, content_type(name))

    async def _start(self, address: str, parcel: Parcel) -> Transaction:
        kind = content_type(parcel.publication.name)
        headers = {OP: "start", TOTAL: str(parcel.size), "Content-Length": "0", "Content-Type": kind}
        async with self.wire.ask("PUT", address, headers=headers) as response:
            _expect(response, 202)
            number = response.headers.get(ID, "")
            if not number:
                raise NotTaken("the archive starts a transaction and does not name it")
            smallest, largest = _whole(response, SMALLEST), _whole(response, LARGEST)
        begun = Transaction(number, address, str(parcel.digest), smallest, largest)
        await asyncio.to_thread(keep, self._sidecar(parcel.publication), begun)
        reached("put.started")
        return begun

    async def _resume(self, address: str, parcel: Parcel) -> tuple[Transaction | None, int]:
        """Take up the transaction of an earlier life, where the archive still has it and it is of this file."""
        sidecar = self._sidecar(parcel.publication)
        begun = await asyncio.to_thread(kept, sidecar)
        if begun is None:
            return None, 0
        ours = (begun.address, begun.digest) == (address, str(parcel.digest))
        found = await self._state(begun, parcel) if ours else None
        if found is not None:
            log.info("upload goes on", file=parcel.publication.name, begin=found)
            return begun, found
        await self._abort(begun, parcel.publication.name)
        await asyncio.to_thread(sidecar.unlink, missing_ok=True)
        return None, 0

    async def _state(self, transaction: Transaction, parcel: Parcel) -> int | None:
        """Ask how many bytes the archive has; none if it lost the transaction, or has other bytes than ours."""
        async with self.wire.ask("HEAD", transaction.address, headers={ID: transaction.id}) as response:
            if response.status in {400, 404}:
                return None
            _expect(response, 200, 202)
            done = _whole(response, "Content-Length")
            there = Digest.of_header(response.headers.get("Digest", ""))
        if done > parcel.size:
            return None
        ours = await asyncio.to_thread(lambda: Digest("md5", parcel.hashed(done).hexdigest()))
        return done if done == 0 or there in {None, ours} else None

    async def _append(self, transaction: Transaction, parcel: Parcel, begin: int, end: int, digest: Digest) -> None:
        headers = {ID: transaction.id, "Content-Length": str(end - begin)}
        async with self.wire.ask(
            "PUT", transaction.address, headers=headers, data=parcel.blocks(begin, end)
        ) as response:
            _expect(response, 202)
            there = Digest.of_header(response.headers.get("Digest", ""))
        if there is not None and there != digest:
            async with self.wire.ask(
                "POST", transaction.address, headers={ID: transaction.id, OP: "revert"}
            ) as response:
                _expect(response, 202)
            raise NotTaken(f"a segment was damaged on its way: bytes to {end} have digest {there}, not {digest}")

    async def _commit(self, transaction: Transaction, digest: Digest, kind: str) -> None:
        headers = {ID: transaction.id, OP: "commit", "Content-Length": "0", "Content-Type": kind}
        async with self.wire.ask("PUT", transaction.address, headers=headers) as response:
            _expect(response, 201)
            self._compare(response, digest)

    def _compare(self, response: ClientResponse, digest: Digest) -> None:
        there = Digest.of_header(response.headers.get("Digest", ""))
        if there is not None and there != digest:
            log.error("the archive stored another file", there=str(there), here=str(digest))

    async def _wait(self, publication: PublicationRecord, reason: str, asked: float | None) -> None:
        now = self.clock.now()
        pause = max(WAITS.delay(publication.attempts + 1), asked or 0.0)
        log.info("file is not put", file=publication.name, why=reason, seconds=pause)
        async with self.database.write() as session:
            await Publications().wait(
                session, publication.id, reason=reason, retry_at=now + timedelta(seconds=pause), now=now, source=SOURCE
            )


def _expect(response: ClientResponse, *allowed: int) -> None:
    if response.status not in allowed:
        raise NotTaken(
            f"the archive answers {response.status} {response.reason or ''} to {response.method} {response.url.path}",
            retry_after=retry_after(response),
            status=response.status,
        )


def _header(digest: Digest) -> str:
    return digest_header(bytes.fromhex(digest.hexadecimal))


def _whole(response: ClientResponse, header: str) -> int:
    text = response.headers.get(header, "")
    return int(text) if text.isdecimal() else 0
