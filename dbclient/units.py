"""Units of work: what a session was opened for, and what it has written."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

WRITES: Final = "writes"
"""Key in a session's info of a write unit."""
EVENT: Final = "event"
"""Key in a session's info of a unit that has written an event; also the word that tells of it."""


def is_write_unit(session: AsyncSession) -> bool:
    """Tell whether a session commits at its end; only such a one locks rows."""
    return bool(session.info.get(WRITES))
