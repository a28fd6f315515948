"""Bookmarks: how far an archive was read."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.bookmark import BookmarkRecord
from dbclient.records import record
from dbclient.schema import Bookmark


class Bookmarks:
    async def get(self, session: AsyncSession, archive: str) -> BookmarkRecord | None:
        row = await session.get(Bookmark, archive)
        return record(BookmarkRecord, row) if row else None

    async def set(self, session: AsyncSession, archive: str, *, reached: datetime, now: datetime) -> None:
        """Say that every row up to `reached` is safely here; the bookmark never goes back."""
        row = await session.get(Bookmark, archive)
        if row is None:
            session.add(Bookmark(archive=archive, reached=reached, looked_at=now))
        else:
            row.reached, row.looked_at = max(row.reached, reached), now
        await session.flush()
