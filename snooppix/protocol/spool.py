"""The rows of a large answer, on disk until they are sent: a slow reader holds neither memory nor the tables."""

import marshal
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, Final

BLOCK: Final = 2000
"""Rows that are in memory at once."""
Cells = tuple[Any, ...]


class Spool:
    """Rows that are written once, block by block, and read in that order; gone with the object."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="terapix-answer-")  # noqa: SIM115 - it lives as long as we do
        weakref.finalize(self, self._file.close)
        self._begins: list[int] = []
        self._count = 0

    def add(self, block: Sequence[Cells]) -> None:
        """Write the next rows."""
        self._begins.append(self._file.seek(0, 2))
        marshal.dump(list(block), self._file)
        self._count += len(block)

    def blocks(self) -> Iterator[list[Cells]]:
        """Read all rows, block by block."""
        for begin in self._begins:
            self._file.seek(begin)
            yield marshal.load(self._file)  # noqa: S302 - nobody else can write there

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Cells]:
        return (row for block in self.blocks() for row in block)
