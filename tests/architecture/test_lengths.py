"""A file is a noun of the trade and has at most 400 lines; there is no drawer for what has no name."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 400
DRAWERS = {"utils", "util", "common", "helpers", "misc"}


def sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    paths = [ROOT / name for name in names] or [p for p in ROOT.rglob("*.py") if ".venv" not in p.parts]
    return [path for path in paths if path.exists()]


def test_no_file_is_longer_than_400_lines() -> None:
    long = {str(p.relative_to(ROOT)): n for p in sources() if (n := len(p.read_text().splitlines())) > LONGEST}
    assert long == {}


def test_every_file_is_named_after_something() -> None:
    assert [str(p.relative_to(ROOT)) for p in sources() if p.stem in DRAWERS or p.parent.name in DRAWERS] == []


@pytest.mark.parametrize("mark", ["TODO", "FIXME", "XXX", "NotImplementedError"])
def test_nothing_unfinished_is_left_in_the_code(mark: str) -> None:
    here = Path(__file__).resolve()
    found = [str(p.relative_to(ROOT)) for p in sources() if p != here and re.search(rf"\b{mark}\b", p.read_text())]
    assert found == []
