"""The operator's account: password, sessions, and the throttle on guesses.

    AccountError
    ├── WrongPassword     name and password do not belong together
    └── TooManyTries      too many wrong ones from this address: wait

The password is kept as argon2id and a session by the SHA-256 of its token, so
that who reads the database can sign in nowhere.
"""

import asyncio
import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.database import Database
from dbclient.schema import Level
from dbclient.stores import Accounts, Events
from terapix.clock import Clock
from terapix.errors import TerapixError

OPERATOR = "operator"
"""Name of the one account."""
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Of new passwords: nothing that is easily taken for something else."""
GROUPS, GROUP = 4, 5
"""A new password has 20 signs of 31: 99 bits."""
LONGEST_PASSWORD = 200
"""Signs; longer ones are not worth the hashing."""
IDLE = timedelta(hours=2)
"""A session ends when nothing was asked in it for so long."""
RENEWED = timedelta(minutes=5)
"""A session's end is moved on in steps of at least this, so that reading a page seldom writes."""
TRIES = 5
"""Wrong passwords in a row before an address has to wait."""
FIRST_WAIT = 60.0
"""Seconds of the first wait; each further wrong password doubles it."""
LONGEST_WAIT = 900.0
"""Seconds of the longest wait."""
REMEMBERED = timedelta(hours=1)
"""How long a wrong password counts."""

_hasher = PasswordHasher()
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$ZGVyIEhpbW1lbCBpc3QgbGVlcg$0DqHx1hLk0nLYrQ4aGx7F5oJ7vN1YyUu4uW8aB2s3xE"
"""What a password is compared with when the name is unknown, so that both refusals take as long."""
AT_ONCE = 2
"""Passwords compared at the same time: each takes 64 MB."""


class AccountError(TerapixError):
    """Nobody was let in."""


class WrongPassword(AccountError):
    """Name and password do not belong together."""

    def __init__(self) -> None:
        super().__init__("Name and password do not belong together.")


class TooManyTries(AccountError):
    """Too many wrong passwords came from this address."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"Too many wrong passwords from your address: try again in {wait:.0f} s.")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An open session."""

    name: str
    csrf: str
    """Token that every form of this session carries."""
    key: str
    """SHA-256 of the cookie."""
    created_at: datetime
    expires_at: datetime


async def ensure_operator(session: AsyncSession, now: datetime) -> str | None:
    """Make the operator's account if there is none; return its new password, to be shown once."""
    if await Accounts().count(session):
        return None
    password = new_password()
    hashed = await asyncio.to_thread(_hasher.hash, password)
    await Accounts().add(session, name=OPERATOR, password=hashed, now=now)
    await Events().append(
        session,
        source="spica",
        kind="account",
        message=f"the account {OPERATOR} was made, with a new password",
        now=now,
    )
    return password


def new_password() -> str:
    """Make a password that a person can read aloud."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS))


def waiting_time(failures: Sequence[datetime], now: datetime) -> float:
    """Give the seconds that an address has to wait after wrong passwords at these moments; 0: it may try."""
    counted = sorted(moment for moment in failures if now - moment < REMEMBERED)
    if len(counted) < TRIES:
        return 0.0
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (len(counted) - TRIES))
    return max(0.0, wait - (now - counted[-1]).total_seconds())


def origin(address: str | None) -> str:
    """Give the address that tries are counted for: a whole /64 for IPv6, where one person has all of it."""
    try:
        parsed = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


class Sessions:
    """Who is signed in."""

    def __init__(self, database: Database, clock: Clock, *, longest: float) -> None:
        self.database = database
        self.clock = clock
        self.longest = timedelta(seconds=longest)
        """After which a session ends however busy it was."""
        self._accounts = Accounts()
        self._events = Events()
        self._hashing = asyncio.Semaphore(AT_ONCE)

    async def sign_in(self, name: str, password: str, address: str | None) -> str:
        """Open a session and return its token.

        Raises
        ------
        WrongPassword, TooManyTries
        """
        account_id, hashed = await self._admit(name, origin(address))
        async with self._hashing:
            right = await asyncio.to_thread(_matches, hashed or _NOBODY, password)
        now = self.clock.now()
        if account_id is None or not right:
            await self._tell("sign-in-refused", f"a sign-in from {origin(address)} was refused", level=Level.WARNING)
            raise WrongPassword
        token = secrets.token_urlsafe(32)
        async with self.database.write() as session:
            await self._accounts.sweep(session, now=now, failures_before=now - REMEMBERED)
            await self._accounts.forgive(session, address=origin(address))
            if hashed and _hasher.check_needs_rehash(hashed):
                await self._accounts.set_password(session, account_id, await asyncio.to_thread(_hasher.hash, password))
            await self._accounts.open_session(
                session,
                key=key_of(token),
                account_id=account_id,
                csrf=secrets.token_urlsafe(32),
                now=now,
                expires=now + min(IDLE, self.longest),
            )
        await self._tell("sign-in", f"{name} signed in from {origin(address)}", source=f"operator:{name}")
        return token

    async def of(self, token: str, *, active: bool) -> SignedIn | None:
        """Give the open session of a token; with `active`, a person asked and the idle time begins again."""
        now = self.clock.now()
        async with self.database.read() as session:
            found = await self._accounts.session_of(session, key_of(token), now=now)
            if found is None:
                return None
            row, account = found
            held = SignedIn(account.name, row.csrf, row.key, row.created_at, row.expires_at)
        if now >= held.created_at + self.longest:
            return None
        end = min(now + IDLE, held.created_at + self.longest)
        if active and end - held.expires_at >= RENEWED:
            async with self.database.write() as session:
                await self._accounts.extend_session(session, held.key, expires=end)
        return held

    async def sign_out(self, who: SignedIn) -> None:
        """End a session."""
        async with self.database.write() as session:
            await self._accounts.close_session(session, who.key)
        await self._tell("sign-out", f"{who.name} signed out", source=f"operator:{who.name}")

    async def _admit(self, name: str, address: str) -> tuple[int | None, str | None]:
        """Count a try as wrong before it is looked at, so that many at once cannot all slip through."""
        now = self.clock.now()
        async with self.database.write() as session:
            failures = await self._accounts.failures(session, address=address, since=now - REMEMBERED)
            wait = waiting_time(failures, now)
            if wait > 0:
                raise TooManyTries(wait)
            await self._accounts.failed(session, address=address, now=now)
            account = await self._accounts.named(session, name)
            return (account.id, account.password) if account else (None, None)

    async def _tell(self, kind: str, message: str, *, source: str = "spica", level: Level = Level.INFO) -> None:
        async with self.database.write() as session:
            await self._events.append(
                session, source=source, kind=kind, message=message, level=level, now=self.clock.now()
            )


def key_of(token: str) -> str:
    """Give the key under which a session is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


def _matches(hashed: str, password: str) -> bool:
    if len(password) > LONGEST_PASSWORD:
        return False
    try:
        return _hasher.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
