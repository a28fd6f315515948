"""Statements of a write unit on SQLite: the short ones run here, and what holds others up runs in a thread."""

import threading

import pytest

from dbclient.nearby import SHORT, SMALL, open_nearby


@pytest.fixture
async def connection():
    """A connection that knows a function which says in which thread it is called."""
    async with open_nearby(":memory:", check_same_thread=False) as opened:
        await opened.create_function("thread", 0, threading.get_ident)
        yield opened


async def thread_of(connection, statement, *values) -> int:
    async with connection.cursor() as cursor:
        await cursor.execute(statement, *values)
        return (await cursor.fetchone())[0]


async def test_a_short_statement_runs_where_it_is_asked_for(connection):
    here = threading.get_ident()
    assert await thread_of(connection, "SELECT thread()") == here
    assert await thread_of(connection, "SELECT thread(), ?", ["979412p"]) == here
    assert await thread_of(connection, "SELECT thread(), length(:word)", {"word": bytes(SMALL)}) == here


async def test_a_slab_and_many_values_run_in_a_thread_so_that_the_next_page_comes_meanwhile(connection):
    here = threading.get_ident()
    assert await thread_of(connection, "SELECT thread(), length(:lines)", {"lines": bytes(SMALL + 1)}) != here
    assert await thread_of(connection, "SELECT thread(), length(?)", (bytes(SMALL + 1),)) != here
    many = ",".join("?" * (SHORT + 1))
    assert await thread_of(connection, f"SELECT thread(), {many}", range(SHORT + 1)) != here
