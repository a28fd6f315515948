"""The guards of every page of ours, and the figures for Prometheus."""

import errno
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from terapix.http import GUARDS, address, bind, guard, host_name, is_local
from terapix.metrics import Metrics

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async def fine(_: web.Request) -> web.Response:
        return web.Response(text="fine", headers={"Cache-Control": "max-age=60"})

    async def broken(_: web.Request) -> web.Response:
        raise ZeroDivisionError("geheim")

    app = web.Application(middlewares=[guard(names=frozenset({"Console.Example"}))])
    app.router.add_get("/", fine)
    app.router.add_get("/broken", broken)
    async with TestClient(TestServer(app)) as made:
        yield made


@pytest.mark.parametrize(("path", "code"), [("/", 200), ("/missing", 404), ("/broken", 500)])
async def test_every_answer_is_guarded(client: Client, path: str, code: int) -> None:
    with capture_logs() as logs:
        answer = await client.get(path)
        assert answer.status == code
        assert {name for name in GUARDS if name not in answer.headers} == set()
        assert "geheim" not in await answer.text()
    assert answer.headers["Cache-Control"] == ("max-age=60" if code == 200 else "no-store")
    assert [entry["event"] for entry in logs] == (["request failed"] if code == 500 else [])


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost:8080", 200),
        ("[::1]:8080", 200),
        ("192.0.2.7", 200),
        ("console.example", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:8080", 421),
    ],
)
async def test_a_foreign_name_that_leads_here_is_refused(client: Client, host: str, code: int) -> None:
    answer = await client.get("/", headers={"Host": host})
    assert answer.status == code
    assert "Content-Security-Policy" in answer.headers


def test_names_in_a_host_header() -> None:
    assert [host_name(header) for header in ("A.b:80", "[::1]:80", "[::1]", "", "a.")] == ["a.b", "::1", "::1", "", "a"]
    assert is_local("[::1]")
    assert not is_local("[evil]")


def test_a_port_is_found_beside_a_taken_one() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address(first) == f"http://127.0.0.1:{port}"
        with pytest.raises(OSError) as taken:
            bind("127.0.0.1", port)
        assert taken.value.errno == errno.EADDRINUSE
        with bind("127.0.0.1", port, tries=20) as second:
            assert second.getsockname()[1] > port


@pytest.mark.skipif(not socket.has_ipv6, reason="this host has no IPv6")
def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    try:
        bound = bind("::1", 0)
    except OSError as problem:
        pytest.skip(f"this host has no IPv6 loopback: {problem}")
    with bound:
        assert address(bound).startswith("http://[::1]:")


def test_figures_are_made_once_and_named_after_us() -> None:
    metrics = Metrics()
    metrics.counter("terapix_frames_total", "Frames", "state").labels("placed").inc()
    metrics.counter("terapix_frames_total", "Frames", "state").labels("placed").inc()
    metrics.histogram("terapix_stage_seconds", "Time of a stage").observe(2)
    text = metrics.text().decode()
    assert 'terapix_frames_total{state="placed"} 2.0' in text
    assert 'terapix_build_info{version="' in text
    assert "terapix_stage_seconds_count 1.0" in text
    names = {line.split("{")[0].split()[0] for line in text.splitlines() if not line.startswith("#")}
    assert {name for name in names if not name.startswith("terapix_")} == set()
    with pytest.raises(ValueError, match="terapix_"):
        metrics.gauge("frames", "Frames")
    with pytest.raises(TypeError, match="is a Counter already"):
        metrics.gauge("terapix_frames_total", "Frames")
