"""Daemons for flow tests, started at once: forked off a process that has imported what they need.

A daemon takes most of its start to import its parts, and tests that kill it again
and again would wait for nothing else. Each is a process of its own all the same,
in a session of its own, which lives and dies as if it had been started from a shell.
"""

import asyncio
import atexit
import contextlib
import importlib
import itertools
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spica.supervisor import Child, Supervisor
from terapix import steps

MODULES = ("snooppix.service", "snooppix.publisher.service", "datatransfer.service", "spica.service")
ROOT = Path(__file__).resolve().parents[2]


class Forked:
    """A daemon's process, as asyncio has it of those that it starts."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        await self._over.wait()
        assert self.returncode is not None
        return self.returncode

    def ended(self, code: int) -> None:
        """Take note of the end; called by the thread that hears of it."""
        self.returncode = code
        with contextlib.suppress(RuntimeError):  # its test is over, and the loop closed
            self._loop.call_soon_threadsafe(self._over.set)


class Zygote:
    """The process that others are forked off, and what it tells of them."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        words = [sys.executable, "-m", "tests.support.zygote", str(theirs.fileno())]
        self.process = subprocess.Popen(words, pass_fds=[theirs.fileno()], cwd=ROOT)
        theirs.close()
        self._socket = ours
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[int]] = {}
        self._living: dict[int, Forked] = {}
        self._ended: dict[int, int] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    async def start(self, module: str, config: Path, log: Path, environment: Mapping[str, str]) -> Forked:
        """Fork a daemon off."""
        loop, number = asyncio.get_running_loop(), next(self._numbers)
        answer: asyncio.Future[int] = loop.create_future()
        self._asked[number] = answer
        told = {"number": number, "module": module, "config": str(config), "log": str(log)}
        self._socket.sendall(json.dumps(told | {"environment": dict(environment)}).encode() + b"\n")
        pid = await answer
        with self._lock:
            child = self._living[pid] = Forked(pid)
            if pid in self._ended:  # it died before we knew its number
                child.ended(self._ended.pop(pid))
        return child

    def close(self) -> None:
        """End it, and what is left of what was forked off."""
        self._socket.shutdown(socket.SHUT_WR)
        self.process.wait()

    def _listen(self) -> None:
        for line in self._socket.makefile():
            told: dict[str, Any] = json.loads(line)
            if "number" in told:
                answer = self._asked.pop(told["number"])
                with contextlib.suppress(RuntimeError):
                    answer.get_loop().call_soon_threadsafe(answer.set_result, told["pid"])
                continue
            with self._lock:
                child = self._living.pop(told["pid"], None)
                if child is None:
                    self._ended[told["pid"]] = told["code"]
                else:
                    child.ended(told["code"])


class ForkingSupervisor(Supervisor):
    """Starts its daemons by forking; all else is as in the Supervisor that hosts have."""

    async def _spawn(self, child: Child) -> Any:
        assert self.logs is not None
        log = self.logs / f"{child.name}.log"
        return await zygote().start(self.daemons[child.name], self.config, log, self.environment)


_zygotes: list[Zygote] = []


def zygote() -> Zygote:
    """Give this session's one; it ends with us."""
    if not _zygotes:
        _zygotes.append(Zygote())
        atexit.register(_zygotes[0].close)
    return _zygotes[0]


def _serve(wire: socket.socket) -> None:
    """Fork a daemon off for each line that comes, and tell of each that ends, until nobody asks any more."""
    for module in MODULES:
        importlib.import_module(module)
    assert threading.active_count() == 1, "a thread would not be there in what is forked"
    wakes, waker = socket.socketpair()
    for end in (wakes, waker):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    living: set[int] = set()
    rest = b""
    while True:
        ready, _, _ = select.select([wire, wakes], [], [])
        if wakes in ready:
            wakes.recv(4096)
            for pid, code in _ended(living):
                wire.sendall(json.dumps({"pid": pid, "code": code}).encode() + b"\n")
        if wire in ready:
            block = wire.recv(1 << 16)
            if not block:
                break
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                living.add(_fork(json.loads(line), wire, wakes, waker))
    for pid in living:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _fork(told: dict[str, Any], wire: socket.socket, *others: socket.socket) -> int:
    """Fork a daemon off and tell its number; in the daemon's own process this never returns."""
    if (pid := os.fork()) == 0:
        for end in (wire, *others):
            end.detach()
        raise SystemExit(_become(told))
    wire.sendall(json.dumps({"number": told["number"], "pid": pid}).encode() + b"\n")
    return pid


def _ended(living: set[int]) -> Iterator[tuple[int, int]]:
    for pid in [*living]:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            living.discard(pid)
            yield pid, os.waitstatus_to_exitcode(status)


def _become(told: dict[str, Any]) -> int:
    """Be the daemon that is asked for, in this forked process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.closerange(3, 64)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(number, target)
    os.environ.clear()
    os.environ.update(told["environment"])
    importlib.reload(steps)  # which of them are deadly, it reads from the environment
    random.seed()
    sys.argv = [told["module"], "-c", told["config"]]
    code: int = sys.modules[told["module"]].main()
    return code


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
