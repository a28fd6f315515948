"""What a part belongs to, and the digests of its blocks: its sidecar.

The first line says what the bytes belong to; each further line is one block of
4 MiB that is here, with its digest. Lines are appended as blocks come, so that
even of a killed download each block is known; a line that was torn is none.
The digests were taken from the bytes as they came over the wire: a block that
reads otherwise was damaged on our disk. A file of one block has no such lines.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import xxhash

BLOCK: Final = 4 * 1024**2
"""Bytes of a block: what one damaged byte costs."""
ALGORITHM: Final = "xxh3-128"
"""Against accidents on our disk: 0.4 ms a block beside the 7 ms of md5, where sha256 takes 3."""
LENGTH: Final = 32
"""Hexadecimal digits of a block's digest."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a part belongs to, as the server said when it was begun."""

    digest: str
    """As md5:<hex>; empty if neither listing nor server gives one."""
    artifact: str
    """x-artifact-id; empty if the server has none."""
    total: int
    """Bytes of the whole file; -1 if unknown."""


def fresh_hash() -> Any:
    """Begin the digest of a block."""
    return xxhash.xxh3_128()


def digest_of_block(content: bytes | memoryview) -> str:
    """Return the digest of a block."""
    found = fresh_hash()
    found.update(content)
    return str(found.hexdigest())


def extent(index: int, total: int) -> tuple[int, int]:
    """Return where a block begins and ends."""
    end = (index + 1) * BLOCK
    return index * BLOCK, end if total < 0 else min(end, total)


class Sidecar:
    """The file beside a part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def read(self) -> tuple[Bound | None, dict[int, str]]:
        """Return what the part belongs to, and the digests of its blocks by number; of two lines the later one."""
        blocks: dict[int, str] = {}
        try:
            first, *lines = self.path.read_text().split("\n")
            raw = json.loads(first)
            bound = Bound(str(raw["digest"]), str(raw["artifact"]), int(raw["total"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None, {}
        if (raw.get("block"), raw.get("by")) != (BLOCK, ALGORITHM):
            return bound, {}
        for line in lines:
            number, _, digest = line.partition(" ")
            if number.isdigit() and len(digest) == LENGTH:
                blocks[int(number)] = digest
        return bound, blocks

    def write(self, bound: Bound) -> None:
        """Begin anew, in one go."""
        self.close()
        fresh = self.path.with_suffix(".bound-new")
        fresh.write_text(json.dumps({**asdict(bound), "block": BLOCK, "by": ALGORITHM}) + "\n")
        fresh.rename(self.path)

    def add(self, index: int, digest: str) -> None:
        """Tell that a block is here."""
        if self._fd < 0:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.write(self._fd, f"\n{index} {digest}\n".encode())

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)
