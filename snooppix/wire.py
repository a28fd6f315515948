"""One HTTP session towards the archive: time-outs, allowed hosts, redirects, credential."""

import contextlib
import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from yarl import URL

from snooppix.credentials import Credential, credential_of
from snooppix.errors import ArchiveError, ArchiveSilent, NotAdmitted, UnsafeAddress
from terapix.clock import SystemClock
from terapix.journal import logger
from terapix.sections import ArchiveSection, SnooppixSection

log = logger("wire")

REDIRECTS: Final = {301, 302, 303, 307, 308}
MOST_REDIRECTS: Final = 5
LOG_IN: Final = "ivo://ivoa.net/sso#tls-with-password"
"""Standard identity of a service that gives a cookie for name and password."""
READ_BUFFER: Final = 4 * 1024**2
"""Bytes. With aiohttp's own 64 kB a 400 MB file takes 1.3 s on loopback, with this 0.7 s: bench_download.py."""
LONGEST_REST: Final = 7 * 86_400.0
"""Seconds that a server can keep us away with one answer; a number without end would be no moment at all."""
SERVICES: Final = 4
"""Connections beside those of downloads, so that a listing never waits for one of them to end."""
LONGEST_ANSWER: Final = 16 * 1024**2
"""Bytes of an answer that is read as a whole: registry, capabilities, locations, headers of one frame."""


class Hosts:
    """The hosts that may be asked: that of the address or registry (same port), and those that the settings name."""

    def __init__(self, registry: str, more: tuple[str, ...] = ()) -> None:
        self.registry = URL(registry)
        self.more = tuple(host.lower() for host in more)

    def check(self, address: str | URL) -> URL:
        """Return the address as a URL.

        Raises
        ------
        UnsafeAddress
            If it is no HTTP address, leads to another host, or leaves HTTPS.
        """
        try:
            url = URL(address)
            allowed = _origin(url) == _origin(self.registry) or self._named(url)
        except ValueError:
            allowed, url = False, URL()
        if not allowed:
            raise UnsafeAddress(str(address)[:300], allowed=(self.registry.authority, *self.more))
        return url

    def usable(self, addresses: Sequence[str]) -> list[str]:
        """Give those of some addresses of a file that may be asked, each once.

        Raises
        ------
        UnsafeAddress
            If there are some, and none of them may.
        """
        found = []
        for address in addresses:
            try:
                found.append(str(self.check(address)))
            except UnsafeAddress as problem:
                log.warning("mirror passed over", address=address[:200], why=str(problem))
        if addresses and not found:
            raise UnsafeAddress(addresses[0][:300], allowed=(self.registry.authority, *self.more))
        return list(dict.fromkeys(found))

    def _named(self, url: URL) -> bool:
        if (
            url.user
            or (url.scheme != "https" and self.registry.scheme == "https")
            or url.scheme not in {"http", "https"}
        ):
            return False
        host = (url.host or "").lower()
        return any(
            host.endswith(entry) or host == entry[1:]
            if entry.startswith(".")
            else entry in {host, f"{host}:{url.port}"}
            for entry in self.more
        )


def _following(url: URL, target: str) -> URL:
    """Where a redirect leads from an address; to nowhere if that is no address."""
    with contextlib.suppress(ValueError):
        return url.join(URL(target))
    return URL()


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port


def retry_after(response: ClientResponse) -> float | None:
    """Seconds that the server asks us to wait, by number or date, a week at most; none if it does not say."""
    asked = seconds_of(response.headers.get("Retry-After", ""), response.headers.get("Date", ""))
    return min(asked, LONGEST_REST) if asked is not None else None


def seconds_of(text: str, said: str) -> float | None:
    """Read a Retry-After; a date counts from that of the answer, whose clock may be wrong as both are."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        until = parsedate_to_datetime(text)
        now = parsedate_to_datetime(said) if said else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    return None


def trouble(response: ClientResponse, address: str) -> ArchiveError:
    """Return the error that a service's answer with another status than 200 stands for."""
    if response.status in {401, 403}:
        return NotAdmitted(address, response.status)
    why, waits = f"status {response.status}", retry_after(response)
    return ArchiveSilent(address, why, retry_after=waits, status=response.status)


class Wire:
    """Requests to the archive."""

    def __init__(self, archive: ArchiveSection, snooppix: SnooppixSection) -> None:
        self.hosts = Hosts(archive.address if archive.address.startswith("http") else archive.registry, archive.hosts)
        self.proxy = archive.proxy or None
        """Through which all requests go; none: straight."""
        self._login = archive.login
        self._registry = archive.registry
        self.credential = credential_of(archive, login=self._where_to_log_in)
        self._timeout = ClientTimeout(
            total=None, sock_connect=snooppix.connect_timeout, sock_read=snooppix.read_timeout
        )
        self._connections = snooppix.downloads * snooppix.segments + SERVICES
        self._session: ClientSession | None = None
        self._ends = contextlib.AsyncExitStack()

    def at_end(self, end: Callable[[], Awaitable[None]]) -> None:
        """Have something else that reaches the archive end with this."""
        self._ends.push_async_callback(end)

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            timeout=self._timeout,
            connector=TCPConnector(limit=self._connections),
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            read_bufsize=READ_BUFFER,
            headers={"Accept-Encoding": "identity", "User-Agent": "TERAPIX-snooppix"},
        )
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self._ends.aclose()
        if self._session:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def ask(
        self,
        method: str,
        address: str | URL,
        *,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, str] | bytes | AsyncIterator[bytes] | None = None,
        pauses: bool = True,
    ) -> AsyncIterator[ClientResponse]:
        """Send one request and follow redirects, each only to an allowed host.

        The credential goes to the host that was asked for, not to where redirects lead; a certificate is shown there
        too. A 401 has it renewed once; where that changes nothing it is paused, and the same is asked without it.
        Not so (`pauses`) for a file: its address may carry a leave of its own, which ran out.

        Raises
        ------
        UnsafeAddress
            For a host that is not allowed.
        ArchiveError
            If the credential cannot be read, or the login service does not answer.
        aiohttp.ClientError, TimeoutError
            As the connection fails.
        """
        assert self._session is not None, "the wire is used inside its context"
        url = self.hosts.check(address)
        sent, known, renewed = dict(headers or {}), self.credential, False
        signed = await known.headers(url, session=self._session, **self._way())
        hops = 0
        while hops <= MOST_REDIRECTS:
            shown = bool(signed) or (known.silent and url.scheme == "https" and not known.paused)
            async with self._session.request(
                method, url, headers={**sent, **signed}, data=data, allow_redirects=False, **self._way()
            ) as response:
                target = response.headers.get("Location")
                again = False
                if response.status == 401 and shown:
                    fresh = not renewed and await known.refresh()
                    if not fresh and pauses and not known.paused:
                        known.refuse(f"{url.host} does not accept it (status 401)")
                    renewed = True
                    again = (fresh or pauses) and not isinstance(data, AsyncIterator)  # what was sent is gone
                if not again and (response.status not in REDIRECTS or target is None):
                    yield response
                    return
            if again:
                signed = await known.headers(url, session=self._session, **self._way())
                continue
            hops += 1
            following = self.hosts.check(_following(url, target or ""))
            if response.status == 303 or (response.status in {301, 302} and method == "POST"):
                method, data = "GET", None
            if _origin(following) != _origin(url):
                signed = {}
            url = following
        raise ArchiveSilent(str(url), f"more than {MOST_REDIRECTS} redirects")

    def _way(self) -> dict[str, Any]:
        """How a request goes: whom TLS trusts and what it shows of us, and through which proxy."""
        return {"ssl": self.credential.context, "proxy": self.proxy}

    async def _where_to_log_in(self) -> URL:
        """Give the address that takes name and password: the one of the settings, or what the registry says."""
        if self._login.startswith(("http://", "https://")):
            return URL(self._login)
        from snooppix.tap import Services  # noqa: PLC0415 - services are looked up over a wire, as this one is

        anonymous = copy.copy(self)
        anonymous.credential = Credential(authority=self.credential.authority)
        services = Services(anonymous, self._registry, clock=SystemClock())
        return URL(await services.address(self._login, LOG_IN, "login"))

    async def text(
        self,
        method: str,
        address: str | URL,
        *,
        headers: Mapping[str, str] | None = None,
        data: Mapping[str, str] | bytes | None = None,
    ) -> str:
        """Return the body of a short answer with status 200.

        Raises
        ------
        NotAdmitted
            For 401 and 403.
        ArchiveSilent
            For any other status, for a body beyond `LONGEST_ANSWER`, or if there is no answer.
        """
        async with heard(str(address)), self.ask(method, address, headers=headers, data=data) as response:
            if response.status != 200:
                raise trouble(response, str(address))
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    raise ArchiveSilent(str(address), f"an answer of more than {LONGEST_ANSWER} bytes")
            return body.decode("utf-8", errors="replace")


def in_words(problem: ClientError | OSError) -> str:
    """Say what is wrong with a connection, without what aiohttp shows of its own objects."""
    if isinstance(problem, ClientConnectorCertificateError):
        return f"its certificate is not trusted: {problem.certificate_error}"
    if isinstance(problem, ClientConnectorError):
        why = problem.os_error.strerror or str(problem.os_error)
        return f"{problem.host}:{problem.port} takes no connection ({why})"
    return str(problem) or type(problem).__name__


@contextlib.asynccontextmanager
async def heard(address: str) -> AsyncIterator[None]:
    """Turn failures of a connection into `ArchiveSilent`."""
    try:
        yield
    except TimeoutError as problem:
        raise ArchiveSilent(address, "no answer in time") from problem
    except (ClientError, OSError) as problem:
        raise ArchiveSilent(address, in_words(problem)) from problem
