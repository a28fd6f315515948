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
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from aioftp import SSLSessionBoundContext

from snooppix.bandwidth import Limits
from snooppix.ftp.control import UNKNOWN, Control, NoRest, Refused, answers, facts_of, is_number, stamp
from snooppix.ftp.data import Data, PlainData, SecuredData, buffer_of

LONGEST_LISTING: Final = 64 * 1024**2
"""Bytes of the listing of one directory; a line of 80 bytes a file makes that 800,000 files."""
IDLE: Final = 60
"""Seconds after which the kernel asks whether the other side of an idle control connection is still there."""
LEAVE: Final = 2.0
"""Seconds that a server is given to end a connection of which we took leave."""
NOT_DONE: Final = "5"
"""First digit of a reply that says: never."""
ABSENT: Final = 550
"""Reply that there is no such file, or none that we may see."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who signs in."""

    name: str = "anonymous"
    password: str = "terapix@"  # noqa: S105 - what anonymous FTP asks for is an address, no secret

    def __repr__(self) -> str:
        return f"Account({self.name!r})"


ANONYMOUS: Final = Account()


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
        limits: Limits,
    ) -> None:
        self.host = host
        self.port = port
        self.account = account
        self.limits = limits
        self.features: frozenset[str] = frozenset()
        """What FEAT tells, in capitals: MLST, MDTM, SIZE, EPSV …"""
        self._trust = trust
        """Whom to believe; none: the connection is not secured."""
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._client = Control(socket_timeout=read_timeout, connection_timeout=connect_timeout, encoding="utf-8")
        self._extended = True
        """EPSV is tried first, until the server does not know it."""
        self._taken = False
        """Leave was taken."""
        self._lists_for_people = False
        """MLSD was promised, and is not known."""

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

    async def answers(self) -> bool:
        """Whether the server still talks to us, and of nothing else; TYPE is known to every one, NOOP is not."""
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self.command("TYPE I", "200")
        except (Refused, OSError, TimeoutError):
            return False
        except BaseException:
            self.close()
            raise
        return True

    async def leave(self) -> None:
        """Take leave, and wait until the server has ended the connection too, or it would count the next as another."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LEAVE):
                self._taken = True
                await self._client.stream.write(b"QUIT\r\n")
                while await self._client.stream.readline():
                    pass

    def close(self) -> None:
        """Hang up; leave is taken without waiting for an answer if it was not taken yet."""
        with contextlib.suppress(Exception):
            if not self._taken:
                self._client.stream.writer.write(b"QUIT\r\n")
        self._client.close()

    async def _sign_in(self) -> None:
        with answers():
            await self._client.connect(self.host, self.port)
            _keep_alive(self._transport.get_extra_info("socket"))
            if self._trust is not None:
                await self._client.secure(self._trust, self.host)
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
        with answers():
            _, lines = await self._client.command(text, expected or ("2xx",))
        return lines[-1].strip()

    async def size(self, path: str) -> int | None:
        """Bytes of a file; none if the server cannot tell.

        Raises
        ------
        Refused
            If there is no such file, or none that we may read.
        """
        try:
            text = await self.command(f"SIZE {path}", "213")
        except Refused as refused:
            if refused.code not in UNKNOWN:
                raise
            size = (await self._facts(path)).get("size", "")
            return int(size) if is_number(size) else None
        return int(text) if is_number(text) else None

    async def modified(self, path: str) -> datetime | None:
        """When a file was last changed, in UTC; none if the server cannot tell."""
        try:
            return stamp(await self.command(f"MDTM {path}", "213"))
        except Refused as refused:
            if refused.code in UNKNOWN:
                return stamp((await self._facts(path)).get("modify", ""))
            if refused.code == ABSENT:
                return None
            raise

    async def _facts(self, path: str) -> dict[str, str]:
        """Ask MLST about one file; nothing if the server does not know that either."""
        if not self.machine:
            return {}
        with answers():
            _, lines = await self._client.command(f"MLST {path}", "250")
        told = next((line for line in lines[1:-1] if "=" in line and ";" in line), "")
        return facts_of(told.strip())[0]

    @property
    def machine(self) -> bool:
        """Whether the server lists for machines, with MLSD and MLST."""
        return not self._lists_for_people and ("MLST" in self.features or "MLSD" in self.features)

    async def directory(self, path: str) -> tuple[bool, list[str]]:
        """Return the lines of a directory's listing, and True beside them if they are MLSD's.

        Bytes that are no UTF-8 are escaped: such a name is still told from others.

        Raises
        ------
        Refused
            If it is no directory, or none that we may read.
        """
        if self.machine:
            try:
                return True, await self._lines(f"MLSD {path}")
            except Refused as refused:
                if refused.code not in UNKNOWN:
                    raise
                self._lists_for_people = True  # it promises more than it does
        return False, await self._lines(f"LIST {path}")

    async def _lines(self, command: str) -> list[str]:
        raw = bytearray()
        data = await self.begin(command)
        try:
            while chunk := await data.read():
                raw += chunk
                if len(raw) > LONGEST_LISTING:
                    raise Refused(0, f"with a listing of more than {LONGEST_LISTING} bytes")
        finally:
            data.close()
        await self.settled()
        text = raw.decode("utf-8", errors="backslashreplace")
        lines = (line.removesuffix("\r") for line in text.split("\n"))  # not all that splitlines() would part
        return [line for line in lines if line.strip()]

    async def begin(self, command: str, *, offset: int = 0) -> Data:
        """Have the server send something, from `offset` on; its end is told by `settled`.

        Raises
        ------
        NoRest
            If the server begins at the beginning only.
        Refused
            If the server will not.
        """
        plain = await self._connect_data()
        try:
            if offset:
                await self._rest(offset)
            await self.command(command, "1xx")
            return await self._secure(plain)
        except BaseException:
            plain.close()
            raise

    async def _rest(self, offset: int) -> None:
        try:
            await self.command(f"REST {offset}", "350")
        except Refused as refused:
            if str(refused.code).startswith(NOT_DONE):
                raise NoRest(refused.code, refused.text) from refused
            raise

    async def settled(self, *expected: str) -> None:
        """Wait for the reply that ends a transfer.

        Raises
        ------
        Refused
            If something went wrong in the middle.
        """
        with answers():
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
                found = re.search(r"\((.)\1\1(\d{1,5})\1\)", text, re.ASCII)
                return _port(229, text, int(found[2]) if found else 0)
        text = await self.command("PASV", "227")
        found = re.search(r"(\d{1,3},){4}(\d{1,3}),(\d{1,3})", text, re.ASCII)
        return _port(227, text, (int(found[2]) << 8) + int(found[3]) if found else 0)

    async def _secure(self, plain: socket.socket) -> Data:
        """Read a connected socket, secured as the control connection is and within its TLS session."""
        about: dict[str, Any] = {"timeout": self._read_timeout, "limits": self.limits, "host": self.host}
        if self._trust is None:
            return PlainData(plain, **about)
        secured = self._transport.get_extra_info("ssl_object")
        context: Any = SSLSessionBoundContext(ssl.PROTOCOL_TLS_CLIENT, context=self._trust, session=secured.session)
        async with asyncio.timeout(self._connect_timeout):
            reader, writer = await asyncio.open_connection(
                sock=plain, ssl=context, server_hostname=self.host, limit=buffer_of(self.limits, self.host)
            )
        return SecuredData(reader, writer, **about)

    @property
    def _transport(self) -> asyncio.WriteTransport:
        return self._client.stream.writer.transport


def _port(code: int, text: str, port: int) -> int:
    if not 0 < port < 65536:
        raise Refused(code, f"without a port: {text[:80]}")
    return port


def _keep_alive(control: socket.socket | None) -> None:
    """Keep routers from forgetting the control connection while a long file comes over another."""
    if control is not None:
        control.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        control.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
        control.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, IDLE)
