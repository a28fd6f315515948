"""Insertion that two may try at once: one of them makes the row, the other finds it there."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import Base


async def insert_unless_there(session: AsyncSession, table: type[Base], **values: Any) -> int | None:
    """Insert a row and give its number; None if a unique constraint says that it is there already."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(table).values(**values).on_conflict_do_nothing().returning(table.__table__.c.id)
    number: int | None = await session.scalar(row)
    return number
