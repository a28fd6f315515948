"""What is put to an archive: a file that stays one generation, and the transaction in which it goes."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from dbclient.records import PublicationRecord
from terapix.identity import Digest

BLOCK: Final = 1 << 20
"""Bytes sent at once."""


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


@dataclass(frozen=True, slots=True)
class Parcel:
    """One generation of a file, open: it stays the same whatever takes its name."""

    publication: PublicationRecord
    file: int
    """Its descriptor."""
    digest: Digest
    """That it must have, whole."""

    @property
    def size(self) -> int:
        return self.publication.size or 0

    async def blocks(self, begin: int, end: int) -> AsyncIterator[bytes]:
        """Read from one byte to another, for the wire."""
        while begin < end and (block := await asyncio.to_thread(os.pread, self.file, min(BLOCK, end - begin), begin)):
            begin += len(block)
            yield block

    def hash_on(self, hasher: Any, begin: int, end: int) -> None:
        """Add bytes to a digest. Blocks."""
        while begin < end and (block := os.pread(self.file, min(BLOCK, end - begin), begin)):
            hasher.update(block)
            begin += len(block)

    def hashed(self, end: int) -> Any:
        """Give the digest of the beginning, to go on with. Blocks."""
        hasher = hashlib.md5(usedforsecurity=False)
        self.hash_on(hasher, 0, end)
        return hasher

    def found(self) -> str:
        """Give the digest of what is really there. Blocks."""
        return f"md5:{self.hashed(os.fstat(self.file).st_size).hexdigest()}"


def keep(sidecar: Path, transaction: Transaction) -> None:
    """Write down which transaction a file is put in, at one stroke. Blocks."""
    fresh = sidecar.with_name(f"{sidecar.name}.new")
    fresh.write_text(json.dumps(asdict(transaction)))
    fresh.rename(sidecar)


def kept(sidecar: Path) -> Transaction | None:
    """Read which transaction an earlier life began; none if nothing that makes sense is there. Blocks."""
    try:
        told = json.loads(sidecar.read_text())
        return Transaction(
            str(told["id"]), str(told["address"]), str(told["digest"]), int(told["smallest"]), int(told["largest"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
