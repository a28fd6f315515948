"""Who may read and write what at the stand-in before it is public, and by what a caller is known.

[[user]]
name = "astronomer"
password = "for the login service, and Basic at the legacy service"
token = "a bearer token"
certificate = "common name in a client certificate"
runs = ["08AC14"]      # whose pixels may be read; left out: all
write = true           # may put files
"""

import base64
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from aiohttp import web

from terapix.errors import TerapixError

COOKIE = "CADC_SSO"
"""Name of the cookie that carries a token."""
KEYS: Mapping[str, type] = {
    **dict.fromkeys(("name", "password", "token", "certificate"), str),
    "runs": list,
    "write": bool,
}


class AccessUnreadable(TerapixError):
    """A file of users that does not say what it should."""


class Verdict(Enum):
    """Whether a caller may read pixels."""

    ALLOWED = "allowed"
    UNKNOWN = "unknown"  #: no credential, or none that is known: 401
    FORBIDDEN = "forbidden"  #: known, and not of this proposal: 403


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may be known."""

    name: str
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    certificate: str = ""
    """Common name in the subject of a client certificate."""
    runs: frozenset[str] | None = None
    """RUNIDs whose pixels may be read before they are public; None: all."""
    write: bool = False
    """May put files and take them away."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read what before it is public; without it the stand-in gives everything to everyone."""

    tokens: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    """For each bearer token the RUNIDs whose pixels it opens; None: all."""
    writers: frozenset[str] = frozenset()
    """Tokens of `tokens` that may also write."""
    users: tuple[User, ...] = ()

    def by_token(self, token: str) -> User | None:
        """Return whose token this is."""
        if token in self.tokens:
            return User(token, token=token, runs=self.tokens[token], write=token in self.writers)
        return next((user for user in self.users if token and user.token == token), None)

    def by_name(self, name: str) -> User | None:
        """Return a user."""
        return next((user for user in self.users if user.name == name), None)

    def by_password(self, name: str, password: str) -> User | None:
        """Return the user whose name and password these are."""
        user = self.by_name(name)
        return user if user is not None and user.password and user.password == password else None

    def by_certificate(self, common_name: str) -> User | None:
        """Return the user of a client certificate."""
        return next((user for user in self.users if common_name and user.certificate == common_name), None)

    @staticmethod
    def judge(user: User | None, *, run: str | None, public: bool) -> Verdict:
        """Decide on the pixels of a run."""
        if public:
            return Verdict.ALLOWED
        if user is None:
            return Verdict.UNKNOWN
        return Verdict.ALLOWED if user.runs is None or run in user.runs else Verdict.FORBIDDEN

    @classmethod
    def read(cls, path: Path) -> "Access":
        """Read users from a TOML file.

        Raises
        ------
        AccessUnreadable
            It is no TOML, or has a key that does not exist.
        """
        try:
            text = tomllib.loads(path.read_bytes().decode())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise AccessUnreadable(f"{path}: {error}") from error
        entries = text.pop("user", [])
        if text:
            raise AccessUnreadable(f"{path}: there is {', '.join(map(repr, text))}; each user begins with [[user]]")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise AccessUnreadable(f"{path}: each user begins with [[user]], in double brackets")
        return cls(users=tuple(_user(path, number, entry) for number, entry in enumerate(entries, 1)))


def _user(path: Path, number: int, entry: Mapping[str, Any]) -> User:
    for key, value in entry.items():
        if key not in KEYS:
            raise AccessUnreadable(f"{path}: user {number} has no {key!r}, only {', '.join(KEYS)}")
        if not isinstance(value, KEYS[key]):
            raise AccessUnreadable(f"{path}: user {number}: {key} = {value!r} is no {KEYS[key].__name__}")
        if isinstance(value, str) and not value.isprintable():
            raise AccessUnreadable(f"{path}: user {number}: {key} = {value!r} is no plain line, as a header needs it")
    if not entry.get("name"):
        raise AccessUnreadable(f"{path}: user {number} has no name")
    given = dict(entry)
    runs = given.pop("runs", None)
    return User(**given, runs=None if runs is None else frozenset(map(str, runs)))


def token_of(request: web.Request) -> str:
    """Token of a request, from the header or from the cookie; empty if there is none."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    return request.cookies.get(COOKIE, "").strip('"')


def basic_of(request: web.Request) -> tuple[str, str] | None:
    """Name and password of a request by Basic authentication."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except ValueError:  # no base64, or no text within
        return "", ""
    return name, password


def common_name_of(request: web.Request) -> str:
    """Common name of the client certificate of a connection, checked by TLS; empty if there is none."""
    certificate = request.transport.get_extra_info("peercert") if request.transport is not None else None
    parts = [part for group in (certificate or {}).get("subject", ()) for part in group]
    return next((str(value) for key, value in reversed(parts) if key == "commonName"), "")
