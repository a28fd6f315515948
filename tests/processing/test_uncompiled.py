"""The kernels as plain Python."""

import os
import subprocess
import sys
from pathlib import Path


def test_kernels_agree_with_their_twins_without_the_compiler_too() -> None:
    here = Path(__file__).parent
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            str(here / "test_kernels.py"),
            str(here / "test_measures_kernels.py"),
            str(here / "test_measures_weighted.py"),
        ],
        cwd=here.parents[1],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
