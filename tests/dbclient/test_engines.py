"""Addresses, and what drivers say put into words that tell what to do."""

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from dbclient.engines import connecting, file_of, parse, plain_errors, shown
from dbclient.errors import Busy, DatabaseError, Full, NotADatabase, Unreachable

URL = "sqlite+aiosqlite:////var/lib/terapix/terapix.sqlite"


class Said(Exception):
    """What a driver raises."""

    def __init__(self, words: str, sqlstate: str | None = None) -> None:
        super().__init__(words)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("words", "state", "error", "again"),
    [
        ("file is not a database", None, NotADatabase, False),
        ("database disk image is malformed", None, NotADatabase, False),
        ("database is locked", None, Busy, True),
        ("database or disk is full", None, Full, True),
        ("could not extend file: No space left on device", "53100", Full, True),
        ("unable to open database file", None, Unreachable, True),
        ("terminating connection due to administrator command", "57P01", Unreachable, True),
        ("sorry, too many clients already", "53300", Unreachable, True),
        ("connection was closed in the middle of operation", None, Unreachable, True),
    ],
)
def test_trouble_of_the_database_is_put_into_words(words, state, error, again):
    with pytest.raises(error) as told, plain_errors(URL):
        raise OperationalError("SELECT 1", {}, Said(words, state))
    assert told.value.retryable is again
    assert "/var/lib/terapix/terapix.sqlite" in str(told.value)


def test_a_fault_of_our_own_passes_unchanged():
    with pytest.raises(IntegrityError), plain_errors(URL):
        raise IntegrityError("INSERT", {}, Said("UNIQUE constraint failed"))
    with pytest.raises(OperationalError), plain_errors(URL):
        raise OperationalError("SELECT", {}, Said("no such column: airmas"))


def test_a_file_that_may_not_be_written_is_told_when_the_unit_begins():
    with pytest.raises(Unreachable, match="readonly"), plain_errors(URL):
        raise OperationalError("BEGIN IMMEDIATE", {}, Said("attempt to write a readonly database"))
    with pytest.raises(OperationalError), plain_errors(URL):
        raise OperationalError("INSERT", {}, Said("attempt to write a readonly database"))


def test_a_refused_connection_is_told_without_the_password():
    url = "postgresql://spica:secret@db/terapix"
    with pytest.raises(Unreachable, match="refused") as told, connecting(url):
        raise ConnectionRefusedError("connection refused")
    assert "secret" not in str(told.value)
    assert shown(url) == "postgresql://spica:***@db/terapix"


def test_addresses_are_read_with_the_drivers_we_use():
    assert parse("postgresql://u@h/d").drivername == "postgresql+asyncpg"
    assert parse("sqlite:///a.sqlite").drivername == "sqlite+aiosqlite"
    assert str(file_of(URL)) == "/var/lib/terapix/terapix.sqlite"
    assert file_of("postgresql://u@h/d") is None
    with pytest.raises(DatabaseError, match="mysql"):
        parse("mysql://u@h/d")
