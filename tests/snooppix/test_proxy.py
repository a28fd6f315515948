"""What goes to the archive goes through the HTTP proxy of the settings: forwarded, or in a tunnel."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme
from yarl import URL

from tests.support.origin import SECRET, Origin, bearer_is, server_side, serving, status, wire_to, written


@dataclass(slots=True)
class Proxy:
    """A tiny HTTP proxy: forwards what is http, and tunnels what is https by CONNECT."""

    lines: list[str] = field(default_factory=list)
    """First lines of requests."""
    address: str = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.lines.append(head.splitlines()[0])
        method, target, _ = self.lines[-1].split()
        url = URL(f"//{target}") if method == "CONNECT" else URL(target)
        ahead, back = await asyncio.open_connection("127.0.0.1", url.port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 here you are\r\n\r\n")
        else:
            back.write(
                head.replace(target, url.raw_path_qs, 1).replace("\r\n", "\r\nConnection: close\r\n", 1).encode()
            )
        await asyncio.gather(_pass_on(reader, back), _pass_on(ahead, writer))


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
    target.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    between = Proxy()
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(between.handle(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    between.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield between
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_http_goes_through_the_proxy(proxy: Proxy, tmp_path: Path) -> None:
    path = written(tmp_path / "token", SECRET)
    async with serving(Origin(judge=bearer_is(SECRET))) as origin, wire_to(origin, path, proxy=proxy.address) as wire:
        assert await status(wire, f"{origin.address}/file") == 200
    assert proxy.lines == [f"GET {origin.address}/file HTTP/1.1"]


async def test_https_is_tunnelled_so_that_the_proxy_sees_no_secret(proxy: Proxy, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    path = written(tmp_path / "token", SECRET)
    async with serving(Origin(judge=bearer_is(SECRET)), tls=server_side(authority)) as origin:
        settings = {"proxy": proxy.address, "authority": tmp_path / "authority.pem"}
        async with wire_to(origin, path, **settings) as wire:  # type: ignore[arg-type]
            assert await status(wire, f"{origin.address}/file") == 200
    assert proxy.lines == [f"CONNECT {URL(origin.address).authority} HTTP/1.1"]
