"""The painter: one file of each kind at the true size of MegaCam, painted, compressed and put on disk."""

import hashlib
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from figures import Row, command_line

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from processing.skymaker.painter import Kind, Painting, files_of, paint_run, paintings

CCDS = 36
SEED = 2003
WORKERS = 2
GOALS = {Kind.PROCESSED: "25 s", Kind.FLAT: "20 s", Kind.MASK: None, Kind.RAW: None}


@dataclass(frozen=True, slots=True)
class Painted:
    """What it took to paint a file."""

    wall: float
    cpu: float
    """Seconds, of this process and its workers."""
    peak_mb: float
    """Largest resident size of a worker, MB."""
    size: int
    md5: str


def cpu_seconds() -> float:
    """CPU seconds of this process and of its living children."""
    mine = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in [mine, *mine.children(recursive=True)])


def peak_mb() -> float:
    """Largest resident size that a child had, or this process where it has none."""
    mine = psutil.Process()
    pids = [child.pid for child in mine.children(recursive=True)] or [os.getpid()]
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return max(int(found[1]) for text in texts if (found := re.search(r"VmHWM:\s+(\d+) kB", text))) / 1024


def paint(directory: Path, painting: Painting, workers: int) -> Painted:
    """Paint one file again, all the others of the run being there."""
    target = directory / painting.file
    for name in files_of(painting):
        (directory / name).unlink(missing_ok=True)
    begin, before = time.perf_counter(), cpu_seconds()
    paint_run(directory, frames=1, ccds=CCDS, seed=SEED, workers=workers)
    wall, cpu = time.perf_counter() - begin, cpu_seconds() - before
    return Painted(wall, cpu, peak_mb(), target.stat().st_size, hashlib.md5(target.read_bytes()).hexdigest())


def measure() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-painter-", dir=Path.cwd()) as scratch:
        directory = Path(scratch)
        paint_run(directory, frames=1, ccds=CCDS, seed=SEED, workers=WORKERS)
        for painting in paintings(1, ccds=CCDS, seed=SEED):
            found = sorted((paint(directory, painting, WORKERS) for _ in range(3)), key=lambda painted: painted.wall)[1]
            alone = paint(directory, painting, 1)
            same = "the same bytes" if alone.md5 == found.md5 else "OTHER BYTES"
            told = f"{same} as with one worker ({alone.wall:.1f} s); {found.peak_mb:.0f} MB a worker"
            rows.append(
                Row(
                    part=f"paint: {painting.kind.value}",
                    input=f"{painting.extensions} CCDs, {WORKERS} workers, {found.size / 1e6:.0f} MB",
                    ours=found.wall,
                    ours_cpu=found.cpu,
                    agreement=told,
                    goal=GOALS[painting.kind],
                )
            )
    return rows


if __name__ == "__main__":
    command_line(measure)
