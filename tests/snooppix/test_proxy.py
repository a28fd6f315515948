"""What goes to the archive goes through the HTTP proxy of the settings: forwarded, or in a tunnel."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from yarl import URL

from tests.support.origin import SECRET, Origin, bearer_is, server_side, serving, status, wire_to, written
from tests.support.proxy import Proxy, proxying


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with proxying() as between:
        yield between


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
