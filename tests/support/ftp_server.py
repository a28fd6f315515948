"""An FTP server of a few lines that says and does what a test wants: old, odd or hostile."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

PIECE: Final = 256 * 1024
SWAPPED: Final = "20080330061539"
FEATURES: Final = ("SIZE", "MDTM", "REST STREAM", "MLST type*;size*;modify*;")

Comers = asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]


@dataclass(slots=True)
class OddServer:
    """What it has and how it behaves; a test may change all of it while it runs."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Contents by path."""
    times: dict[str, str] = field(default_factory=dict)
    """What MDTM says by path, as 20080330061539; else `time`."""
    time: str = "20010909014640"
    listings: dict[str, bytes] = field(default_factory=dict)
    """What LIST and MLSD send, by directory."""
    features: tuple[str, ...] = FEATURES
    refuses: dict[str, str] = field(default_factory=dict)
    """Replies to commands that it does not carry out, as {"REST": "502 not here"}."""
    ignores_rest: bool = False
    """It says 350 and begins at the beginning all the same."""
    passive: str = "227 here (127,0,0,1,{high},{low})"
    extended: str = "229 here (|||{port}|)"
    welcome: str = "220 welcome"
    pause: float = 0.0
    """Seconds between two pieces of 256 kB on each connection."""
    shared: bool = False
    """The pause is shared by all connections: more of them bring nothing."""
    goes_after: int = -1
    """Bytes of a file after which it ends the control connection; the data connection goes on to the end."""
    cuts: list[int] = field(default_factory=list)
    """Bytes of a file after which the next connections are cut, each once."""
    ends: str = "226 that was all"
    """What it says behind what it sent; empty: it hangs up."""
    swaps: tuple[int, bytes] | None = None
    """Bytes of a file after which it is replaced by another, once; its time is `SWAPPED` then."""
    most: int = 0
    """Sessions at the same time; one more is told 421."""
    lingers: float = 0.0
    """Seconds that it takes to end a session of which leave was taken."""
    tls: ssl.SSLContext | None = None
    data_tls: ssl.SSLContext | None = None
    """What secures data, where it is another certificate than that of the control connection."""
    clear_data: bool = False
    """Data is not secured although that was asked for."""
    slips: bytes = b""
    """What is sent in the clear behind the leave to begin TLS."""
    commands: list[str] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    given: int = 0
    """Bytes of files that were sent."""
    host: str = "127.0.0.1"
    address: str = ""
    _line: asyncio.Lock = field(default_factory=asyncio.Lock)
    _data: list[asyncio.StreamWriter] = field(default_factory=list)
    _talks: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["OddServer"]:
        """Listen until the end of the block."""
        server = await asyncio.start_server(self._greet, "127.0.0.1", 0)
        self.address = f"ftp://{self.host}:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for writer in self._data:
                writer.close()
            for talk in tuple(self._talks):
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await _Talk(self, reader, writer).hold()
        finally:
            self.open -= 1
            self._talks.discard(task)
            writer.close()


class _Talk:
    """One control connection."""

    def __init__(self, server: OddServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        self.offset = 0
        self.private = False
        self.passive: asyncio.Server | None = None
        self.data: Comers = asyncio.Queue()

    async def say(self, text: str) -> None:
        self.writer.write(text.encode("utf-8", errors="surrogateescape") + b"\r\n")
        await self.writer.drain()

    async def hold(self) -> None:
        if self.server.most and self.server.open > self.server.most:
            await self.say("421 too many")
            return
        await self.say(self.server.welcome)
        try:
            while line := await self.reader.readline():
                command, _, rest = line.decode().strip().partition(" ")
                self.server.commands.append(f"{command} {rest}".strip())
                if command == "QUIT":
                    await asyncio.sleep(self.server.lingers)
                    return
                refusal = self.server.refuses.get(command)
                await (self.say(refusal) if refusal else self.do(command, rest))
        finally:
            if self.passive is not None:
                self.passive.close()

    async def do(self, command: str, rest: str) -> None:
        """Carry a command out."""
        match command:
            case "AUTH" if self.server.tls is not None:
                self.writer.write(b"234 begin\r\n" + self.server.slips)
                await self.writer.start_tls(self.server.tls)
            case "FEAT":
                await self.say("\r\n".join(["211-Features:", *(f" {feature}" for feature in self.server.features)]))
                await self.say("211 End")
            case "EPSV" | "PASV":
                await self.listen(command)
            case "RETR" if rest in self.server.files:
                await self.send(rest)
            case "LIST" | "MLSD" if rest in self.server.listings:
                await self.list(rest)
            case _:
                await self.say(self.answer(command, rest))

    def answer(self, command: str, rest: str) -> str:
        """Give the reply to a command that changes little."""
        if command in {"SIZE", "MDTM", "MLST"}:
            return self.about(command, rest)
        if command == "REST":
            self.offset = 0 if self.server.ignores_rest else int(rest)
        self.private = self.private or command == "PROT"
        plain = {"USER": "230 come in", "REST": "350 from there"}
        plain |= dict.fromkeys(("TYPE", "PBSZ", "PROT"), "200 so be it")
        return plain.get(command, "550 no such thing" if rest else "502 what?")

    def about(self, command: str, path: str) -> str:
        if path not in self.server.files:
            return "550 no such file"
        size, time = len(self.server.files[path]), self.server.times.get(path, self.server.time)
        facts = f"250-About\r\n type=file;size={size};modify={time}; {path}\r\n250 End"
        return {"SIZE": f"213 {size}", "MDTM": f"213 {time}", "MLST": facts}[command]

    async def listen(self, command: str) -> None:
        """Listen anew: whoever came before and was not used counts no more."""
        if self.passive is not None:
            self.passive.close()
        secured = (self.server.data_tls or self.server.tls) if self.private and not self.server.clear_data else None
        self.data = asyncio.Queue()
        self.passive = await asyncio.start_server(partial(self.accept, self.data), "127.0.0.1", 0, ssl=secured)
        port = self.passive.sockets[0].getsockname()[1]
        text = self.server.extended if command == "EPSV" else self.server.passive
        await self.say(text.format(port=port, high=port >> 8, low=port & 255))

    async def accept(self, comes: Comers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server._data.append(writer)
        await comes.put((reader, writer))

    async def list(self, path: str) -> None:
        await self.say("150 here it comes")
        _, data = await self.data.get()
        data.write(self.server.listings[path])
        await self.end(data)

    async def send(self, path: str) -> None:
        server, offset, self.offset = self.server, self.offset, 0
        await self.say("150 here it comes")
        _, data = await self.data.get()
        try:
            for at, piece in self.pieces(path, offset):
                data.write(piece)
                await data.drain()
                server.given += len(piece)
                if server.pause:
                    async with server._line if server.shared else contextlib.nullcontext():
                        await asyncio.sleep(server.pause)
                if server.swaps is not None and at + len(piece) >= server.swaps[0]:
                    server.files[path], server.times[path], server.swaps = server.swaps[1], SWAPPED, None
                if server.cuts and at + len(piece) >= server.cuts[0]:
                    server.cuts.pop(0)
                    data.transport.abort()
                    self.writer.transport.abort()
                if 0 <= server.goes_after <= at + len(piece):
                    self.writer.transport.abort()
        except OSError:
            await self.say("426 you hung up")
            return
        await self.end(data)

    def pieces(self, path: str, offset: int) -> Iterator[tuple[int, bytes]]:
        """Give piece after piece, each of what the file holds by then."""
        at = offset
        while at < len(self.server.files[path]):
            piece = self.server.files[path][at : at + PIECE]
            yield at, piece
            at += len(piece)

    async def end(self, data: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await data.drain()
            data.close()
            await data.wait_closed()
        if not self.server.ends:
            self.writer.transport.abort()
        await self.say(self.server.ends)
