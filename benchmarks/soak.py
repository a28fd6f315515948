"""Many small frames through SNOOPPIX while the archive commits every fault now and then: nothing lost, memory flat.

``python benchmarks/soak.py --frames 100000`` starts a stand-in archive and the daemon as processes of their own,
waits until every frame is valid, and compares every byte. What waits for an hour, was rejected or given up on the
way is asked for as an operator would once nothing else moves, and counted.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import tomlkit
from sqlalchemy.engine import make_url

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dbclient.database import Database
from dbclient.schema import FrameState, RequestKind
from dbclient.stores import Frames, Requests
from snooppix.standin.kinds import Standing
from snooppix.standin.orders import KINDS
from terapix.installation import etc_directory
from terapix.settings import load
from tests.support.archive import small_fits

ROOT = Path(__file__).resolve().parents[1]
FIRST = 1_000_000
PAGE = 2000
"""Frames looked at, or asked for, at once."""
SHARE = 0.01
"""Of all requests, for each kind of fault."""
APART = {"down", "replaced", "renewed", "stalled", "slow", "put-cut", "put-damaged", "put-lost"}
"""Faults that need a file of their own, last by the clock alone, or are of the way back."""
LOOK = 2.0
"""Seconds between two looks at how far it is."""
SOON = 15.0
"""Seconds: while a frame's next try is due earlier, nobody asks for it. An hour, as after a 403, is asked for."""
LINE = 30.0
"""Seconds between two lines where nobody watches a terminal."""


@dataclass(slots=True)
class Watch:
    """What was seen on the way."""

    begin: float = field(default_factory=time.perf_counter)
    memory: list[tuple[int, float, float]] = field(default_factory=list)
    """Frames valid, MB resident in the daemon, and how much of it is its own: no pages of programs and files."""
    asked_again: int = 0
    """Frames that waited long, were rejected or given up, and that an operator asked for."""
    rounds: int = 0
    """Times that an operator did so."""
    cpu: float = 0.0
    """Seconds of user and system time of the daemon."""
    helpers: float = 0.0
    """Likewise of its processes that unpack pixels."""
    said: float = 0.0
    states: Counter[str] = field(default_factory=Counter)

    def level(self, share: float, frames: int, *, own: bool = False) -> float:
        """Largest MB resident, or of its own, up to the moment when a share of the frames was valid."""
        return max((mb[own] for valid, *mb in self.memory if valid <= share * frames), default=0.0)

    def slope(self, frames: int) -> float:
        """Bytes of its own by which it grew with each frame in the last two thirds: a straight line through all."""
        seen = [(valid, mb) for valid, _, mb in self.memory if valid >= frames / 3]
        if len({valid for valid, _ in seen}) < 2:
            return 0.0
        return 1e6 * statistics.linear_regression(*zip(*seen, strict=True)).slope


def paint(directory: Path, frames: int) -> None:
    """Write small frames that differ in their number only, as bytes: FITS libraries would take minutes.

    Each is a second younger than the one before, as at an archive where they come one by one.
    """
    youngest = time.time() - 3600
    plain = small_fits(f"{FIRST}p", ccds=1)
    card = re.search(rb"EXPNUM  = +%d" % FIRST, plain)
    assert card is not None
    plain = re.sub(rb"(CHECKSUM|DATASUM )= .{70}", b"COMMENT " + b" " * 72, plain)
    for number in range(FIRST, FIRST + frames):
        file = directory / f"{number}p.fits"
        file.write_bytes(plain[: card.start()] + card[0].replace(b"%d" % FIRST, b"%d" % number) + plain[card.end() :])
        os.utime(file, (youngest - (FIRST + frames - number),) * 2)


def order_faults(path: Path, share: float) -> int:
    """Write a file of faults: each kind that passes by itself, at one request in a hundred."""
    kinds = [kind for kind, fault in KINDS.items() if kind not in APART and not issubclass(fault, Standing)]
    faults = [{"kind": kind, "times": 0, "probability": share, "seed": number} for number, kind in enumerate(kinds)]
    path.write_text(tomlkit.dumps({"fault": faults}))
    return len(kinds)


def small_camera(path: Path) -> None:
    """Describe MegaCam with one CCD of 32x16 pixels and few required keywords."""
    text = (etc_directory() / "instruments" / "megacam.toml").read_text()
    for key, value in {"width": 32, "height": 16, "datasec": [0, 32, 0, 16], "amplifier_boundary": 16}.items():
        text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
    text = re.sub(r"(?ms)^primary = \[.*?^\]", 'primary = ["RUNID", "FILTER"]', text)
    text = re.sub(r"(?ms)^ccd = \[.*?^\]", 'ccd = ["CRPIX1"]', text)
    path.write_text(text)


@contextlib.contextmanager
def running(place: Path, *argv: str, log: str) -> Iterator[subprocess.Popen[bytes]]:
    with (place / log).open("wb") as file:
        process = subprocess.Popen([sys.executable, *argv], stderr=file, stdout=file, cwd=ROOT, env=os.environ)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def same(held: Path, offered: Path) -> bool:
    return held.is_file() and held.read_bytes() == offered.read_bytes()


def resident(process: psutil.Process) -> tuple[float, float]:
    """MB resident in a process, and of these what is its own."""
    with contextlib.suppress(psutil.Error):
        told = process.memory_info()
        return told.rss / 1e6, (told.rss - told.shared) / 1e6
    return 0.0, 0.0


async def follow(database: Database, daemon: subprocess.Popen[bytes], frames: int, watch: Watch) -> None:
    """Watch until all are valid; ask for what waits, was rejected or given up once nothing else moves."""
    process = psutil.Process(daemon.pid)
    while True:
        if daemon.poll() is not None:
            raise SystemExit(f"the daemon ended with {daemon.returncode}")
        async with database.read() as session:
            states = {state.value: count for state, count in (await Frames().counts(session)).items()}
        valid, total = states.get("valid", 0), sum(states.values())
        watch.states = Counter(states)
        watch.memory.append((valid, *resident(process)))
        watch.cpu = sum(process.cpu_times()[:2])
        with contextlib.suppress(psutil.Error):
            watch.helpers = sum(sum(child.cpu_times()[:2]) for child in process.children())
        tell(watch, frames)
        if valid == frames == total:
            return
        if total == frames:
            await ask_again(database, watch)
        await asyncio.sleep(LOOK)


def tell(watch: Watch, frames: int) -> None:
    """Show how far it is: on a terminal in one line that changes, else in a line now and then."""
    seconds, terminal = time.perf_counter() - watch.begin, sys.stderr.isatty()
    if not terminal and seconds - watch.said < LINE and watch.states["valid"] < frames:
        return
    watch.said = seconds
    states = ", ".join(f"{count} {state}" for state, count in sorted(watch.states.items()))
    _, resident_mb, own_mb = watch.memory[-1]
    line = f"{seconds:6.0f} s  {watch.states['valid'] / frames:4.0%}  {states}  {resident_mb:.0f} MB, {own_mb:.0f} own"
    line += f"  {1000 * watch.cpu / max(watch.states['valid'], 1):.1f} ms a frame"
    end = "" if terminal and watch.states["valid"] < frames else "\n"
    print(f"\r{line}\x1b[K" if terminal else line, end=end, file=sys.stderr, flush=True)


async def ask_again(database: Database, watch: Watch) -> None:
    """Ask for all that waits long, as `terapix snooppix retry` does, unless something else still moves."""
    now = datetime.now(UTC)
    async with database.read() as session:
        moving = await Frames().search(session, state=FrameState.FETCHED, limit=1)
        moving += [
            frame
            for frame in await Frames().search(session, state=FrameState.SPOTTED, limit=PAGE)
            if frame.retry_at is None or frame.retry_at < now + timedelta(seconds=SOON)
        ]
        if moving or await Requests().open(session, RequestKind.RETRY):
            return
        stuck = [
            frame
            for state in (FrameState.SPOTTED, FrameState.REJECTED, FrameState.FAILED)
            for frame in await Frames().search(session, state=state, limit=PAGE)
        ]
    async with database.write() as session:
        for frame in stuck:
            await Requests().ask(session, RequestKind.RETRY, {"frame": frame.name}, by="soak", now=now)
    watch.asked_again += len(stuck)
    watch.rounds += 1


def history(file: Path) -> dict[str, int]:
    """Count what happened, by the words of the events; and the frames that became valid more than once."""
    with contextlib.closing(sqlite3.connect(file)) as line:
        found = dict(line.execute("SELECT kind, count(*) FROM events GROUP BY kind ORDER BY kind"))
        twice = "SELECT frame_id FROM events WHERE kind = 'valid' GROUP BY frame_id HAVING count(*) > 1"
        return found | {"valid twice": line.execute(f"SELECT count(*) FROM ({twice})").fetchone()[0]}


async def soak(place: Path, frames: int, share: float) -> dict[str, object]:
    archive, host = place / "archive", place / "host"
    archive.mkdir()
    host.mkdir()
    paint(archive, frames)
    kinds = order_faults(place / "faults.toml", share)
    small_camera(place / "small.toml")
    port = 18_090
    config = place / "terapix.toml"
    settings = {
        "paths": {"directory": str(host)},
        "archive": {"registry": f"http://127.0.0.1:{port}/reg/resource-caps"},
        "snooppix": {
            "poll": 5.0,
            "reserve": 0,
            "downloads": 8,
            "read_timeout": 5.0,
            "breaker_rest": 1.0,
            "instrument": f"{place / 'small.toml'}:1",
        },
    }
    config.write_text(tomlkit.dumps(settings))
    address = load(config, environment={}).settings.database_url
    database = await Database.open(address, create=True)
    served = ("-c", "from spica.cli import main; main()", "stand-in", "--directory", str(archive), "--port", str(port))
    watch = Watch()
    with (
        running(place, *served, "--faults", str(place / "faults.toml"), log="archive.log"),
        running(place, "-m", "snooppix.service", "-c", str(config), log="snooppix.log") as daemon,
    ):
        try:
            await follow(database, daemon, frames, watch)
        finally:
            await database.close()
    seconds = time.perf_counter() - watch.begin
    held = host / "reception" / "from_CADC" / "headervalid"
    lost = [p.name for p in archive.iterdir() if not same(held / p.name, p)]
    happened = history(Path(str(make_url(address).database)))
    more = {p.name for p in held.iterdir()} - {p.name for p in archive.iterdir()}
    return {
        "frames": frames,
        "kinds of faults": kinds,
        "share of each": share,
        "seconds": round(seconds, 1),
        "frames a second": round(frames / seconds, 1),
        "CPU ms a frame in the daemon": round(1000 * watch.cpu / frames, 1),
        "CPU ms a frame in its processes": round(1000 * watch.helpers / frames, 1),
        "asked for again": watch.asked_again,
        "rounds of asking": watch.rounds,
        "lost or other bytes": len(lost),
        "more than offered": len(more),
        "valid twice": happened.pop("valid twice"),
        "left in incoming": len(list((host / "reception" / "incoming").iterdir())),
        "MB at 20 %, 50 %, end": [round(watch.level(part, frames)) for part in (0.2, 0.5, 1.0)],
        "MB of its own at 20 %, 50 %, end": [round(watch.level(part, frames, own=True)) for part in (0.2, 0.5, 1.0)],
        "bytes of its own more for each frame in the last two thirds": round(watch.slope(frames)),
        "events": happened,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--share", type=float, default=SHARE, help="of all requests, for each kind of fault")
    parser.add_argument("--directory", type=Path, help="where (5 GB for 100,000 frames); default: a temporary one")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary here")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        found = asyncio.run(soak(Path(directory), arguments.frames, arguments.share))
    print(json.dumps(found, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    if any(found[word] for word in ("lost or other bytes", "more than offered", "valid twice", "left in incoming")):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
