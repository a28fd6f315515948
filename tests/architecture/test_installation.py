"""What a newcomer installs is pinned with hashes, names no host, and agrees with what the project says it needs."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-test.lock")


def pinned(lock: str) -> dict[str, str]:
    """Give each package of a lock with the text up to the next one."""
    text = (ROOT / lock).read_text()
    parts = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {part.split("==")[0]: part for part in parts if part.strip()}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    found = pinned(lock)
    assert len(found) > 20
    assert [name for name, part in found.items() if "--hash=sha256:" not in part] == []
    assert "://" not in (ROOT / lock).read_text()


def test_what_the_project_needs_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def name(requirement: str) -> str:
        return re.split(r"[<>=\[; ]", requirement)[0].lower()

    assert {name(r) for r in project["dependencies"]} <= set(pinned(LOCKS[0]))
    assert {name(r) for r in project["optional-dependencies"]["test"]} <= set(pinned(LOCKS[1]))


def test_both_locks_pin_the_same_versions() -> None:
    run, test = pinned(LOCKS[0]), pinned(LOCKS[1])
    versions = [{name: re.split(r"[;\\]", part)[0].strip() for name, part in lock.items()} for lock in (run, test)]
    assert {name: line for name, line in versions[0].items() if versions[1].get(name) != line} == {}


def test_the_readme_opens_with_the_two_commands() -> None:
    first = [line.split()[:2] for line in (ROOT / "README.md").read_text().splitlines()[1:5] if line.strip()]
    assert first == [["make", "run"], ["make", "test"]]
