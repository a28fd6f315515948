"""What is logged: events with fields, as JSON lines for the journal or coloured lines for a person."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

from terapix.sections import JournalSection

SECRETS = ("token", "password", "authorization", "cookie", "credential", "secret")
"""A field whose name holds one of these words is never written."""


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take the values of secret fields out of an event."""
    del logger, method
    for key in event:
        if key != "event" and any(word in key.lower() for word in SECRETS):
            event[key] = "(kept secret)"
    return event


def open_journal(section: JournalSection, *, daemon: str, stream: TextIO | None = None) -> None:
    """Set up logging for this process.

    Parameters
    ----------
    section : JournalSection
        Level and style.
    daemon : str
        Written in every event.
    stream : text stream
        Where to; standard error by default.
    """
    target = stream or sys.stderr
    terminal = section.style == "terminal" or (section.style == "auto" and target.isatty())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=True),
        redact,
    ]
    if terminal:
        processors.append(structlog.dev.ConsoleRenderer(colors=target.isatty()))
    else:
        processors += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(default=str)]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, section.level.upper())),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(daemon=daemon)


def logger(name: str) -> FilteringBoundLogger:
    """Give the logger of a part, as ``log = logger("watcher")``; events are sentences, facts are fields."""
    return cast("FilteringBoundLogger", structlog.get_logger(part=name))
