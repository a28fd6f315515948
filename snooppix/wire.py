"""One HTTP session towards the archive: time-outs, allowed hosts, redirects, credential."""

import contextlib
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Self

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector
from yarl import URL

from snooppix.errors import ArchiveError, ArchiveSilent, UnsafeAddress
from terapix.journal import logger
from terapix.sections import ArchiveSection, SnooppixSection

log = logger("wire")

REDIRECTS: Final = {301, 302, 303, 307, 308}
MOST_REDIRECTS: Final = 5
READ_BUFFER: Final = 4 * 1024**2
"""Bytes. With aiohttp's own 64 kB a 400 MB file takes 1.3 s on loopback, with this 0.7 s: bench_download.py."""
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


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port


def bearer(path: Path) -> str:
    """Read a bearer token; the file must be readable by its owner only."""
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ArchiveError(f"{path} can be read by others: chmod 600 {path}")
    return path.read_text().strip()


def retry_after(response: ClientResponse) -> float | None:
    """Seconds that the server asks us to wait, given as a number or as a date; none if it does not say."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    with contextlib.suppress(ValueError, TypeError):
        until = parsedate_to_datetime(text)
        said = response.headers.get("Date", "")
        now = parsedate_to_datetime(said) if said else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    return None


class Wire:
    """Requests to the archive."""

    def __init__(self, archive: ArchiveSection, snooppix: SnooppixSection) -> None:
        self.hosts = Hosts(archive.address if archive.address.startswith("http") else archive.registry, archive.hosts)
        self._credential = archive.credential
        self._timeout = ClientTimeout(
            total=None, sock_connect=snooppix.connect_timeout, sock_read=snooppix.read_timeout
        )
        self._connections = snooppix.downloads + 4
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            timeout=self._timeout,
            connector=TCPConnector(limit=self._connections),
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
            headers={"Accept-Encoding": "identity", "User-Agent": "TERAPIX-snooppix"},
        )
        return self

    async def __aexit__(self, *problem: object) -> None:
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
    ) -> AsyncIterator[ClientResponse]:
        """Send one request and follow redirects, each only to an allowed host.

        Raises
        ------
        UnsafeAddress
            For a host that is not allowed.
        aiohttp.ClientError, TimeoutError
            As the connection fails.
        """
        assert self._session is not None, "the wire is used inside its context"
        url = self.hosts.check(address)
        sent = dict(headers or {})
        if self._credential is not None:
            sent["Authorization"] = f"Bearer {bearer(self._credential)}"
        for _ in range(MOST_REDIRECTS + 1):
            async with self._session.request(method, url, headers=sent, data=data, allow_redirects=False) as response:
                target = response.headers.get("Location")
                if response.status not in REDIRECTS or target is None:
                    yield response
                    return
            following = self.hosts.check(url.join(URL(target)))
            if response.status == 303 or (response.status in {301, 302} and method == "POST"):
                method, data = "GET", None
            if _origin(following) != _origin(url):
                sent.pop("Authorization", None)
            url = following
        raise ArchiveSilent(str(url), f"more than {MOST_REDIRECTS} redirects")

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
        ArchiveSilent
            For any other status, for a body beyond `LONGEST_ANSWER`, or if there is no answer.
        """
        async with heard(str(address)), self.ask(method, address, headers=headers, data=data) as response:
            if response.status != 200:
                raise ArchiveSilent(str(address), f"status {response.status}", retry_after=retry_after(response))
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LONGEST_ANSWER:
                    raise ArchiveSilent(str(address), f"an answer of more than {LONGEST_ANSWER} bytes")
            return body.decode("utf-8", errors="replace")


@contextlib.asynccontextmanager
async def heard(address: str) -> AsyncIterator[None]:
    """Turn failures of a connection into `ArchiveSilent`."""
    try:
        yield
    except TimeoutError as problem:
        raise ArchiveSilent(address, "no answer in time") from problem
    except (ClientError, OSError) as problem:
        raise ArchiveSilent(address, str(problem) or type(problem).__name__) from problem
