"""Bytes of a file on their way out, by sendfile where the event loop can."""

import asyncio
from typing import BinaryIO

from aiohttp import web

BLOCK = 1 << 20
"""Bytes read at once where sendfile can not be used."""


async def send(request: web.Request, answer: web.StreamResponse, source: BinaryIO, start: int, count: int) -> int:
    """Send bytes as fast as they go; return how many went, fewer if the caller left or the file became shorter."""
    transport = request.transport
    if transport is None or count == 0:
        return 0
    sent = 0
    try:
        try:
            return await asyncio.get_running_loop().sendfile(transport, source, start, count, fallback=False)
        except RuntimeError:  # what an event loop says that can not; a closing connection too, found out below
            source.seek(start)
        while sent < count and (block := await asyncio.to_thread(source.read, min(BLOCK, count - sent))):
            await answer.write(block)
            sent += len(block)
    except ConnectionError:
        return 0
    return sent


async def cut(request: web.Request) -> None:
    """End the connection, since the body will not come to its announced end."""
    if request.transport is not None:
        request.transport.close()
