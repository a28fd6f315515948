"""Who we are to the archive: nobody, a bearer token, an X.509 proxy certificate, a cookie, or name and password.

Each kind reads one file, which only its owner may read, and reads it again when
it changes. What is secret goes by HTTPS, or over loopback, and nowhere else; it
is kept in memory and never written, neither to logs nor to events.

A server that answers 401 is believed once the credential was renewed and it
still does so: then the credential is paused. Requests go out without it, so that
what is public still comes, and what needs it waits, until the file changes or an
operator says so.
"""

import asyncio
import base64
import ipaddress
import netrc
import os
import ssl
import stat
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession
from yarl import URL

from snooppix.errors import ArchiveError, ArchiveSilent
from snooppix.validity import CertificateBroken, not_after
from terapix.sections import ArchiveSection

PATIENCE: Final = 5.0
"""Seconds within which a cookie that somebody else has just renewed is not renewed again."""
COOKIE: Final = "CADC_SSO"
"""Name of the cookie where the login gives a bare token, as CADC's does."""
LONGEST_COOKIE: Final = 16 * 1024
"""Bytes of what a login answers."""
DAY: Final = 86_400.0

Signature = tuple[int, int, int]
Login = Callable[[], Awaitable[URL]]
"""Says where names and passwords are taken."""


def loopback(host: str) -> bool:
    """Whether a host is this one, by its name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def confidential(url: URL) -> bool:
    """Whether what is sent there stays between us and the server."""
    return url.scheme == "https" or (url.scheme == "http" and loopback(url.host or ""))


def private(path: Path) -> str:
    """Read a file that only its owner may read.

    Raises
    ------
    ArchiveError
        If others can read it, or nobody can.
    """
    try:
        found = path.stat()
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise ArchiveError(f"{path} can be read by others: chmod 600 {path}")
        if found.st_uid not in {os.geteuid(), 0}:
            raise ArchiveError(f"{path} belongs to another user: its owner has to be the one we run as")
        return path.read_text()
    except (OSError, UnicodeDecodeError) as problem:
        raise ArchiveError(f"{path}, the credential, cannot be read: {_why(problem)}") from problem


class Credential:
    """Nobody: what all credentials have in common, and all there is of an anonymous one."""

    kind = "anonymous"
    """As people call it."""
    silent = False
    """Whether it is shown by TLS itself, and not by a header."""

    def __init__(self, path: Path | None = None, *, authority: Path | None = None) -> None:
        self.path = path
        self.authority = authority
        self.refused: str | None = None
        """Why it is paused; none while it is in use."""
        self._refused: Signature | None = None
        """The file, when it was paused."""
        self._seen: Signature | None = None
        self._trust: ssl.SSLContext | None = None

    async def headers(self, url: URL, *, session: ClientSession, **way: Any) -> dict[str, str]:
        """Give what a request to an allowed host carries; nothing while paused, and nothing where others may listen."""
        if self.paused or not confidential(url):
            return {}
        return await self._headers(url, session=session, **way)

    async def _headers(self, url: URL, *, session: ClientSession, **way: Any) -> dict[str, str]:  # noqa: ARG002
        return {}

    async def refresh(self) -> bool:
        """Get it anew after a 401; False if there is nothing newer to try."""
        return False

    def days_left(self, now: datetime) -> float | None:
        """Days until it ends, negative if it has; none if it does not say."""
        del now
        return None

    @property
    def context(self) -> ssl.SSLContext:
        """Whom TLS connections trust, and what they show of us."""
        if self._trust is None:
            self._trust = self._trusting()
        return self._trust

    def account(self, host: str) -> tuple[str, str] | None:
        """Name and password for a host; none if it has none."""
        del host
        return None

    def refuse(self, why: str) -> None:
        """Pause it: the archive does not accept it."""
        self.refused, self._refused = why, self.signature()

    def resume(self) -> None:
        """Use it again, as an operator says."""
        self.refused = None

    @property
    def paused(self) -> bool:
        """Whether it rests; a file that was changed ends that."""
        if self.refused is not None and self.signature() != self._refused:
            self.refused = None
        return self.refused is not None

    def signature(self) -> Signature | None:
        """Tell one state of the file from another; none without a file."""
        try:
            found = self.path.stat() if self.path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None

    def _changed(self) -> bool:
        """Whether the file is another one than when this was last asked."""
        now = self.signature()
        changed, self._seen = now is None or now != self._seen, now
        return changed

    def _trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.authority is not None:
            try:
                context.load_verify_locations(self.authority)
            except (OSError, ssl.SSLError) as problem:
                raise ArchiveError(f"{self.authority}, archive.authority, cannot be read: {_why(problem)}") from problem
        return context


class Bearer(Credential):
    """A token, the whole text of a file."""

    kind = "bearer token"
    _token = ""

    async def _headers(self, url: URL, *, session: ClientSession, **way: Any) -> dict[str, str]:
        del url, session, way
        if self._changed():
            self._token = self._read()
        return {"Authorization": f"Bearer {self._token}"}

    async def refresh(self) -> bool:
        used, self._token = self._token, self._read()
        return used != self._token

    def _read(self) -> str:
        assert self.path is not None
        token = private(self.path).strip()
        if not token or not token.isascii() or not token.isprintable():
            raise ArchiveError(f"{self.path} holds no token: one line of letters and digits was expected")
        return token


class Certificate(Credential):
    """An X.509 (proxy) certificate with its key in one PEM file, shown when a server asks for it."""

    kind = "certificate"
    silent = True
    _shown: ssl.SSLContext | None = None

    @property
    def context(self) -> ssl.SSLContext:
        if self.paused:
            return super().context
        if self._shown is None or self._changed():
            assert self.path is not None
            private(self.path)
            fresh = self._trusting()
            try:
                fresh.load_cert_chain(self.path, password="")  # an empty one, or a key with a password would ask for it
            except (OSError, ssl.SSLError) as problem:
                raise ArchiveError(
                    f"{self.path} is no certificate with its key, both in PEM: {_why(problem)}"
                ) from problem
            self._seen, self._shown = self.signature(), fresh
        return self._shown

    async def refresh(self) -> bool:
        before = self._shown
        return self.context is not before

    def days_left(self, now: datetime) -> float | None:
        """Days until the first certificate of the chain ends; none if the file cannot be read."""
        assert self.path is not None
        try:
            return (not_after(private(self.path)) - now).total_seconds() / DAY
        except (ArchiveError, CertificateBroken):
            return None


class Passwords(Credential):
    """Names and passwords of hosts, from a netrc: HTTP Basic, and what FTP signs in with."""

    kind = "password"
    _known: netrc.netrc | None = None

    async def _headers(self, url: URL, *, session: ClientSession, **way: Any) -> dict[str, str]:
        del session, way
        known = self.account(url.host or "")
        if known is None:
            return {}
        text = base64.b64encode(f"{known[0]}:{known[1]}".encode()).decode()
        return {"Authorization": f"Basic {text}"}

    async def refresh(self) -> bool:
        return self._changed()

    def account(self, host: str) -> tuple[str, str] | None:
        """Name and password for a host.

        Raises
        ------
        ArchiveError
            If the file can be read by others, or is no netrc.
        """
        if self.paused:
            return None
        if self._known is None or self._changed():
            assert self.path is not None
            private(self.path)
            try:
                self._known = netrc.netrc(str(self.path))
            except netrc.NetrcParseError as problem:
                raise ArchiveError(
                    f"{self.path}, line {problem.lineno}: 'machine HOST login NAME password WORD' was expected"
                ) from None
            self._seen = self.signature()
        found = self._known.authenticators(host)
        return (found[0], found[2] or "") if found else None


class Cookie(Passwords):
    """A cookie that a login service gives for name and password; kept in memory only."""

    kind = "login"

    def __init__(self, path: Path, login: Login, *, authority: Path | None = None) -> None:
        super().__init__(path, authority=authority)
        self._login = login
        self._cookie = ""
        self._got = float("-inf")
        self._getting = asyncio.Lock()
        self._way: Mapping[str, Any] = {}
        self._session: ClientSession | None = None

    async def _headers(self, url: URL, *, session: ClientSession, **way: Any) -> dict[str, str]:
        del url
        self._session, self._way = session, way
        if not self._cookie or self._changed():
            await self._sign_in()
        return {"Cookie": self._cookie} if self._cookie else {}

    async def refresh(self) -> bool:
        return await self._sign_in()

    async def _sign_in(self) -> bool:
        """Get a cookie; True if there is a fresh one.

        Raises
        ------
        ArchiveSilent
            If the login service does not answer.
        """
        async with self._getting:
            loop = asyncio.get_running_loop()
            if loop.time() - self._got < PATIENCE:
                return bool(self._cookie)
            self._cookie = ""
            address = await self._login()
            if not confidential(address):
                raise ArchiveError(f"the password is not sent to {address}: it is neither HTTPS nor this host")
            known = self.account(address.host or "")
            if known is None:
                raise ArchiveError(f"{self.path} has no line for {address.host}, where we have to sign in")
            self._cookie = await self._given(address, *known)
            self._seen = self.signature()
            if self._cookie:
                self._got = loop.time()
            return bool(self._cookie)

    async def _given(self, address: URL, name: str, password: str) -> str:
        """Ask for a cookie; empty if name and password are refused."""
        assert self._session is not None
        form = {"username": name, "password": password}
        headers = {"Accept": "text/plain"}
        try:
            async with self._session.post(
                address, data=form, headers=headers, allow_redirects=False, **self._way
            ) as response:
                if response.status in {401, 403}:
                    self.refuse(f"the login at {address.host} refuses name or password (status {response.status})")
                    return ""
                if response.status != 200:
                    raise ArchiveSilent(str(address), f"the login answers with status {response.status}")
                body = await response.content.read(LONGEST_COOKIE)
                if response.cookies:
                    return "; ".join(f"{key}={morsel.coded_value}" for key, morsel in response.cookies.items())
        except TimeoutError as problem:
            raise ArchiveSilent(str(address), "no answer in time") from problem
        except (ClientError, OSError) as problem:
            raise ArchiveSilent(str(address), type(problem).__name__) from problem
        token = body.decode("ascii", errors="replace").strip()
        if not token or not token.isprintable() or any(letter in token for letter in '";,\ufffd'):
            raise ArchiveSilent(str(address), "the login answers with what is no cookie")
        return f'{COOKIE}="{token}"'


def credential_of(archive: ArchiveSection, *, login: Login) -> Credential:
    """Give the credential that the settings name."""
    if archive.credential is None:
        return Credential(authority=archive.authority)
    match archive.sign_in:
        case "certificate":
            return Certificate(archive.credential, authority=archive.authority)
        case "cookie":
            return Cookie(archive.credential, login, authority=archive.authority)
        case "basic":
            return Passwords(archive.credential, authority=archive.authority)
        case _:
            return Bearer(archive.credential, authority=archive.authority)


def _why(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
