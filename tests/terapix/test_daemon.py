"""The life of a daemon, within the test's own process and on a set clock."""

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from terapix.clock import SetClock
from terapix.daemon import ENDED, SILENCE, Daemon, command, port_key
from terapix.notify import Notifier
from terapix.settings import load

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture
def daemon(clock: SetClock) -> Daemon:
    loaded = load(Path(__file__).parents[2] / "etc" / "terapix.toml", environment={})
    return Daemon("spica", loaded=loaded, status=("127.0.0.1", 0), clock=clock, notifier=Notifier({}))


async def test_the_status_endpoint_follows_the_work(daemon: Daemon, clock: SetClock) -> None:
    codes: list[int] = []

    async def look(session: ClientSession, path: str) -> None:
        async with session.get(f"{daemon.endpoint}{path}") as answer:
            codes.append(answer.status)

    async def work(_: Daemon) -> None:
        async with ClientSession() as session:
            await look(session, "/readyz")
            await daemon.ready("serves")
            await look(session, "/readyz")
            await look(session, "/healthz")
            clock.advance(SILENCE)
            await look(session, "/healthz")
            await daemon.beat("serves on")
            await look(session, "/healthz")
            daemon.stopping.set()
            await look(session, "/readyz")

    assert await daemon.run(work) == ENDED
    assert codes == [503, 200, 200, 503, 200, 503]


async def test_listeners_hear_every_beat_with_all_figures(daemon: Daemon) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []

    async def listen(status: str, figures: dict[str, Any]) -> None:
        heard.append((status, figures))

    daemon.on_beat.append(listen)
    await daemon.ready("serves")
    await daemon.beat("serves", page="http://127.0.0.1:8080/")
    await daemon.beat("moves a frame", moving=1)
    assert heard == [
        ("serves", {}),
        ("serves", {"page": "http://127.0.0.1:8080/"}),
        ("moves a frame", {"page": "http://127.0.0.1:8080/", "moving": 1}),
    ]


async def test_a_listener_that_fails_does_not_end_the_work(daemon: Daemon) -> None:
    async def deaf(_: str, __: dict[str, Any]) -> None:
        raise OSError("the disk is full")

    daemon.on_beat.append(deaf)
    with capture_logs() as logs:
        await daemon.beat("serves")
    assert [entry["event"] for entry in logs] == ["a beat was not heard"]


async def test_the_report_tells_times_in_utc_and_seconds(daemon: Daemon, clock: SetClock) -> None:
    clock.advance(10)
    await daemon.beat("serves")
    clock.advance(2.5)
    report = daemon.report()
    assert report["uptime"] == 12.5
    assert report["last_beat"] == "2026-11-24T03:00:10+00:00"
    assert "terapix_silence_seconds 2.5" in daemon.figures_text().decode()


def test_every_daemon_has_its_port_among_the_settings() -> None:
    names = ("snooppix", "datatransfer", "datatransfer-node", "spica")
    assert [port_key(name) for name in names] == ["snooppix", "datatransfer", "node", "spica"]
    assert port_key("publisher") == "publish"
    with pytest.raises(ValueError, match="no port is declared"):
        port_key("nobody")


def test_the_version_is_told_without_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command("spica", lambda _: pytest.fail("must not run"), ["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("spica ")


@pytest.mark.parametrize("abstract", [False, True])
def test_a_message_to_the_manager_keeps_to_one_line_each(tmp_path: Path, abstract: bool) -> None:
    name = f"@terapix-test-{tmp_path.name}" if abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5)
        Notifier({"NOTIFY_SOCKET": name}).send(READY=1, STATUS="looks\nREADY=0", NOTE="")
        assert manager.recv(1000) == b"READY=1\nSTATUS=looks\nNOTE="


def test_a_manager_that_is_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send(READY=1)
