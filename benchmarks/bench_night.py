"""The whole night on loopback: sighting to weight and flag of 36-CCD frames, start of the console, and idle cost."""

import asyncio
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil
from figures import Row, command_line

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dbclient.stores import Frames
from processing.skymaker.painter import paint_run
from spica.demo import Night
from tests.support.host import Host, host

FRAMES = 2
PACE = {
    "TERAPIX_SNOOPPIX__POLL": "5",
    "TERAPIX_DATATRANSFER__INTERVAL": "600",
    "TERAPIX_PROCESSING__LEASE": "60",
}
"""Settings of a quiet host, but for the poll: 300 s by default."""
IDLE = 60.0
"""Seconds over which an idle host is watched."""


async def page_open(running: Host) -> float:
    """Seconds until the console answers."""
    begin = time.perf_counter()
    while True:
        summary = await running.summary()
        for daemon in summary.daemons:
            page = (daemon.figures or {}).get("page")
            if page:
                await asyncio.to_thread(urllib.request.urlopen, page, timeout=5)
                return time.perf_counter() - begin
        await asyncio.sleep(0.05)


async def idle_share(running: Host) -> tuple[float, str]:
    """Share of one core that all daemons and workers take while nothing happens, 0 to 1, and who takes it."""
    await asyncio.sleep(20)
    processes = [p for p in running.processes() if p.status() != psutil.STATUS_ZOMBIE]
    before = {p.pid: sum(p.cpu_times()[:2]) for p in processes}
    begin = time.perf_counter()
    await asyncio.sleep(IDLE)
    spent = {p.pid: sum(p.cpu_times()[:2]) - before[p.pid] for p in processes if p.is_running()}
    elapsed = time.perf_counter() - begin
    names = {p.pid: p.cmdline()[2] for p in processes if p.is_running()}
    named = ", ".join(f"{names[pid]} {100 * used / elapsed:.2f} %" for pid, used in spent.items())
    return sum(spent.values()) / elapsed, named


async def night(directory: Path) -> list[Row]:
    fresh = Night(directory / "host", FRAMES, 36)
    fresh.archive.mkdir(parents=True)
    painted = directory / "painted"
    paint_run(painted, frames=FRAMES, ccds=36, seed=2003, workers=2, progress=lambda *_: None)
    frames = sorted(painted.glob("*p.fits.fz"))
    for path in set(painted.iterdir()) - set(frames):
        shutil.copy(path, fresh.archive)
    async with host(fresh, environment=PACE) as running:
        opened = await page_open(running)
        took = []
        for number, frame in enumerate(frames, 1):
            shutil.copy(frame, fresh.archive / f".{frame.name}")
            (fresh.archive / f".{frame.name}").rename(fresh.archive / frame.name)
            await running.until_weighted(number)
            took.append(await chain_seconds(running, frame.name.removesuffix(".fits.fz")))
        wrong = await running.faults()
        idle, who = await idle_share(running)
    agreement = "digests verified, one job a frame" if not wrong else f"WRONG: {wrong}"
    return [
        Row(part="console answers", input="installed system", ours=opened, goal="5 s"),
        Row(part="sighting to weight and flag, first frame", input="36 CCDs, cold", ours=took[0], agreement=agreement),
        Row(part="sighting to weight and flag", input="36 CCDs", ours=took[-1], goal="30 s", agreement=agreement),
        Row(
            part="idle daemons, per cent of a core",
            input="all on one host, poll 5 s",
            ours=100 * idle,
            goal="1",
            agreement=who,
        ),
    ]


async def chain_seconds(running: Host, name: str) -> float:
    async with running.database.read() as session:
        frame = await Frames().named(session, name)
    return (frame.weighted_at - frame.spotted_at).total_seconds()


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(night(Path(directory)))


if __name__ == "__main__":
    command_line(measure)
