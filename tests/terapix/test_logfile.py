"""The lines that a daemon keeps: bounded, read from their end, and believed in nothing."""

import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from terapix.journal import keep_journal, logger, open_journal
from terapix.logfile import BACK, LONGEST, LogFile, before, place, stamp, tail
from terapix.sections import JournalSection, Settings


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def line(event: str, level: str = "info", **facts: object) -> str:
    return json.dumps({"timestamp": "2026-11-24T03:00:00Z", "level": level, "part": "p", "event": event, **facts})


def filled(directory: Path, *lines: str, keep: int = 10_000) -> LogFile:
    file = LogFile(place(directory, "snooppix"), keep=keep)
    for one in lines:
        file.write(one)
    return file


def fail(*, password: str) -> None:
    raise ValueError(f"{len(password)} signs")


def events(directory: Path, **asked: object) -> list[str]:
    return [found.event for found in tail(directory, "snooppix", **asked)]  # type: ignore[arg-type]


def test_what_is_logged_is_kept_whatever_the_terminal_shows(tmp_path: Path) -> None:
    section = JournalSection(style="terminal")
    open_journal(section, daemon="snooppix", stream=io.StringIO(), directory=tmp_path / "log")
    logger("watcher").info("frame spotted", frame="979412p", access_token="geheim")
    logger("wire").warning("asked", address="https://ann:geheim@host.example/x?token=geheim")
    newest, oldest = tail(tmp_path / "log", "snooppix")
    assert (oldest.part, oldest.event, oldest.level) == ("watcher", "frame spotted", "info")
    assert ("frame", "979412p") in oldest.facts
    assert newest.moment is not None
    written = place(tmp_path / "log", "snooppix")
    assert "geheim" not in written.read_text()
    assert stat.S_IMODE(written.stat().st_mode) == 0o640


def test_a_traceback_is_kept_in_one_line_without_local_variables(tmp_path: Path) -> None:
    open_journal(JournalSection(), daemon="snooppix", stream=io.StringIO(), directory=tmp_path)
    try:
        fail(password="geheim")
    except ValueError:
        logger("wire").exception("failed")
    (found,) = tail(tmp_path, "snooppix")
    assert ("exception", "ValueError: 6 signs") in found.facts
    assert "geheim" not in place(tmp_path, "snooppix").read_text()


def test_nothing_is_kept_where_none_is_wanted(tmp_path: Path) -> None:
    settings = Settings.model_validate({"paths": {"directory": str(tmp_path)}, "journal": {"keep": 0}})
    keep_journal(settings, daemon="snooppix")
    logger("wire").warning("asked")
    assert list(tmp_path.iterdir()) == []


def test_the_files_stay_below_what_is_kept_and_the_latest_lines_are_there(tmp_path: Path) -> None:
    filled(tmp_path, *(line(f"event {number}") for number in range(400)), keep=8000)
    path = place(tmp_path, "snooppix")
    assert path.stat().st_size + before(path).stat().st_size <= 8000 + LONGEST
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["snooppix.1.jsonl", "snooppix.jsonl"]
    assert events(tmp_path, limit=30) == [f"event {number}" for number in range(399, 369, -1)]


def test_a_full_disk_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file where the directory should be")
    filled(tmp_path / "log", line("lost"))
    assert events(tmp_path / "log") == []


def test_lines_are_chosen_by_level_and_by_letters(tmp_path: Path) -> None:
    filled(
        tmp_path, line("a", "debug"), line("b"), line("c", "warning"), line("d", "critical"), line("e", frame="979P")
    )
    assert events(tmp_path, level="debug") == ["e", "d", "c", "b", "a"]
    assert events(tmp_path) == ["e", "d", "c", "b"]
    assert events(tmp_path, level="warning") == ["d", "c"]
    assert events(tmp_path, level="error") == ["d"]
    assert events(tmp_path, text="979p") == ["e"]


@pytest.mark.parametrize(
    "raw",
    ["no json", "[1, 2]", '"text"', '{"event": ["a"], "level": 3, "timestamp": "yesterday"}', "{" * 5000,
     '{"event": "x", "timestamp": "2026-11-24"}', "\ud800", '{"exception": [{"exc_type": 1}]}'],
)  # fmt: skip
def test_lines_of_strangers_are_shown_and_not_believed(tmp_path: Path, raw: str) -> None:
    filled(tmp_path, raw)
    (found,) = tail(tmp_path, "snooppix")
    assert found.moment is None
    assert found.level == "info"


def test_only_a_bounded_piece_of_the_end_is_read(tmp_path: Path) -> None:
    path = place(tmp_path, "snooppix")
    path.write_text("x" * (2 * BACK) + "\n" + line("last") + "\n" + line("half a line"))
    assert events(tmp_path) == ["last"]
    path.write_text("y" * (3 * BACK))
    assert events(tmp_path) == []


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    filled(tmp_path, line("x" * (2 * LONGEST)), keep=10**6)
    assert place(tmp_path, "snooppix").stat().st_size == LONGEST


def test_no_link_and_no_pipe_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(line("secret") + "\n")
    place(tmp_path, "snooppix").symlink_to(tmp_path / "secret")
    assert events(tmp_path) == []
    filled(tmp_path, line("more"))
    assert (tmp_path / "secret").read_text().count("\n") == 1


def test_a_new_line_changes_the_stamp(tmp_path: Path) -> None:
    assert stamp(tmp_path, "snooppix") == (0, 0)
    file = filled(tmp_path, line("a"))
    first = stamp(tmp_path, "snooppix")
    file.write(line("b"))
    assert stamp(tmp_path, "snooppix") != first
