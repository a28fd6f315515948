"""A test may kill a process at each named step, once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from terapix.installation import etc_directory
from terapix.steps import STEPS, reached

AT = "move.renamed"


def pass_all(once: Path, at: str) -> subprocess.CompletedProcess[str]:
    """Pass every step in a process in which `at` is armed; it prints each."""
    return subprocess.run(
        [sys.executable, "-c", "from terapix.steps import *\nfor s in STEPS: print(s, flush=True); reached(s)"],
        cwd=ROOT,
        env={**os.environ, "TERAPIX_DIE_AT": at, "TERAPIX_DIE_ONCE": str(once)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_process_dies_at_the_step_and_passes_it_the_next_time(tmp_path: Path) -> None:
    first = pass_all(tmp_path, f"nothing,{AT}")
    assert first.returncode == -signal.SIGKILL
    assert first.stdout.split()[-1] == AT
    second = pass_all(tmp_path, AT)
    assert (second.returncode, tuple(second.stdout.split())) == (0, STEPS)


def test_nothing_happens_where_nothing_is_armed() -> None:
    for step in STEPS:
        reached(step)


def test_the_shipped_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERAPIX_ETC", raising=False)
    assert (etc_directory() / "instruments" / "megacam.toml").is_file()
    (tmp_path / "instruments").mkdir()
    monkeypatch.setenv("TERAPIX_ETC", str(tmp_path))
    assert etc_directory() == tmp_path
