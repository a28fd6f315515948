"""Many small frames through SNOOPPIX while the archive commits every fault now and then: nothing lost, memory flat.

``python benchmarks/soak.py --frames 100000`` starts a stand-in archive and the daemon as processes of their own,
waits until every frame is valid, and compares every byte. What was given up or rejected on the way is asked for
again as an operator would, and counted.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import tomlkit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dbclient.database import Database
from dbclient.schema import FrameState
from dbclient.stores import Frames
from snooppix.standin.kinds import Standing
from snooppix.standin.orders import KINDS
from terapix.installation import etc_directory
from terapix.settings import load
from tests.support.archive import small_fits

ROOT = Path(__file__).resolve().parents[1]
FIRST = 1_000_000
SHARE = 0.01
"""Of all requests, for each kind of fault."""
APART = {"down", "replaced", "renewed", "stalled", "slow", "put-cut", "put-damaged", "put-lost"}
"""Faults that need a file of their own, last by the clock alone, or are of the way back."""
LOOK = 2.0
"""Seconds between two looks at how far it is."""


@dataclass(slots=True)
class Watch:
    """What was seen on the way."""

    begin: float = field(default_factory=time.perf_counter)
    memory: list[tuple[int, float]] = field(default_factory=list)
    """Frames valid, and MB resident in the daemon."""
    asked_again: int = 0
    cpu: float = 0.0
    """Seconds of user and system time of the daemon."""
    states: Counter[str] = field(default_factory=Counter)

    def level(self, share: float, frames: int) -> float:
        """Largest MB resident up to the moment when a share of the frames was valid."""
        return max((mb for valid, mb in self.memory if valid <= share * frames), default=0.0)


def paint(directory: Path, frames: int) -> None:
    """Write small frames that differ in their number only, as bytes: FITS libraries would take minutes."""
    plain = small_fits(f"{FIRST}p", ccds=1)
    card = re.search(rb"EXPNUM  = +%d" % FIRST, plain)
    assert card is not None
    plain = re.sub(rb"(CHECKSUM|DATASUM )= .{70}", b"COMMENT " + b" " * 72, plain)
    for number in range(FIRST, FIRST + frames):
        file = directory / f"{number}p.fits"
        file.write_bytes(plain[: card.start()] + card[0].replace(b"%d" % FIRST, b"%d" % number) + plain[card.end() :])


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


def resident(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss / 1e6
    return 0.0


async def follow(database: Database, daemon: subprocess.Popen[bytes], frames: int, watch: Watch) -> None:
    """Watch until all are valid; ask again for what was given up once nothing else moves."""
    process, asked = psutil.Process(daemon.pid), 0.0
    while True:
        if daemon.poll() is not None:
            raise SystemExit(f"the daemon ended with {daemon.returncode}")
        async with database.read() as session:
            states = {state.value: count for state, count in (await Frames().counts(session)).items()}
        valid, total = states.get("valid", 0), sum(states.values())
        watch.states = Counter(states)
        watch.memory.append((valid, resident(process)))
        watch.cpu = sum(process.cpu_times()[:2])
        seconds = time.perf_counter() - watch.begin
        print(
            f"\r{seconds:6.0f} s  {valid}/{frames} valid  {states}  {watch.memory[-1][1]:.0f} MB ",
            end="",
            file=sys.stderr,
        )
        if valid == frames == total:
            print(file=sys.stderr)
            return
        given_up = [s for s in (FrameState.REJECTED, FrameState.FAILED) if states.get(s.value)]
        if given_up and time.perf_counter() - asked > 60:
            asked = time.perf_counter()
            async with database.write() as session:
                for state in given_up:
                    for frame in await Frames().search(session, state=state, limit=1000):
                        await Frames().retry(session, frame.id, now=frame.spotted_at, source="operator:soak")
                        watch.asked_again += 1
        await asyncio.sleep(LOOK)


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
    database = await Database.open(load(config, environment={}).settings.database_url, create=True)
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
    lost = [p.name for p in archive.iterdir() if (held / p.name).read_bytes() != p.read_bytes()]
    more = {p.name for p in held.iterdir()} - {p.name for p in archive.iterdir()}
    return {
        "frames": frames,
        "kinds of faults": kinds,
        "share of each": share,
        "seconds": round(seconds, 1),
        "frames a second": round(frames / seconds, 1),
        "CPU ms a frame in the daemon": round(1000 * watch.cpu / frames, 1),
        "asked for again": watch.asked_again,
        "lost or other bytes": len(lost),
        "more than offered": len(more),
        "left in incoming": len(list((host / "reception" / "incoming").iterdir())),
        "MB at a tenth, half, end": [round(watch.level(part, frames)) for part in (0.1, 0.5, 1.0)],
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
    if found["lost or other bytes"] or found["more than offered"] or found["left in incoming"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
