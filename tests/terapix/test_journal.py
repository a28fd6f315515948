"""What is logged: events with fields, secrets left out."""

import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from terapix.journal import KEPT, logger, open_journal
from terapix.sections import JournalSection


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.getLogger().handlers = handlers


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_events_are_json_lines_unless_a_person_reads_them() -> None:
    stream = io.StringIO()
    open_journal(JournalSection(), daemon="snooppix", stream=stream)
    logger("watcher").info("frame spotted", frame="979412p", path=Path("/a"))
    (event,) = written(stream)
    assert list(event) == ["timestamp", "level", "daemon", "part", "event", "frame", "path"]
    assert event.pop("timestamp")
    assert event == {
        "daemon": "snooppix",
        "part": "watcher",
        "level": "info",
        "event": "frame spotted",
        "frame": "979412p",
        "path": "/a",
    }

    person = Terminal()
    open_journal(JournalSection(), daemon="snooppix", stream=person)
    logger("watcher").info("frame spotted", frame="979412p")
    assert "frame spotted" in person.getvalue()
    assert "979412p" in person.getvalue()
    assert not person.getvalue().startswith("{")


def test_secrets_are_left_out_at_any_depth() -> None:
    stream = io.StringIO()
    open_journal(JournalSection(), daemon="spica", stream=stream)
    logger("wire").info(
        "asked", access_token="geheim", headers={"Authorization": "geheim", "Accept": "*/*"}, Cookie="geheim"
    )
    (event,) = written(stream)
    assert "geheim" not in stream.getvalue()
    assert (event["access_token"], event["headers"]) == (KEPT, {"Authorization": KEPT, "Accept": "*/*"})


def sign_in(password: str) -> None:
    raise ValueError(f"{len(password)} characters are too few")


def test_a_traceback_does_not_show_local_variables() -> None:
    for stream in (io.StringIO(), Terminal()):
        open_journal(JournalSection(), daemon="spica", stream=stream)
        password = "geheim"
        try:
            sign_in(password)
        except ValueError:
            logger("wire").exception("failed")
        assert "ValueError" in stream.getvalue()
        assert "geheim" not in stream.getvalue()


def test_less_important_levels_are_not_written() -> None:
    stream = io.StringIO()
    open_journal(JournalSection(level="warning"), daemon="spica", stream=stream)
    logger("wire").info("asked")
    logger("wire").warning("refused")
    assert [event["event"] for event in written(stream)] == ["refused"]


def test_what_libraries_log_and_warn_is_written_in_the_same_way() -> None:
    stream = io.StringIO()
    open_journal(JournalSection(), daemon="spica", stream=stream)
    open_journal(JournalSection(), daemon="spica", stream=stream)
    logging.getLogger("aiohttp.server").error("Error handling %s", "request")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    first, second = written(stream)
    assert (first["part"], first["level"], first["event"]) == ("aiohttp.server", "error", "Error handling request")
    assert (second["part"], second["level"]) == ("py.warnings", "warning")


def test_the_journal_is_told_the_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        held = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{held.st_dev}:{held.st_ino}")
        open_journal(JournalSection(), daemon="spica", stream=stream)
        logger("wire").error("refused")
        stream.seek(0)
        assert stream.read().startswith('<3>{"timestamp": ')


def test_tests_read_records() -> None:
    with capture_logs() as logs:
        logger("mover").info("frame placed", frame="979412p", node="node1")
    assert logs == [
        {"event": "frame placed", "log_level": "info", "part": "mover", "frame": "979412p", "node": "node1"}
    ]
