"""Run every benchmark in turn and write benchmarks/RESULTS.md."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from figures import Row, table

HERE = Path(__file__).resolve().parent


def main() -> None:
    rows: list[Row] = []
    failed: list[str] = []
    chosen = sys.argv[1:] or sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    for name in chosen:
        print(f"— {name}", flush=True)
        with tempfile.NamedTemporaryFile(suffix=".json") as answer:
            done = subprocess.run([sys.executable, str(HERE / f"bench_{name}.py"), "--json", answer.name], check=False)
            if done.returncode:
                failed.append(name)
                continue
            rows += [Row(**row) for row in json.loads(Path(answer.name).read_text())]
    print(table(rows))
    if not sys.argv[1:]:
        (HERE / "RESULTS.md").write_text(page(rows))
    if failed:
        raise SystemExit(f"these benchmarks failed: {', '.join(failed)}")


def page(rows: list[Row]) -> str:
    """Give the page of results, with the machine they were measured on."""
    day = datetime.now(UTC).date()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {day}"
    return (
        "# Figures\n\n"
        "Seconds of wall time, CPU seconds in brackets; ours and the peer's are measured side by side, in one run,\n"
        "on the same input. "
        f"Last run: {machine}. `make bench` writes this page.\n\n" + table(rows) + "\n"
    )


if __name__ == "__main__":
    main()
