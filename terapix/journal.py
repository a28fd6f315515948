"""What is logged: events with fields, as JSON lines for the journal or coloured lines for a person."""

import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

from terapix.logfile import LogFile, place
from terapix.reference import without_password
from terapix.sections import JournalSection, Settings

SECRETS = ("token", "password", "authorization", "cookie", "credential", "secret")
"""A field whose name holds one of these words is never written."""
KEPT = "(kept secret)"
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Levels as the journal counts them (sd-daemon(3)), so that ``journalctl -p warning`` finds them."""
FIRST = ("timestamp", "level", "daemon", "part", "event")
"""Fields that begin each line of JSON."""
TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
"""How a line of JSON tells a traceback: without local variables, which may hold secrets."""
FOREIGN = logging.WARNING
"""Level from which on other people's libraries are heard."""

Event = MutableMapping[str, Any]
Processor = Callable[[Any, str, Event], Any]


def redact(logger: Any, method: str, event: Event) -> Event:
    """Take the values of secret fields out of an event, at any depth."""
    del logger, method
    return {key: _redacted("" if key == "event" else key, value) for key, value in event.items()}


def _redacted(key: str, value: Any) -> Any:
    if any(word in key.lower() for word in SECRETS):
        return KEPT
    if isinstance(value, str):
        return without_password(value)
    if isinstance(value, Mapping):
        return {str(name): _redacted(str(name), item) for name, item in value.items()}
    return value


def keep_journal(settings: Settings, *, daemon: str) -> None:
    """Set up logging for a daemon, which also keeps its latest lines for the console."""
    section = settings.journal
    open_journal(section, daemon=daemon, directory=settings.at(section.directory) if section.keep else None)


def open_journal(
    section: JournalSection, *, daemon: str, stream: TextIO | None = None, directory: Path | None = None
) -> None:
    """Set up logging for this process; warnings of Python and of libraries are written in the same way.

    Parameters
    ----------
    section : JournalSection
        Level and style.
    daemon : str
        Written in every event.
    stream : text stream
        Where to; standard error by default.
    directory : Path
        Where the latest lines are kept as well; none: nowhere.
    """
    target = stream or sys.stderr
    terminal = section.style == "terminal" or (section.style == "auto" and target.isatty())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _belongs_to(daemon),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    if directory is not None:
        processors.append(_keeping(LogFile(place(directory, daemon), keep=section.keep)))
    if terminal:
        processors.append(_time_of_day)
        plain = structlog.dev.plain_traceback  # the default shows local variables, which may hold secrets
        processors.append(structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=plain))
    else:
        processors += [TRACEBACKS, _json_line(journald=_is_journal(target))]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, section.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Foreign)]
    root.addHandler(_Foreign(FOREIGN))
    logging.captureWarnings(capture=True)


def logger(name: str) -> FilteringBoundLogger:
    """Give the logger of a part, as ``log = logger("watcher")``; events are sentences, facts are fields."""
    return cast("FilteringBoundLogger", structlog.get_logger(part=name))


class _Foreign(logging.Handler):
    """Takes what libraries log into our journal."""

    def emit(self, record: logging.LogRecord) -> None:
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)
        logger(record.name).log(level, record.getMessage(), exc_info=record.exc_info)


def _belongs_to(daemon: str) -> Processor:
    def add(_: Any, __: str, event: Event) -> Event:
        return {"daemon": daemon, **event}

    return add


def _keeping(file: LogFile) -> Processor:
    line = _json_line(journald=False)

    def keep(logger: Any, method: str, event: Event) -> Event:
        file.write(line(logger, method, TRACEBACKS(logger, method, dict(event))))
        return event

    return keep


def _time_of_day(_: Any, __: str, event: Event) -> Event:
    return {**event, "timestamp": str(event["timestamp"])[11:19]}


def _json_line(*, journald: bool) -> Callable[[Any, str, Event], str]:
    render = structlog.processors.JSONRenderer(default=str, ensure_ascii=False)

    def write(logger: Any, method: str, event: Event) -> str:
        event = {name: event[name] for name in FIRST if name in event} | dict(event)
        prefix = f"<{PRIORITIES.get(event.get('level', ''), 6)}>" if journald else ""
        return f"{prefix}{render(logger, method, event)!s}"

    return write


def _is_journal(stream: TextIO) -> bool:
    """Tell whether a stream leads to journald, which names it in JOURNAL_STREAM as device:inode."""
    try:
        held = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{held.st_dev}:{held.st_ino}"
