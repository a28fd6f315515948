"""The operator's account: made once, kept as hashes, guarded against guessing."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from dbclient.database import Database
from dbclient.stores import Accounts, Events
from spica import accounts
from spica.accounts import IDLE, OPERATOR, Sessions, TooManyTries, WrongPassword, ensure_operator, origin, waiting_time
from terapix.clock import SetClock

NOW = datetime(2008, 3, 30, 6, 23, tzinfo=UTC)
HERE = "127.0.0.1"


@pytest.fixture
async def database(tmp_path):
    opened = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    yield opened
    await opened.close()


@pytest.fixture
async def password(database):
    async with database.write() as session:
        return await ensure_operator(session, NOW)


@pytest.fixture
def clock():
    return SetClock(NOW)


@pytest.fixture
def sessions(database, clock):
    return Sessions(database, clock, longest=8 * 3600.0)


async def test_the_password_is_made_once_and_kept_as_argon2id(database, password):
    assert len(password.replace("-", "")) == 20
    async with database.write() as session:
        assert await ensure_operator(session, NOW) is None
        account = await Accounts().named(session, OPERATOR)
        events = await Events().latest(session)
    assert account.password.startswith("$argon2id$")
    assert password not in account.password
    assert not any(password in event.message for event in events)


async def test_the_right_password_opens_a_session_whose_token_is_not_stored(database, password, sessions):
    token = await sessions.sign_in(OPERATOR, password, HERE)
    who = await sessions.of(token, active=False)
    assert who.name == OPERATOR
    assert token not in {who.key, who.csrf}
    async with database.read() as session:
        assert await Accounts().session_of(session, token, now=NOW) is None
        messages = [event.message for event in await Events().latest(session)]
    assert "operator signed in from 127.0.0.1" in messages
    assert not any(token in message or password in message for message in messages)


@pytest.mark.parametrize("name", [OPERATOR, "nobody", ""])
@pytest.mark.parametrize("guess", ["", "guess", "x" * 5000])
async def test_a_wrong_password_opens_nothing_and_says_nothing_more(password, sessions, name, guess):
    with pytest.raises(WrongPassword) as refused:
        await sessions.sign_in(name, guess, HERE)
    assert str(refused.value) == "Name and password do not belong together."
    assert await sessions.of(guess, active=False) is None


async def test_after_five_wrong_ones_an_address_waits_and_others_do_not(password, sessions, clock, monkeypatch):
    monkeypatch.setattr(accounts, "_matches", lambda _, guess: guess == password)
    for _ in range(5):
        with pytest.raises(WrongPassword):
            await sessions.sign_in(OPERATOR, "guess", HERE)
    with pytest.raises(TooManyTries) as refused:
        await sessions.sign_in(OPERATOR, password, HERE)
    assert refused.value.wait == 60.0
    assert await sessions.sign_in(OPERATOR, password, "192.0.2.7")
    clock.advance(61)
    assert await sessions.sign_in(OPERATOR, password, HERE)
    with pytest.raises(WrongPassword):
        await sessions.sign_in(OPERATOR, "a right one begins the count again", HERE)


async def test_many_guesses_at_once_are_no_way_around_the_throttle(password, sessions, monkeypatch):
    monkeypatch.setattr(accounts, "_matches", lambda _, guess: guess == password)
    tries = [sessions.sign_in(OPERATOR, f"guess {number}", HERE) for number in range(20)]
    outcomes = [type(outcome) for outcome in await asyncio.gather(*tries, return_exceptions=True)]
    assert outcomes.count(WrongPassword) == 5
    assert outcomes.count(TooManyTries) == 15


@pytest.mark.parametrize(
    ("failures", "wait"), [(0, 0.0), (4, 0.0), (5, 60.0), (6, 120.0), (8, 480.0), (9, 900.0), (50, 900.0)]
)
def test_the_wait_grows_with_each_wrong_password(failures, wait):
    assert waiting_time([NOW] * failures, NOW) == wait
    assert waiting_time([NOW - timedelta(hours=1)] * failures, NOW) == 0.0


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nonsense", "unknown"),
        (None, "unknown"),
    ],
)
def test_tries_are_counted_for_what_one_person_has(address, counted):
    assert origin(address) == counted


async def test_a_session_ends_when_idle_and_lives_while_somebody_asks(password, sessions, clock):
    token = await sessions.sign_in(OPERATOR, password, HERE)
    clock.advance(IDLE.total_seconds() - 60)
    assert await sessions.of(token, active=True)
    clock.advance(IDLE.total_seconds() - 60)
    assert await sessions.of(token, active=False)
    clock.advance(120)
    assert await sessions.of(token, active=False) is None


async def test_a_session_ends_at_its_limit_however_busy(password, sessions, clock):
    token = await sessions.sign_in(OPERATOR, password, HERE)
    for _ in range(8):
        assert await sessions.of(token, active=True)
        clock.advance(3600)
    assert await sessions.of(token, active=True) is None


async def test_signing_out_ends_the_session(password, sessions):
    token = await sessions.sign_in(OPERATOR, password, HERE)
    await sessions.sign_out(await sessions.of(token, active=False))
    assert await sessions.of(token, active=False) is None
