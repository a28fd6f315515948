"""What can go wrong with a move.

MoveError
├── DiskFull          the node's disk filled up: room given back, another node, no try counted
├── NodeUnreachable   the node's directory is gone or not writable: the same
├── SourceGone        the file to be moved is not where the database says
├── DiskGone          the reception disk on which it lies is not there; it goes on when it is back
├── DigestMismatch    what was copied is not what was verified at reception
├── Declined          another host gives or takes no such file, or says what nobody understands
├── LinkBroken        the host that has it fell silent in the middle: room and bytes stay, and it goes on
└── Stopped           the daemon is stopping, or an operator paused the move: room and bytes stay, and it goes on
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

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
        self.problem = problem


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
        super().__init__("the move was stopped: it goes on behind what has come")


class LinkBroken(MoveError):
    counts: ClassVar[bool] = False

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(f"{source} does not send: {problem}; it goes on where it stopped")
        self.source = source
        self.problem = problem


class Declined(MoveError):
    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said


KINDS: Mapping[str, Callable[..., MoveError]] = {
    "full": lambda path, written, size: DiskFull(Path(path), written=written, size=size),
    "unreachable": lambda directory, problem: NodeUnreachable(Path(directory), problem),
    "gone": lambda path: SourceGone(Path(path)),
    "mismatch": lambda path, expected, found: DigestMismatch(Path(path), expected=expected, found=found),
    "link": LinkBroken,
    "declined": Declined,
    "stopped": Stopped,
}
"""By word, how an error is put together again from the facts that an agent tells of it."""
WORDS: Mapping[type[MoveError], str] = {
    DiskFull: "full",
    NodeUnreachable: "unreachable",
    SourceGone: "gone",
    DigestMismatch: "mismatch",
    LinkBroken: "link",
    Declined: "declined",
    Stopped: "stopped",
}


def facts(problem: MoveError) -> dict[str, Any]:
    """Give an error as it travels: its word and its facts."""
    if type(problem) not in WORDS:
        return {"kind": "declined", "said": str(problem)}
    told = {name: value if isinstance(value, int) else str(value) for name, value in vars(problem).items()}
    return {"kind": WORDS[type(problem)], **{name: value for name, value in told.items() if not name.startswith("_")}}


def rebuilt(told: Mapping[str, Any]) -> MoveError:
    """Put an error together again that an agent told of; one that makes no sense is told as it came."""
    known = dict(told)
    try:
        return KINDS[known.pop("kind", "")](**known)
    except (KeyError, TypeError):
        return Declined(f"the agent told of {dict(told)}")
