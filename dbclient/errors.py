"""What can go wrong with the database.

DatabaseError
├── Unreachable       the server does not answer, or the file cannot be opened   (retryable)
├── Busy              another process has held the write lock for too long       (retryable)
├── Full              no room is left for the database itself                    (retryable)
├── NotADatabase      the file is something else
├── SchemaOutdated    none yet, or made by an older TERAPIX: upgrade it
├── SchemaTooNew      made by a newer TERAPIX: upgrade the programs
├── NoSuchRow         asked for by number and not there
├── Outdated          somebody else changed it meanwhile
└── IllegalMove       a frame cannot go from this state to that one
"""

from typing import ClassVar

from terapix.errors import TerapixError


class DatabaseError(TerapixError):
    """Anything wrong with the database."""


class Unreachable(DatabaseError):
    retryable: ClassVar[bool] = True

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"the database {url} does not answer: {problem}")
        self.url = url


class Busy(DatabaseError):
    retryable: ClassVar[bool] = True

    def __init__(self, url: str, *, seconds: float) -> None:
        super().__init__(f"the database {url} was busy for {seconds:.0f} s: another process holds its write lock")
        self.url = url


class Full(DatabaseError):
    retryable: ClassVar[bool] = True

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(
            f"the disk of the database {url} takes no more ({problem}): make room there; nothing was changed"
        )
        self.url = url


class NotADatabase(DatabaseError):
    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"{url} is no database of TERAPIX ({problem}): set database.url, or move that file away")
        self.url = url


class SchemaOutdated(DatabaseError):
    def __init__(self, url: str, *, held: str | None, needed: str) -> None:
        super().__init__(
            f"the database {url} has schema {held or 'none'} and {needed} is needed: run `terapix db upgrade` "
            f"(with -c FILE where the settings are elsewhere)"
        )
        self.held, self.needed = held, needed


class SchemaTooNew(DatabaseError):
    def __init__(self, url: str, *, held: str, needed: str) -> None:
        super().__init__(
            f"the database {url} has schema {held}, which this version does not know ({needed}): upgrade TERAPIX"
        )
        self.held, self.needed = held, needed


class NoSuchRow(DatabaseError):
    def __init__(self, kind: str, number: object) -> None:
        super().__init__(f"there is no {kind} {number}")
        self.kind, self.number = kind, number


class Outdated(DatabaseError):
    def __init__(self, what: str, *, seen: object, held: object) -> None:
        super().__init__(
            f"another {what} was saved meanwhile ({held or 'none'}, you had seen {seen or 'none'}): look again"
        )
        self.seen, self.held = seen, held


class IllegalMove(DatabaseError):
    def __init__(self, frame: str, *, source: str, target: str) -> None:
        super().__init__(f"frame {frame} cannot go from {source} to {target}")
        self.frame, self.source, self.target = frame, source, target
