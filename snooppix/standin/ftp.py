"""The FTP twin of the stand-in: the same directory over FTP or explicit FTPS, with faults of its own protocol.

aioftp's server does the ordinary things. What an archive's server has beside
(SIZE, MDTM, FEAT, AUTH TLS) and what goes wrong on order stands here.
"""

import asyncio
import contextlib
import logging
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

import aioftp
from aioftp.common import Connection

from snooppix.standin.faults import Faults
from snooppix.standin.kinds import Busy, Dropped, Flipped, Listed, Missing, Refused, Short, Slow, Stalled

BLOCK: Final = 256 * 1024
"""Bytes that are sent at once."""
SERVICE: Final = "ftp"
"""What faults call it, as `at`."""
GRACE: Final = 2.0
"""Seconds that conversations under way are given when it ends."""
ARRIVAL: Final = 10.0
"""Seconds within which a client has to make its data connection."""


class FtpTwin(aioftp.Server):
    """An FTP server over a directory that nobody can write to."""

    def __init__(
        self,
        directory: Path,
        *,
        faults: Faults | None = None,
        tls: ssl.SSLContext | None = None,
        accounts: Mapping[str, str] | None = None,
        machine: bool = True,
        extended: bool = True,
        pasv_address: str | None = None,
    ) -> None:
        """Prepare a server.

        Parameters
        ----------
        directory : what it offers
        faults : what goes wrong; counted down as it does
        tls : certificate to show; with it AUTH TLS is demanded before anybody signs in
        accounts : passwords by name; none: anybody may read
        machine : whether it knows MLSD, or LIST alone
        extended : whether it knows EPSV, or PASV alone
        pasv_address : what PASV tells in place of its own address, as behind a router
        """
        reading = [aioftp.Permission("/", readable=True, writable=False)]
        names = accounts if accounts is not None else {None: None}
        users = [aioftp.User(name, word, base_path=directory, permissions=reading) for name, word in names.items()]
        super().__init__(users, ipv4_pasv_forced_response_address=pasv_address, wait_future_timeout=ARRIVAL)
        self.faults = faults if faults is not None else Faults()
        self.directory = directory
        self.tls = tls
        self.machine = machine
        self.closing = asyncio.Event()
        """Set when it ends, so that stalled transfers end too."""
        self.url: str | None = None
        """What `archive.address` must say, once started."""
        more: dict[str, Callable[[Connection, Any], Awaitable[bool]]] = {
            "auth": self.auth,
            "feat": self.feat,
            "mdtm": self.mdtm,
            "size": self.size,
        }
        self.commands_mapping |= more
        for missing in (() if machine else ("mlsd", "mlst")) + (() if extended else ("epsv",)):
            del self.commands_mapping[missing]

    async def begin(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; return the address."""
        logging.getLogger("aioftp").setLevel(logging.CRITICAL)  # a client that hangs up is no error of ours
        await self.start(host, port)
        shown = "localhost" if self.tls and host == "127.0.0.1" else host
        self.url = f"ftp://{shown}:{self.server.sockets[0].getsockname()[1]}"
        return self.url

    async def end(self) -> None:
        """Stop listening; transfers under way are cut."""
        self.closing.set()
        self.server.close()
        under_way = list(self.connections.values())
        for connection in under_way:
            _cut(connection)
        if under_way:
            await asyncio.wait([connection._dispatcher for connection in under_way], timeout=GRACE)  # noqa: SLF001
        await self.server.wait_closed()

    async def __aenter__(self) -> Self:
        if self.url is None:
            await self.begin()
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.end()

    async def greeting(self, connection: Connection, rest: str | PurePosixPath) -> bool:
        if self.faults.take(Refused, "", at=SERVICE):
            _cut(connection)
            return False
        if self.faults.take(Busy, "", at=SERVICE):
            connection.response("421", "too many users, try later")
            return False
        return await super().greeting(connection, rest)

    async def auth(self, connection: Connection, rest: str) -> bool:
        """AUTH TLS: the 234 is the last line that is not secured."""
        if self.tls is None or rest.upper() != "TLS":
            connection.response("504", "no such security here")
            return True
        stream = connection.command_connection
        stream.writer.write(b"234 begin\r\n")
        with contextlib.suppress(OSError):  # a client that does not trust us has gone
            await stream.start_tls(self.tls, None)
            connection.secured = True
            return True
        return False

    async def user(self, connection: Connection, rest: str) -> bool:
        if self.tls is not None and not connection.future.secured.done():
            connection.response("530", "use AUTH TLS first")
            return True
        return await super().user(connection, rest)

    async def pbsz(self, connection: Connection, rest: str | PurePosixPath) -> bool:
        del rest
        connection.response("200", "PBSZ=0")
        return True

    async def prot(self, connection: Connection, rest: str | PurePosixPath) -> bool:
        connection.private = rest == "P"
        connection.response("200", "so be it")
        return True

    async def feat(self, connection: Connection, rest: str) -> bool:
        """Tell what else it knows."""
        del rest
        known = ["MDTM", "SIZE", "REST STREAM", "TVFS"]
        known += ["MLST type*;size*;modify*;"] if self.machine else []
        known += ["AUTH TLS", "PBSZ", "PROT"] if self.tls else []
        connection.response("211", ["Features:", *known, "End"], True)
        return True

    async def size(self, connection: Connection, rest: str) -> bool:
        """SIZE: bytes of a file."""
        found = self._file(connection, rest)
        if found is not None:
            connection.response("213", str(self._length(found)))
        return True

    async def mdtm(self, connection: Connection, rest: str) -> bool:
        """MDTM: when a file was changed, in UTC."""
        found = self._file(connection, rest)
        if found is not None:
            connection.response("213", time.strftime("%Y%m%d%H%M%S", time.gmtime(found.stat().st_mtime)))
        return True

    async def build_mlsx_string(self, connection: Connection, path: Path) -> str:
        line = await super().build_mlsx_string(connection, path)
        facts, _, name = line.partition(" ")
        kept = [f"Size={self._length(path)}" if fact.startswith("Size=") else fact for fact in facts.split(";")]
        return f"{';'.join(kept)} {name}"

    async def retr(self, connection: Connection, rest: str | PurePosixPath) -> bool:
        found = self._file(connection, rest)
        if found is None:
            return True
        if not connection.future.passive_server.done():
            connection.response("425", "use EPSV or PASV first")
            return True
        connection.response("150", "here it comes")
        connection.extra_workers.add(asyncio.create_task(self._send(connection, found, connection.restart_offset)))
        return True

    async def _send(self, connection: Connection, path: Path, offset: int) -> bool:
        """Send a file from `offset` on, with whatever is to go wrong; False if the control connection ends with it."""
        stream = await asyncio.wait_for(asyncio.shield(connection["data_connection"]), ARRIVAL)
        del connection.data_connection
        name = path.name
        dropped, stalled = self.faults.take(Dropped, name), self.faults.take(Stalled, name, at=SERVICE)
        short, slow = self.faults.take(Short, name), self.faults.take(Slow, name)
        flipped = self.faults.take(Flipped, name)
        count = max(0, _size(path) - offset - (short.missing if short else 0))
        for fault in (dropped, stalled):
            if fault is not None:
                count = min(count, fault.after) if fault.after >= 0 else max(0, count + fault.after)
        try:
            await self._blocks(stream, path, offset, count, flip=flipped.byte if flipped else None, slow=slow)
            if stalled is not None:
                await self.closing.wait()
        except OSError:  # the client has enough
            connection.response("426", "the data connection is gone")
            return True
        finally:
            stream.close()
        if dropped is not None or stalled is not None:
            _cut(connection)
            return False
        connection.response("226", "that was all")
        return True

    async def _blocks(
        self, stream: Any, path: Path, offset: int, count: int, *, flip: int | None, slow: Slow | None
    ) -> None:
        with path.open("rb") as source:
            source.seek(offset)
            place, end = offset, offset + count
            size = min(BLOCK, max(1, slow.rate // 10)) if slow else BLOCK
            while place < end and (block := source.read(min(size, end - place))):
                if flip is not None and place <= flip < place + len(block):
                    changed = bytearray(block)
                    changed[flip - place] ^= 0xFF
                    block = bytes(changed)
                await stream.write(block)
                place += len(block)
                if slow:
                    await asyncio.sleep(len(block) / slow.rate)

    async def _start_passive_server(
        self, connection: Connection, handler_callback: Callable[..., Awaitable[None]]
    ) -> asyncio.Server:
        private = connection.future.private.done() and connection.private
        return await asyncio.start_server(
            handler_callback, connection.server_host, 0, ssl=self.tls if private else None
        )

    def _file(self, connection: Connection, rest: str | PurePosixPath) -> Path | None:
        """Find a file that a caller may read; none after it was told why not."""
        if not connection.future.logged.done():
            connection.response("530", "sign in first")
            return None
        path, _ = self.get_paths(connection, rest)
        if not os.path.isfile(path) or self.faults.take(Missing, path.name):  # noqa: PTH113 - beside stat below
            connection.response("550", "no such file")
            return None
        return path

    def _length(self, path: Path) -> int:
        fault = self.faults.peek(Listed, path.name)
        return fault.length if fault and fault.length >= 0 else _size(path)


def _cut(connection: Connection) -> None:
    connection.command_connection.writer.transport.abort()


def _size(path: Path) -> int:
    return path.stat().st_size
