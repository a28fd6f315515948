"""The write-ahead log: what is written by the megabyte is copied into the file beside what comes next."""

import contextlib
import shutil
import sqlite3

import pytest
from sqlalchemy import text

from dbclient.checkpoint import Checkpoint
from dbclient.database import Database


def events_in(file, tmp_path) -> int:
    """Count what stands in the file itself, whatever its log has."""
    alone = shutil.copy(file, tmp_path / "alone.sqlite")
    with contextlib.closing(sqlite3.connect(alone)) as line:
        return int(line.execute("SELECT count(*) FROM bookmarks").fetchone()[0])


@pytest.mark.parametrize("much", [True, False])
async def test_only_a_large_unit_is_copied_at_once(tmp_path, much):
    file = tmp_path / "t.sqlite"
    database = await Database.open(f"sqlite+aiosqlite:///{file}", create=True)
    with contextlib.closing(sqlite3.connect(file)) as other:  # so that to close the database copies nothing
        other.execute("SELECT count(*) FROM bookmarks").fetchall()
        async with database.write(much=much) as session:
            await session.execute(
                text("INSERT INTO bookmarks (archive, reached, looked_at) VALUES ('cadc', '2008-01-01', '2008-01-01')")
            )
        await database.close()
        assert events_in(file, tmp_path) == int(much)


async def test_what_cannot_be_copied_now_is_left_in_the_log(tmp_path):
    checkpoint = Checkpoint(tmp_path / "none" / "t.sqlite")
    checkpoint.begin()
    await checkpoint.end()
    assert not (tmp_path / "none").exists()
