"""What every row of caom2 ends with: identities, time stamps and checksums."""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from snooppix.protocol.schema import Table
from snooppix.protocol.tables import Row

SPACE: Final = uuid.UUID("6f0f1e62-9e54-5bd6-a1a3-7a7d60ba58d5")
"""Name space of the identities that TERAPIX gives."""


def identity(text: str) -> str:
    """Give the identity of what has this name: the same whenever it is asked for."""
    return str(uuid.uuid5(SPACE, text))


def stamp(moment: datetime, *, lag: float = 0.0) -> str:
    """Write a UTC time as the archive does, to the millisecond, `lag` seconds earlier."""
    return (moment - timedelta(seconds=lag)).replace(tzinfo=None).isoformat(timespec="milliseconds")


def sealed(table: Table, row: Row, times: Sequence[str], sums: Sequence[str]) -> Row:
    """Add the time stamps and checksums of a row, from those of the rows below it."""
    text = "|".join(map(str, map(row.get, table.names)))
    row["metaChecksum"] = f"md5:{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}"
    below = "|".join((text, *sorted(sums)))
    row["accMetaChecksum"] = f"md5:{hashlib.md5(below.encode(), usedforsecurity=False).hexdigest()}"
    row["lastModified"], row["maxLastModified"] = min(times), max(times)
    return row
