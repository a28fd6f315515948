"""A tiny HTTP proxy: forwards what is http, tunnels what is https by CONNECT, and counts what goes on at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from yarl import URL


@dataclass(slots=True)
class Proxy:
    """What has come by."""

    lines: list[str] = field(default_factory=list)
    """First lines of requests."""
    address: str = ""
    open: int = 0
    """Connections to servers."""
    most_open: int = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await self._talk(reader, writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.lines.append(head.splitlines()[0])
        method, target, _ = self.lines[-1].split()
        url = URL(f"//{target}") if method == "CONNECT" else URL(target)
        ahead, back = await asyncio.open_connection("127.0.0.1", url.port)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 here you are\r\n\r\n")
        else:
            back.write(
                head.replace(target, url.raw_path_qs, 1).replace("\r\n", "\r\nConnection: close\r\n", 1).encode()
            )
        try:
            await asyncio.gather(_pass_on(reader, back), _pass_on(ahead, writer))
        finally:
            self.open -= 1
            back.close()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
    target.close()


@contextlib.asynccontextmanager
async def proxying() -> AsyncIterator[Proxy]:
    """Run a proxy until the end of the block."""
    between = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(between.handle(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    between.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield between
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
