"""One control connection to an FTP server, plain or secured by AUTH TLS, and the data connections beside it.

aioftp speaks on the control connection. Data connections are ours, for three
reasons: several servers (vsftpd among them) begin TLS on a data connection only
after they were told what to send on it; the address that PASV gives is not
followed, since behind NAT it is wrong and from a hostile server it is a third
party's; and its buffer is larger.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from aioftp import Client, SSLSessionBoundContext, StatusCodeError
from aioftp.errors import AIOFTPException

from terapix.errors import TerapixError

BUFFER: Final = 4 * 1024**2
"""Bytes of a data connection that may wait to be read."""
LONGEST_LISTING: Final = 64 * 1024**2
"""Bytes of the listing of one directory; a line of 80 bytes a file makes that 800,000 files."""
IDLE: Final = 60
"""Seconds after which the kernel asks whether the other side of an idle control connection is still there."""
NOT_DONE: Final = "5"
"""First digit of a reply that says: never."""


class Refused(TerapixError):
    """The server answers with a code that says no."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"the server answers {code} {text}".strip())
        self.code = code
        self.text = text


@dataclass(frozen=True, slots=True)
class Account:
    """Who signs in."""

    name: str = "anonymous"
    password: str = "terapix@"  # noqa: S105 - what anonymous FTP asks for is an address, no secret

    def __repr__(self) -> str:
        return f"Account({self.name!r})"


ANONYMOUS: Final = Account()


class Data:
    """Bytes that come over one data connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, timeout: float) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout = timeout

    async def read(self, most: int = BUFFER) -> bytes:
        """Return what has come; empty at the end.

        Raises
        ------
        TimeoutError
            If nothing comes in time.
        OSError
            If the connection fails.
        """
        async with asyncio.timeout(self._timeout):
            return await self._reader.read(most)

    def close(self) -> None:
        self._writer.close()


class Session:
    """A control connection on which we are signed in; used by one task at a time."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        account: Account = ANONYMOUS,
        trust: ssl.SSLContext | None = None,
        connect_timeout: float,
        read_timeout: float,
    ) -> None:
        self.host = host
        self.port = port
        self.account = account
        self.features: frozenset[str] = frozenset()
        """What FEAT tells, in capitals: MLST, MDTM, SIZE, EPSV …"""
        self._trust = trust
        """Whom to believe; none: the connection is not secured."""
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._client = Client(socket_timeout=read_timeout, connection_timeout=connect_timeout, encoding="utf-8")
        self._extended = True
        """EPSV is tried first, until the server does not know it."""

    async def connect(self) -> Self:
        """Connect and sign in.

        Raises
        ------
        Refused
            If the server does not want us.
        OSError, TimeoutError
            As the connection fails.
        """
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._sign_in()
        except BaseException:
            self.close()
            raise
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Take leave without waiting for an answer."""
        with contextlib.suppress(Exception):
            self._client.stream.writer.write(b"QUIT\r\n")
        self._client.close()

    async def _sign_in(self) -> None:
        with _answers():
            await self._client.connect(self.host, self.port)
            _keep_alive(self._transport.get_extra_info("socket"))
            if self._trust is not None:
                await self._client.upgrade_to_tls(self._trust)
            await self._client.login(self.account.name, self.account.password)
            code, lines = await self._client.command("FEAT", ("211", "5xx"))
            if code == "211":
                self.features = frozenset(line.split()[0].upper() for line in lines[1:-1] if line.strip())
            await self._client.command("TYPE I", "200")

    async def command(self, text: str, *expected: str) -> str:
        """Send a command and return the text of the reply.

        Raises
        ------
        Refused
            For a reply that is not expected.
        """
        with _answers():
            _, lines = await self._client.command(text, expected or ("2xx",))
        return lines[-1].strip()

    async def size(self, path: str) -> int | None:
        """Bytes of a file; none if the server cannot tell."""
        try:
            text = await self.command(f"SIZE {path}", "213")
        except Refused as refused:
            if refused.code in {500, 502, 504}:
                return None
            raise
        return int(text) if text.isdigit() else None

    async def modified(self, path: str) -> datetime | None:
        """When a file was last changed, in UTC; none if the server cannot tell."""
        try:
            return stamp(await self.command(f"MDTM {path}", "213"))
        except Refused as refused:
            if refused.code in {500, 502, 504, 550}:
                return None
            raise

    async def directory(self, path: str) -> tuple[bool, list[str]]:
        """Return the lines of a directory's listing, and True beside them if they are MLSD's.

        Raises
        ------
        Refused
            If it is no directory, or none that we may read.
        """
        machine = "MLST" in self.features or "MLSD" in self.features
        raw = bytearray()
        data = await self.begin(f"{'MLSD' if machine else 'LIST'} {path}")
        try:
            while chunk := await data.read():
                raw += chunk
                if len(raw) > LONGEST_LISTING:
                    raise Refused(0, f"with a listing of more than {LONGEST_LISTING} bytes")
        finally:
            data.close()
        await self.settled()
        return machine, [line for line in raw.decode("utf-8", errors="replace").splitlines() if line.strip()]

    async def begin(self, command: str, *, offset: int = 0) -> Data:
        """Have the server send something, from `offset` on; its end is told by `settled`.

        Raises
        ------
        Refused
            If the server will not.
        """
        plain = await self._connect_data()
        try:
            if offset:
                await self.command(f"REST {offset}", "350")
            await self.command(command, "1xx")
            return await self._secure(plain)
        except BaseException:
            plain.close()
            raise

    async def settled(self, *expected: str) -> None:
        """Wait for the reply that ends a transfer.

        Raises
        ------
        Refused
            If something went wrong in the middle.
        """
        with _answers():
            await self._client.command(None, expected or ("2xx",))

    async def begin_of(self, path: str, *, offset: int = 0, size: int) -> bytes:
        """Read `size` bytes of a file from `offset` on, fewer at its end; the rest is declined."""
        come = bytearray()
        data = await self.begin(f"RETR {path}", offset=offset)
        try:
            while len(come) < size and (chunk := await data.read(size - len(come))):
                come += chunk
        finally:
            data.close()
        await self.settled("2xx", "4xx", "5xx")  # 426 or 451 for what we did not want to hear to its end
        return bytes(come)

    async def _connect_data(self) -> socket.socket:
        """Connect to where the server listens for us: always the host of the control connection."""
        port = await self._passive_port()
        peer = self._transport.get_extra_info("peername")
        plain = socket.socket(socket.AF_INET6 if ":" in peer[0] else socket.AF_INET, socket.SOCK_STREAM)
        plain.setblocking(False)
        try:
            async with asyncio.timeout(self._connect_timeout):
                await asyncio.get_running_loop().sock_connect(plain, (peer[0], port))
        except BaseException:
            plain.close()
            raise
        return plain

    async def _passive_port(self) -> int:
        if self._extended:
            try:
                text = await self.command("EPSV", "229")
            except Refused as refused:
                if not str(refused.code).startswith(NOT_DONE):
                    raise
                self._extended = False
            else:
                found = re.search(r"\((.)\1\1(\d{1,5})\1\)", text)
                if found is None:
                    raise Refused(229, f"without a port: {text[:80]}")
                return int(found[2])
        text = await self.command("PASV", "227")
        numbers = re.search(r"(\d{1,3},){4}(\d{1,3}),(\d{1,3})", text)
        if numbers is None:
            raise Refused(227, f"without a port: {text[:80]}")
        return (int(numbers[2]) << 8) + int(numbers[3])

    async def _secure(self, plain: socket.socket) -> Data:
        """Make a stream of a connected socket, secured as the control connection is and within its TLS session."""
        context: Any = None
        if self._trust is not None:
            secured = self._transport.get_extra_info("ssl_object")
            context = SSLSessionBoundContext(ssl.PROTOCOL_TLS_CLIENT, context=self._trust, session=secured.session)
        async with asyncio.timeout(self._connect_timeout):
            reader, writer = await asyncio.open_connection(
                sock=plain, ssl=context, server_hostname=self.host if context else None, limit=BUFFER
            )
        return Data(reader, writer, timeout=self._read_timeout)

    @property
    def _transport(self) -> asyncio.WriteTransport:
        return self._client.stream.writer.transport


def stamp(text: str) -> datetime | None:
    """Read a time as FTP writes it, 20080330061539 with or without a fraction, in UTC; none if it is none."""
    found = re.fullmatch(r"(\d{14})(\.\d{1,9})?", text.strip())
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


@contextlib.contextmanager
def _answers() -> Iterator[None]:
    """Turn aioftp's errors into ours."""
    try:
        yield
    except StatusCodeError as problem:
        code = str(problem.received_codes[-1])
        text = " ".join(line.strip() for line in problem.info)[:200]
        raise Refused(int(code) if code.isdigit() else 0, text) from problem
    except OSError:  # of which an untrusted certificate is one, and a ValueError too
        raise
    except (AIOFTPException, ValueError, IndexError) as problem:
        raise Refused(0, f"with what is no reply: {problem}"[:200]) from problem


def _keep_alive(control: socket.socket | None) -> None:
    """Keep routers from forgetting the control connection while a long file comes over another."""
    if control is not None:
        control.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        control.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
        control.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, IDLE)
