"""What is wanted of a daemon, and versions of its settings."""

import pytest

from dbclient.errors import NoSuchRow, Outdated
from dbclient.schema import Wish
from dbclient.stores import Configurations, Controls, Events
from tests.support.night import NOW, later


async def test_a_daemon_of_which_nothing_was_asked_is_to_work(database):
    async with database.read() as session:
        assert await Controls().of(session, "snooppix") is None
        assert await Controls().wish(session, "snooppix") is Wish.RUN


async def test_a_wish_says_whose_it_is_and_since_when(database):
    async with database.write() as session:
        await Controls().set_wish(session, "snooppix", Wish.REST, by="ann", now=NOW)
    async with database.write() as session:
        await Controls().set_wish(session, "snooppix", Wish.REST, by="bob", now=later(5))
        asked = await Controls().of(session, "snooppix")
        assert (asked.wish, asked.changed_by, asked.changed_at) == (Wish.REST, "ann", NOW)
        await Controls().ask_reload(session, "snooppix", by="bob", now=later(6))
        asked = await Controls().of(session, "snooppix")
        assert (asked.wish, asked.changed_by, asked.reload_at) == (Wish.REST, "ann", later(6))
        assert await Controls().wish(session, "datatransfer") is Wish.RUN
        told = [(event.kind, event.source) for event in await Events().latest(session)]
    assert told == [("wish-reload", "operator:bob"), ("wish-rest", "operator:ann")]


async def save(session, text, *, over=None, daemon="snooppix"):
    return await Configurations().save(session, daemon, text, comment=f"{text}!", by="ann", now=NOW, over=over)


async def test_the_newest_version_is_in_force_and_all_are_kept(database):
    async with database.write() as session:
        assert await Configurations().newest(session, "snooppix") is None
        first = await save(session, "a = 1")
        other = await save(session, "z = 1", daemon="publish")
        second = await save(session, "a = 2", over=first)
        newest = await Configurations().newest(session, "snooppix")
        assert (newest.id, newest.text, newest.comment, newest.saved_by) == (second, "a = 2", "a = 2!", "ann")
        history = await Configurations().history(session, "snooppix")
        assert [version.id for version in history] == [second, first]
        assert [version.id for version in await Configurations().history(session, "snooppix", limit=1)] == [second]
        assert (await Configurations().history(session, "snooppix", before=second))[0].id == first
        assert (await Configurations().get(session, "snooppix", first)).text == "a = 1"
        with pytest.raises(NoSuchRow):
            await Configurations().get(session, "snooppix", other)


async def test_what_somebody_else_saved_meanwhile_is_not_written_over(database):
    async with database.write() as session:
        first = await save(session, "a = 1")
        with pytest.raises(Outdated):
            await save(session, "a = 2")
        second = await save(session, "a = 3", over=first)
        with pytest.raises(Outdated):
            await save(session, "a = 4", over=first)
        assert (await Configurations().newest(session, "snooppix")).id == second
