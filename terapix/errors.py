"""What can go wrong, at the root of every package's own tree of errors."""

from typing import ClassVar


class TerapixError(Exception):
    """Any error that TERAPIX raises on purpose; facts are attributes."""

    retryable: ClassVar[bool] = False
