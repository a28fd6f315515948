"""How far an archive was listed, as a value; units as in `dbclient.schema.bookmarks`."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class BookmarkRecord:
    archive: str
    reached: datetime
    looked_at: datetime
