"""A daemon as a process: what systemd, an operator and a monitor see of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from conftest import ROOT
from terapix.daemon import BAD_SETTINGS, ENDED, FAILED, INTERRUPTED

PATIENCE = 60.0
"""Seconds that a busy machine may take to start a process."""


@dataclass
class Running:
    """A daemon under test, with the service manager's end of its notification socket."""

    process: subprocess.Popen[str]
    manager: socket.socket
    directory: Path

    def heard(self, wanted: str) -> dict[str, str]:
        """Wait for the message that has a line `wanted`, or one that begins so if it ends with ``=``."""
        while True:
            states = dict(line.split("=", 1) for line in self.manager.recv(4096).decode().splitlines())
            if any(f"{name}={value}".startswith(wanted) for name, value in states.items()):
                return states

    def ask(self, path: str) -> str:
        with urllib.request.urlopen(f"{(self.directory / 'endpoint').read_text()}{path}", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal and give exit code and log."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        _, log = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, log


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    begun: list[Running] = []
    with tempfile.TemporaryDirectory(prefix="tx") as short:  # a socket's path may have 107 characters

        def begin(settings: str = "", **environment: str) -> Running:
            (tmp_path / "terapix.toml").write_text(settings)
            manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            manager.bind(f"{short}/notify")
            manager.settimeout(PATIENCE)
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.support.little_daemon",
                    str(tmp_path),
                    "-c",
                    str(tmp_path / "terapix.toml"),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "NOTIFY_SOCKET": f"{short}/notify", **environment},
            )
            begun.append(Running(process, manager, tmp_path))
            return begun[-1]

        yield begin
        for running in begun:
            if running.process.poll() is None:
                running.process.kill()
                running.process.communicate()
            running.manager.close()


def events(log: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.splitlines()]


def test_a_daemon_tells_the_manager_and_the_monitor_how_it_is_and_drains_when_told_to_stop(start: Start) -> None:
    daemon = start("[snooppix]\npoll = 7\n")

    assert daemon.heard("READY=1")["STATUS"] == "looks every 7 s"
    assert daemon.heard("WATCHDOG=1")["STATUS"] == "looks every 7 s"
    assert (daemon.ask("/healthz"), daemon.ask("/readyz")) == ("alive\n", "ready\n")
    said = json.loads(daemon.ask("/status"))
    assert (said["daemon"], said["pid"], said["ready"]) == ("snooppix", daemon.process.pid, True)
    assert said["settings"] == str(daemon.directory / "terapix.toml")
    assert said["figures"] == {"frames": 3, "page": "http://127.0.0.1:1/"}
    assert 'terapix_figure{name="frames"} 3.0' in daemon.ask("/metrics")

    code, log = daemon.end(signal.SIGTERM)
    assert code == ENDED
    assert daemon.heard("STOPPING=1")
    assert (daemon.directory / "finished").exists()
    assert [event["event"] for event in events(log)][-1] == "daemon ended"
    assert {event["daemon"] for event in events(log)} == {"snooppix"}


def test_settings_are_read_again_on_hangup_and_bad_ones_are_refused_aloud(start: Start) -> None:
    daemon = start("[snooppix]\npoll = 7\n")
    daemon.heard("WATCHDOG=1")
    file = daemon.directory / "terapix.toml"

    file.write_text("[snooppix]\npoll = 8\n")
    daemon.process.send_signal(signal.SIGHUP)
    assert int(daemon.heard("RELOADING=1")["MONOTONIC_USEC"]) > 0
    daemon.heard("READY=1")
    assert daemon.heard("WATCHDOG=1")["STATUS"] == "looks every 8 s"

    file.write_text("[snooppix]\npol = 9\n")
    daemon.process.send_signal(signal.SIGHUP)
    said = daemon.heard("READY=1")["STATUS"]
    assert said.startswith("looks every 8 s (settings are bad, the old ones stay:")
    assert "did you mean snooppix.poll?" in said
    assert json.loads(daemon.ask("/status"))["status"] == said

    file.write_text('[snooppix]\npoll = 9\n[journal]\nlevel = "error"\n')
    daemon.process.send_signal(signal.SIGHUP)
    daemon.heard("RELOADING=1")
    daemon.heard("READY=1")
    assert daemon.heard("WATCHDOG=1")["STATUS"] == "looks every 9 s"
    code, log = daemon.end(signal.SIGTERM)
    assert (code, events(log)[-1]["event"]) == (ENDED, "settings are bad, the old ones stay")


@pytest.mark.parametrize(
    ("work", "reason"),
    [("fails", "frame 979412p is lost: fetch it again"), ("breaks", "ZeroDivisionError: by nothing")],
)
def test_work_that_raises_ends_the_daemon_with_its_reason(start: Start, work: str, reason: str) -> None:
    daemon = start(LITTLE_WORK=work)
    code, log = daemon.ended()
    assert code == FAILED
    assert events(log)[-1]["reason"] == reason
    assert daemon.heard("STATUS=failed")["STATUS"] == f"failed: {reason}"
    assert daemon.heard("STOPPING=1")


def test_a_second_ctrl_c_ends_at_once_what_hangs(start: Start) -> None:
    daemon = start(LITTLE_WORK="hangs")
    daemon.heard("READY=1")
    daemon.process.send_signal(signal.SIGINT)
    daemon.heard("STOPPING=1")
    assert daemon.end(signal.SIGINT)[0] == INTERRUPTED


def test_bad_settings_are_told_before_anything_starts(start: Start) -> None:
    code, log = start("[snoopix]\npoll = 7\n").ended()
    assert code == BAD_SETTINGS
    assert log.strip().endswith("terapix.toml:1: snoopix is no setting; did you mean snooppix?")


def test_a_taken_status_port_is_named_with_its_setting(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, log = start(f"[status]\nsnooppix = {port}\n").ended()
    assert code == FAILED
    reason = str(events(log)[-1]["reason"])
    assert reason.startswith(f"snooppix cannot listen on 127.0.0.1:{port}: ")
    assert "status.snooppix" in reason
