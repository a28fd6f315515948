"""The shape of a figure, and how whole processes are timed."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over several runs of a whole process and its children."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds of user and system time."""
    peak_mb: float
    """Largest resident size of the process, MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: ours beside the peer's, with the agreement that gives it a meaning."""

    part: str
    input: str
    ours: float | None
    """Seconds of wall time."""
    ours_cpu: float | None = None
    peer: str | None = None
    """Name of the peer; none where nobody else does this."""
    peer_seconds: float | None = None
    peer_cpu: float | None = None
    agreement: str = ""
    goal: str | None = None

    @property
    def ratio(self) -> float | None:
        """How many times faster than the peer."""
        return self.peer_seconds / self.ours if self.peer_seconds and self.ours else None


COLUMNS = ("part", "input", "ours s (CPU)", "peer s (CPU)", "times faster", "goal", "agreement")


def installed(root: Path, place: Path) -> dict[str, str]:
    """Environment of a command of ours as it is installed: its modules have bytecode, which is kept in `place`."""
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONPYCACHEPREFIX": str(place / "bytecode")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return env


def timed(
    argv: Sequence[str],
    *,
    runs: int = 3,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    before: Callable[[], object] = lambda: None,
) -> Timing:
    """Run a command several times and take medians; a run that fails ends the benchmark.

    Parameters
    ----------
    before : called before each run, to take away what the last one left; it is not timed
    """
    found = []
    for _ in range(runs):
        before()
        found.append(_once(argv, env, cwd))
    return Timing(*(statistics.median(getattr(t, name) for t in found) for name in ("wall", "cpu", "peak_mb")))


_STOPWATCH = """
import json, os, subprocess, sys, time
begin = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
wall = time.perf_counter() - begin
code = os.waitstatus_to_exitcode(status)
print(json.dumps([code, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
"""
"""A small process that starts the command: a child's peak counts from what its parent held, and benches hold much."""


def _once(argv: Sequence[str], env: Mapping[str, str] | None, cwd: Path | None) -> Timing:
    watch = [sys.executable, "-S", "-c", _STOPWATCH, *argv]
    done = subprocess.run(watch, stdout=subprocess.PIPE, env=env, cwd=cwd, check=True)
    code, wall, cpu, peak = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{' '.join(argv)} ended with {code}")
    return Timing(wall, cpu, peak)


def _seconds(wall: float | None, cpu: float | None) -> str:
    if wall is None:
        return ""
    return f"{wall:.2f} ({cpu:.2f})" if cpu is not None else f"{wall:.2f}"


def table(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        peer = f"{row.peer} {_seconds(row.peer_seconds, row.peer_cpu)}" if row.peer else ""
        ratio = f"{row.ratio:.2f}" if row.ratio else ""
        cells = (row.part, row.input, _seconds(row.ours, row.ours_cpu), peer, ratio, row.goal or "", row.agreement)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def command_line(measure: Callable[[], Sequence[Row]]) -> None:
    """Measure, print the table, and write it to ``--json FILE`` where wanted."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows here")
    arguments = parser.parse_args()
    rows = measure()
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
