"""Daemons under supervision: restarted when they die, stopped when asked, killed when they will not."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from spica.supervisor import Supervisor

STAND_INS = {
    "steady": "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(0))\n"
    "open(sys.argv[2] + '.' + str(__import__('os').getpid()), 'w').close()\nsignal.pause()\n",
}


@pytest.fixture
def daemons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, code in STAND_INS.items():
        (tmp_path / f"stand_in_{name}.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


async def started(directory: Path, count: int) -> list[int]:
    """Wait until so many processes have said that they run."""
    async with asyncio.timeout(60):
        while len(found := list(directory.glob("config.*"))) < count:
            await asyncio.sleep(0.01)
    return [int(path.suffix[1:]) for path in found]


async def test_a_daemon_that_is_killed_comes_back_and_all_end_at_stop(daemons):
    supervisor = Supervisor(daemons / "config", logs=None, daemons={"steady": "stand_in_steady"})
    await supervisor.start()
    (first,) = await started(daemons, 1)

    os.kill(first, signal.SIGKILL)
    pids = await started(daemons, 2)
    second = next(pid for pid in pids if pid != first)
    assert supervisor.pids() == {"steady": second}

    await supervisor.stop()
    assert supervisor.pids() == {}
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)
