"""What can go wrong with a move.

MoveError
├── DiskFull          the node's disk filled up: room given back, another node, no try counted
├── NodeUnreachable   the node's directory is gone or not writable: the same
├── SourceGone        the file to be moved is not where the database says
├── DiskGone          the reception disk on which it lies is not there; it goes on when it is back
├── DigestMismatch    what was copied is not what was verified at reception
└── Stopped           the daemon is stopping: the move goes on at its next start
"""

from pathlib import Path
from typing import ClassVar

from terapix.errors import TerapixError


class MoveError(TerapixError):
    """A file could not be moved."""

    retryable: ClassVar[bool] = True
    counts: ClassVar[bool] = True
    """Whether one of the frame's tries is used up."""


class DiskFull(MoveError):
    counts: ClassVar[bool] = False

    def __init__(self, path: Path, *, written: int, size: int) -> None:
        super().__init__(f"the disk of {path.parent} is full: {written} of {size} bytes were written")
        self.path = path
        self.written = written
        self.size = size


class NodeUnreachable(MoveError):
    counts: ClassVar[bool] = False

    def __init__(self, directory: Path, problem: str) -> None:
        super().__init__(f"{directory} cannot be written: {problem}")
        self.directory = directory


class SourceGone(MoveError):
    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not there; terapix fetch brings it again from the archive")
        self.path = path


class DiskGone(MoveError):
    counts: ClassVar[bool] = False

    def __init__(self, disk: str, path: Path) -> None:
        super().__init__(f"the reception disk {disk} is gone ({path.parent} is not there): the move waits for it")
        self.disk = disk
        self.path = path


class DigestMismatch(MoveError):
    def __init__(self, path: Path, *, expected: str, found: str) -> None:
        super().__init__(
            f"{path} has digest {found}, and {expected} was verified at reception; terapix fetch brings it again"
        )
        self.path = path
        self.expected = expected
        self.found = found


class Stopped(MoveError):
    counts: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__("the move was stopped and goes on when datatransfer runs again")
