"""Putting files to an archive that receives: minoc's PUT, and its transactions for large files.

A file up to publisher.push_segment bytes is one PUT with its digest and length
as preconditions. A larger one goes within a transaction: started, appended to
segment by segment, and committed. How far it is, the archive knows; which
transaction it is, a sidecar on the shelf keeps, so that a kill or a cut
connection costs one segment. The answer 201 with our digest is the acknowledgement.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from aiohttp import ClientError, ClientResponse
from yarl import URL

from dbclient.database import Database
from dbclient.records import PublicationRecord
from dbclient.stores import Publications
from snooppix.errors import ArchiveError
from snooppix.protocol.facts import digest_header
from snooppix.publisher.acknowledgement import Acknowledgement
from snooppix.publisher.description import content_type
from snooppix.publisher.ledger import SOURCE, Ledger
from snooppix.publisher.shelf import Shelf
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
BLOCK: Final = 1 << 20
"""Bytes sent at once."""
AT_ONCE: Final = 20
"""Files put a pass."""
ID, OP, TOTAL = "x-put-txn-id", "x-put-txn-op", "x-total-length"
SMALLEST, LARGEST = "x-put-segment-minbytes", "x-put-segment-maxbytes"


class NotTaken(TerapixError):
    """The archive does not take a file now."""

    def __init__(self, why: str, *, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        """Seconds that it asked us to wait."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """An upload that goes on over several requests."""

    id: str
    address: str
    digest: str
    """Of the whole file, so that a newer generation is never appended to an older one."""
    smallest: int
    largest: int
    """Bytes of a segment."""

    def segment(self, wanted: int) -> int:
        """Bytes to append at once, as near to what is wanted as the archive lets us."""
        return max(1, self.smallest, min(wanted, self.largest or wanted))


class Pusher:
    """Puts what is offered to one archive, one file after the other."""

    def __init__(
        self,
        database: Database,
        shelf: Shelf,
        ledger: Ledger,
        wire: Wire,
        *,
        address: str,
        segment: int,
        collection: str,
        clock: Clock,
    ) -> None:
        self.database = database
        self.shelf = shelf
        self.ledger = ledger
        self.wire = wire
        self.address = address.rstrip("/")
        """Of the file service, as https://archive/minoc."""
        self.segment = segment
        self.collection = collection
        self.clock = clock
        self.at_work: str | None = None
        """File that is put now."""

    async def put_due(self, stopping: asyncio.Event) -> int:
        """Put what is offered and not acknowledged, until `stopping`; return how many files arrived."""
        async with self.database.read() as session:
            due = await Publications().to_push(session, now=self.clock.now(), limit=AT_ONCE)
        arrived = 0
        for publication in due:
            if stopping.is_set():
                break
            self.at_work = publication.name
            try:
                arrived += await self._deliver(publication)
            except NotTaken as problem:
                await self._wait(publication, str(problem), problem.retry_after)
            except (ArchiveError, ClientError, OSError, TimeoutError) as problem:
                why = str(problem) or type(problem).__name__
                await self._wait(publication, f"the archive does not take it at {self.address}: {why}", None)
            finally:
                self.at_work = None
        return arrived

    async def _deliver(self, publication: PublicationRecord) -> bool:
        if publication.path is None or publication.size is None or publication.wire_digest is None:
            return False
        path, digest = self.shelf.reception / publication.path, Digest.parse(publication.wire_digest)
        address = f"{self.address}/files/{quote(f'{SCHEME}:{self.collection}/{publication.name}', safe=':/')}"
        if await self._held(address) != digest:  # else an earlier life put it, and was killed before it could say so
            if publication.size <= self.segment:
                await self._put(address, path, publication.size, digest)
            else:
                await self._put_in_segments(address, path, publication.name, publication.size, digest)
            reached("put.committed")
        there = await self._held(address)
        if there is None:
            raise NotTaken("the archive took the file and does not show it")
        self.shelf.sidecar(publication.name).unlink(missing_ok=True)
        told = Acknowledgement(publication.name, publication.generation, str(there), None)
        await self.ledger.judge(told, by=URL(self.address).host or "archive")
        return there == digest

    async def _held(self, address: str) -> Digest | None:
        """Ask for the digest of what the archive has there; none if it has nothing."""
        async with self.wire.ask("HEAD", address) as response:
            if response.status == 404:
                return None
            _expect(response, 200)
            return Digest.of_header(response.headers.get("Digest", ""))

    async def _put(self, address: str, path: Path, size: int, digest: Digest) -> None:
        headers = {"Content-Length": str(size), "Digest": _header(digest), "Content-Type": content_type(path.name)}
        async with self.wire.ask("PUT", address, headers=headers, data=_bytes(path, 0, size)) as response:
            _expect(response, 201)
            self._compare(response, digest)

    async def _put_in_segments(self, address: str, path: Path, name: str, size: int, digest: Digest) -> None:
        transaction, done = await self._resume(address, path, name, digest)
        if transaction is None:
            transaction = await self._start(address, name, size, digest)
        step, failures = transaction.segment(self.segment), 0
        hasher = await asyncio.to_thread(_hashed, path, done)
        while done < size:
            end = min(size, done + step)
            ahead = hasher.copy()
            await asyncio.to_thread(_hash_on, ahead, path, done, end)
            try:
                await self._append(transaction, path, done, end, Digest("md5", ahead.hexdigest()))
            except (ClientError, OSError, TimeoutError, NotTaken) as problem:
                failures += 1
                if failures > REPEATS or (isinstance(problem, NotTaken) and problem.retry_after is not None):
                    raise
                found = await self._state(transaction, path)
                if found is None:
                    raise NotTaken("the archive has given the transaction up: it is begun again") from problem
                log.info("segment is sent again", file=name, begin=found, why=str(problem))
                done = found
                hasher = await asyncio.to_thread(_hashed, path, done)
                continue
            done, hasher, failures = end, ahead, 0
            reached("put.appended")
        await self._commit(transaction, digest, content_type(name))

    async def _start(self, address: str, name: str, size: int, digest: Digest) -> Transaction:
        headers = {OP: "start", TOTAL: str(size), "Content-Length": "0", "Content-Type": content_type(name)}
        async with self.wire.ask("PUT", address, headers=headers) as response:
            _expect(response, 202)
            number = response.headers.get(ID, "")
            if not number:
                raise NotTaken("the archive starts a transaction and does not name it")
            begun = Transaction(number, address, str(digest), _whole(response, SMALLEST), _whole(response, LARGEST))
        await asyncio.to_thread(_keep, self.shelf.sidecar(name), begun)
        reached("put.started")
        return begun

    async def _resume(self, address: str, path: Path, name: str, digest: Digest) -> tuple[Transaction | None, int]:
        """Take up the transaction of an earlier life, where the archive still has it and it is of this file."""
        sidecar = self.shelf.sidecar(name)
        kept = await asyncio.to_thread(_kept, sidecar)
        if kept is None:
            return None, 0
        found = await self._state(kept, path) if (kept.address, kept.digest) == (address, str(digest)) else None
        if found is not None:
            log.info("upload goes on", file=name, begin=found)
            return kept, found
        async with self.wire.ask("POST", kept.address, headers={ID: kept.id, OP: "abort"}) as response:
            log.info("an old transaction is given up", file=name, status=response.status)
        sidecar.unlink(missing_ok=True)
        return None, 0

    async def _state(self, transaction: Transaction, path: Path) -> int | None:
        """Ask how many bytes the archive has; none if it lost the transaction, or has other bytes than ours."""
        async with self.wire.ask("HEAD", transaction.address, headers={ID: transaction.id}) as response:
            if response.status in {400, 404}:
                return None
            _expect(response, 200, 202)
            done = _whole(response, "Content-Length")
            there = Digest.of_header(response.headers.get("Digest", ""))
        ours = await asyncio.to_thread(lambda: Digest("md5", _hashed(path, done).hexdigest()))
        return done if done == 0 or there in {None, ours} else None

    async def _append(self, transaction: Transaction, path: Path, begin: int, end: int, digest: Digest) -> None:
        headers = {ID: transaction.id, "Content-Length": str(end - begin)}
        async with self.wire.ask(
            "PUT", transaction.address, headers=headers, data=_bytes(path, begin, end)
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
        )


def _header(digest: Digest) -> str:

    return digest_header(bytes.fromhex(digest.hexadecimal))


def _whole(response: ClientResponse, header: str) -> int:
    text = response.headers.get(header, "")
    return int(text) if text.isdecimal() else 0


async def _bytes(path: Path, begin: int, end: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end and (block := await asyncio.to_thread(file.read, min(BLOCK, end - begin))):
            begin += len(block)
            yield block


def _hashed(path: Path, end: int) -> Any:
    """Give the digest of a file's beginning, to go on with."""
    hasher = hashlib.md5(usedforsecurity=False)
    _hash_on(hasher, path, 0, end)
    return hasher


def _hash_on(hasher: Any, path: Path, begin: int, end: int) -> None:
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end and (block := file.read(min(BLOCK, end - begin))):
            hasher.update(block)
            begin += len(block)


def _keep(sidecar: Path, transaction: Transaction) -> None:
    fresh = sidecar.with_name(f"{sidecar.name}.new")
    fresh.write_text(json.dumps(asdict(transaction)))
    fresh.rename(sidecar)


def _kept(sidecar: Path) -> Transaction | None:
    try:
        told = json.loads(sidecar.read_text())
        return Transaction(
            str(told["id"]), str(told["address"]), str(told["digest"]), int(told["smallest"]), int(told["largest"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
