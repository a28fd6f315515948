"""A plain file server on loopback that counts what it gives, and damages or delays it on order."""

import asyncio
import contextlib
import functools
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web

PIECE = 256 * 1024


@dataclass(slots=True)
class Mirror:
    """One server with one file."""

    content: bytes
    flips: tuple[int, ...] = ()
    """Places of bytes that it gives wrong, every time."""
    ranges: bool = True
    pause: float = 0.0
    """Seconds between two pieces of 256 kB on each connection."""
    shared: bool = False
    """The pause is shared by all connections: more of them bring nothing."""
    headers: dict[str, str] = field(default_factory=dict)
    given: int = 0
    """Bytes of bodies that were sent."""
    asked: list[str] = field(default_factory=list)
    """Range headers, empty for the whole file."""
    open: int = 0
    most_open: int = 0
    digest: bool = True
    """Whether it tells the digest of the file."""
    ranges_to: str = ""
    """Where it sends who asks for a part of the file."""
    cut_after: int | None = None
    """Bytes of the file after which each connection is cut."""
    address: str = ""
    _line: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked = request.headers.get("Range", "")
        self.asked.append(asked)
        begin, end, status = 0, len(self.content), 200
        if asked and self.ranges_to:
            return web.Response(status=303, headers={"Location": self.ranges_to})
        if asked and self.ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin, end, status = int(first), int(last) + 1 if last else end, 206
        response = web.StreamResponse(status=status, headers=self.headers)
        if self.digest:
            response.headers["Digest"] = _digest(self.content)
        if status == 206:
            response.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(self.content)}"
        response.content_length = end - begin
        await response.prepare(request)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._send(request, response, begin, end)
        finally:
            self.open -= 1
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, begin: int, end: int) -> None:
        for at in range(begin, end, PIECE):
            piece = bytearray(self.content[at : min(at + PIECE, end)])
            for place in self.flips:
                if at <= place < at + len(piece):
                    piece[place - at] ^= 0xFF
            if self.cut_after is not None and at + len(piece) > self.cut_after:
                assert request.transport is not None
                request.transport.abort()
                return
            await response.write(bytes(piece))
            self.given += len(piece)
            if self.pause:
                async with self._line if self.shared else contextlib.nullcontext():
                    await asyncio.sleep(self.pause)
        await response.write_eof()


@functools.cache
def _digest(content: bytes) -> str:
    return f"md5={b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()}"


@contextlib.asynccontextmanager
async def mirrors(*served: Mirror) -> AsyncIterator[list[str]]:
    """Serve files, each on a port of its own; give their addresses."""
    async with contextlib.AsyncExitStack() as stack:
        for mirror in served:
            app = web.Application()
            app.router.add_get("/{name}", mirror.answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            mirror.address = f"http://127.0.0.1:{port}/979412p.fits.fz"
        yield [mirror.address for mirror in served]
