"""The way to the directory that is followed: which host, which path, who signs in, how it is secured."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Final

from yarl import URL

from snooppix.bandwidth import Limits
from snooppix.credentials import Credential, loopback
from snooppix.errors import (
    ArchiveError,
    ArchiveSilent,
    Busy,
    FetchError,
    ListingRefused,
    NotAllowed,
    NotSignedIn,
    NotStored,
    Unreachable,
    UnsafeAddress,
)
from snooppix.ftp.control import Refused
from snooppix.ftp.session import ANONYMOUS, Account, Session
from terapix.clock import SystemClock
from terapix.sections import ArchiveSection, SnooppixSection

PORT: Final = 21
SIGN_IN: Final = frozenset({331, 332, 430, 530, 532})
"""Replies that ask who we are, or do not like the answer."""
ABSENT: Final = frozenset({450, 550, 551, 553})
"""Replies that mean: not there, or not now."""
DENIED: Final = ("permission", "denied")
"""Words with which servers say 550 of a file that is there."""
FULL: Final = ("too many", "maximum", "try again later", "limit")
"""Words with which servers say 530 and mean 421."""
KEPT: Final = 10.0
"""Seconds that a session waits for the next file: less than any server lets one idle."""


class Door:
    """Opens sessions on the one server that the settings name.

    A session that did all it was asked waits `keep` seconds for whoever comes
    next, who need not sign in anew: with TLS that is nine ways there and back.
    """

    def __init__(
        self,
        archive: ArchiveSection,
        snooppix: SnooppixSection,
        credential: Credential,
        *,
        limits: Limits | None = None,
        keep: float = 0.0,
    ) -> None:
        self.base = URL(archive.address.rstrip("/") or "ftp:")
        if self.base.scheme not in {"ftp", "ftps"} or not self.base.host:
            raise ArchiveError(
                f"archive.address = {archive.address!r} is no directory on an FTP server: ftp://host/dir"
            )
        if self.base.user or self.base.password:
            raise ArchiveError("archive.address holds a name or password: give them in a netrc, archive.credential")
        self.host = self.base.host
        self.port = self.base.port or PORT
        self.directory = self.base.path.rstrip("/") or "/"
        self.credential = credential
        self.limits = limits or Limits(clock=SystemClock())
        """Connections and bytes a second, of listings and files together."""
        self.secured = archive.ftp_security == "explicit"
        if self.base.scheme == "ftps" and not self.secured:
            raise ArchiveError(
                "archive.address begins with ftps and archive.ftp_security is none: one of them is wrong"
            )
        self._connect_timeout = snooppix.connect_timeout
        self._read_timeout = snooppix.read_timeout
        self._keep = keep
        self._waiting: dict[Session, asyncio.TimerHandle] = {}
        """Signed in and idle, with the end of their waiting."""
        self._leaving: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Wait for leave to connect, and sign in; a session counts as one connection, with its data beside.

        Raises
        ------
        ArchiveError, Refused, OSError, TimeoutError
            As `_open` does.
        """
        async with self.limits.connection(self.host):
            session = await self._waited() or await self._open()
            try:
                yield session
                if self._keep:
                    self._waiting[session] = asyncio.get_running_loop().call_later(self._keep, self._dismiss, session)
                else:
                    await session.leave()
            finally:
                if session not in self._waiting:
                    session.close()

    async def close(self) -> None:
        """Take leave of the server."""
        for session in list(self._waiting):
            self._dismiss(session)
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _waited(self) -> Session | None:
        """Give the session that has waited least and still answers."""
        while self._waiting:
            session, end = self._waiting.popitem()
            end.cancel()
            if await session.answers():
                return session
            session.close()
        return None

    def _dismiss(self, session: Session) -> None:
        self._waiting.pop(session).cancel()
        leaving = asyncio.create_task(self._leave(session))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _leave(self, session: Session) -> None:
        try:
            await session.leave()
        finally:
            session.close()

    async def _open(self) -> Session:
        """Sign in; who is refused by name is paused.

        Raises
        ------
        ArchiveError
            If a password would be sent for all to hear.
        Refused, OSError, TimeoutError
            As `Session.connect` does.
        """
        account = self._account()
        session = Session(
            self.host,
            self.port,
            account=account,
            trust=self.credential.context if self.secured else None,
            connect_timeout=self._connect_timeout,
            read_timeout=self._read_timeout,
            limits=self.limits,
        )
        try:
            return await session.connect()
        except Refused as refused:
            if account is not ANONYMOUS and refused.code in SIGN_IN and not is_full(refused):
                self.credential.refuse(f"{self.host} does not accept it: {refused}")
            raise

    def _account(self) -> Account:
        known = self.credential.account(self.host)
        if known is None:
            return ANONYMOUS
        if not self.secured and not loopback(self.host):
            raise ArchiveError(
                f"the password for {self.host} is not sent over plain FTP: set archive.ftp_security to explicit"
            )
        return Account(*known)

    def address(self, path: str) -> str:
        """Address of a file, given its path below the directory."""
        return f"{self.base}/{path}"

    def below(self, path: str) -> str:
        """Give the path of a file below the directory."""
        return path.removeprefix(self.directory.rstrip("/") + "/")

    def path(self, uri: str) -> str:
        """Path of a file on the server.

        Raises
        ------
        UnsafeAddress
            If it leads to another server, or out of the directory.
        """
        try:
            url = URL(uri)
            inside = (url.scheme, url.host, url.port) == (self.base.scheme, self.host, self.base.port)
            path = url.path
        except ValueError:
            inside, path = False, ""
        directory = self.directory.rstrip("/")
        parts = path.removeprefix(directory + "/").split("/")
        if not inside or not path.startswith(directory + "/") or ".." in parts or any(ord(c) < 32 for c in path):
            raise UnsafeAddress(uri[:300], allowed=(f"{self.host}:{self.port}{directory}/",))
        return path


@contextlib.contextmanager
def heard(address: str) -> Iterator[None]:
    """Turn failures of a session into errors of an archive."""
    try:
        yield
    except Refused as refused:
        if refused.code == 421 or (refused.code == 530 and is_full(refused)):
            raise ArchiveSilent(address, str(refused)) from refused
        raise ListingRefused(address, str(refused)) from refused
    except TimeoutError as problem:
        raise ArchiveSilent(address, "no answer in time") from problem
    except OSError as problem:
        raise ArchiveSilent(address, trouble(problem)) from problem


def is_full(refused: Refused) -> bool:
    """Whether a refusal to sign in means that there are too many of us."""
    return any(word in refused.text.lower() for word in FULL)


def is_denied(refused: Refused) -> bool:
    """Whether the file is there, and not for us."""
    return any(word in refused.text.lower() for word in DENIED)


def trouble(problem: OSError) -> str:
    """Say what is wrong with a connection."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {problem.verify_message}; archive.authority names whom to trust"
    return f"the connection failed: {problem.strerror or problem or type(problem).__name__}"


def failure(refused: Refused, name: str, host: str) -> FetchError:
    """Return the error of a fetch that a reply stands for."""
    why = str(refused)
    if refused.code == 421 or (refused.code in SIGN_IN and is_full(refused)):
        return Busy(name, host, why, retry_after=None)
    if refused.code in SIGN_IN:
        return NotSignedIn(name, host, why)
    if refused.code in ABSENT:
        return (NotAllowed if is_denied(refused) else NotStored)(name, host, why)
    return Unreachable(name, host, why)
