"""Requests, events, bookmarks and accounts."""

import pytest

from dbclient.errors import NoSuchRow
from dbclient.schema import Level, RequestKind, RequestState
from dbclient.stores import Accounts, Bookmarks, Events, Requests
from tests.support.night import NOW, later, sight


async def test_a_request_stays_open_until_it_is_answered(database):
    async with database.write() as session:
        row = await sight(session)
        number = await Requests().ask(session, RequestKind.FETCH, {"frame": "979412p"}, by="ann", now=NOW)
        await Requests().ask(session, RequestKind.DRAIN, {"node": "node1"}, by="ann", now=NOW)
        (request,) = await Requests().open(session, RequestKind.FETCH, RequestKind.RETRY)
        assert (request.id, request.arguments, request.asked_by) == (number, {"frame": "979412p"}, "ann")
        assert len(await Requests().open(session)) == 2
        await Requests().answer(session, number, RequestState.REFUSED, "The archive is down.", now=later(1))
        held = await Requests().get(session, number)
        assert (held.state, held.answer, held.answered_at) == (RequestState.REFUSED, "The archive is down.", later(1))
        told = [(event.kind, event.level, event.source) for event in await Events().of_frame(session, row.id)]
        assert told[1:] == [("request", Level.INFO, "operator:ann"), ("answer", Level.WARNING, "daemon")]
        with pytest.raises(NoSuchRow):
            await Requests().get(session, 99)


async def test_events_are_read_on_from_a_number_and_by_gravity(database):
    async with database.write() as session:
        numbers = [
            await Events().append(session, source="t", kind="k", message=level.value, level=level, now=NOW)
            for level in (Level.INFO, Level.WARNING, Level.ERROR, Level.INFO)
        ]
        assert await Events().newest_id(session) == numbers[-1]
        assert [e.id for e in await Events().after(session, numbers[1], limit=1)] == [numbers[2]]
        assert [e.id for e in await Events().latest(session, limit=2)] == numbers[:1:-1]
        assert [e.id for e in await Events().latest(session, limit=9, before=numbers[1])] == numbers[:1]
        grave = await Events().latest(session, limit=9, level=Level.WARNING)
        assert [e.level for e in grave] == [Level.ERROR, Level.WARNING]
        assert (await Events().latest(session, limit=1))[0].at == NOW


async def test_a_bookmark_never_goes_back(database):
    async with database.write() as session:
        assert await Bookmarks().get(session, "cadc/CFHT") is None
        for reached, now in ((later(10), NOW), (later(5), later(60))):
            await Bookmarks().set(session, "cadc/CFHT", reached=reached, now=now)
        held = await Bookmarks().get(session, "cadc/CFHT")
        assert (held.reached, held.looked_at) == (later(10), later(60))


async def test_an_operator_signs_in_and_out(database):
    accounts = Accounts()
    async with database.write() as session:
        assert await accounts.count(session) == 0
        number = await accounts.add(session, name="operator", password="$argon2id$x", now=NOW)
        await accounts.open_session(session, key="k", account_id=number, csrf="c", now=NOW, expires=later(60))
        found = await accounts.session_of(session, "k", now=later(59))
        assert found is not None
        assert (found[0].csrf, found[1].name) == ("c", "operator")
        assert await accounts.session_of(session, "k", now=later(60)) is None
        await accounts.extend_session(session, "k", expires=later(90))
        assert await accounts.session_of(session, "k", now=later(60)) is not None
        await accounts.close_session(session, "k")
        assert await accounts.session_of(session, "k", now=NOW) is None
        await accounts.set_password(session, number, "$argon2id$y")
        assert (await accounts.named(session, "operator")).password == "$argon2id$y"


async def test_wrong_passwords_are_counted_an_address_and_forgiven(database):
    accounts = Accounts()
    async with database.write() as session:
        for seconds in (0, 10, 20):
            await accounts.failed(session, address="10.0.0.1", now=later(seconds))
        assert await accounts.failures(session, address="10.0.0.1", since=later(5)) == [later(10), later(20)]
        assert await accounts.failures(session, address="10.0.0.2", since=NOW) == []
        await accounts.sweep(session, now=NOW, failures_before=later(15))
        assert await accounts.failures(session, address="10.0.0.1", since=NOW) == [later(20)]
        await accounts.forgive(session, address="10.0.0.1")
        assert await accounts.failures(session, address="10.0.0.1", since=NOW) == []
