"""How commands answer: tables for people, JSON for programs, and exit codes that mean one thing."""

import asyncio
import enum
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from dbclient.database import Database
from terapix.errors import TerapixError
from terapix.quantities import in_words
from terapix.settings import Loaded, load

T = TypeVar("T")


class Exit(enum.IntEnum):
    OK = 0
    FAILURE = 1
    USAGE = 2
    SOME_FAILED = 3  #: the command ran, and some of what it looked at is not well
    NOT_FOUND = 4  #: no such frame, run or node
    TRY_AGAIN = 75  #: a part does not answer now


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Settings file; else TERAPIX_CONFIG, ./terapix.toml, /etc/terapix/terapix.toml"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer as JSON on standard output")]

out = Console()
err = Console(stderr=True)


def settings(config: Path | None) -> Loaded:
    """Load the settings, or end with their problems in plain words."""
    try:
        return load(config)
    except TerapixError as problem:
        stop(str(problem), Exit.USAGE)


def stop(message: str, code: Exit) -> NoReturn:
    """End the command with a message for the person at the terminal."""
    err.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


@asynccontextmanager
async def opened(loaded: Loaded) -> AsyncIterator[Database]:
    """Open the database that the settings name."""
    database = await Database.open(loaded.settings.database_url)
    try:
        yield database
    finally:
        await database.close()


def ask(config: Path | None, question: Callable[[Database, Loaded], Awaitable[T]]) -> T:
    """Ask the database; what is wrong with it ends the command in plain words."""
    loaded = settings(config)

    async def whole() -> T:
        async with opened(loaded) as database:
            return await question(database, loaded)

    try:
        return asyncio.run(whole())
    except TerapixError as problem:
        stop(str(problem), Exit.TRY_AGAIN if problem.retryable else Exit.FAILURE)


def plain(value: Any) -> Any:
    """Give `value` as JSON knows it: records as objects, instants as ISO 8601 in UTC."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def say_json(value: Any) -> None:
    sys.stdout.write(json.dumps(plain(value), indent=2) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print a table, or the sentence that says why there is none; numbers stand to the right."""
    listed = [list(row) for row in rows]
    if not listed:
        out.print(empty)
        return
    grid = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        numeric = all(isinstance(row[number], (int, float)) or row[number] in (None, "") for row in listed)
        grid.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in listed:
        grid.add_row(*(cell(value) for value in row))
    out.print(grid)


def cell(value: Any) -> str:
    """Show a value in a table."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:.1f}"
    return str(value)


def size(count: float | None) -> str:
    """Write a number of bytes as a person reads it: 310 MB, 2.5 GB."""
    if count is None:
        return ""
    return in_words(count)


def byte_count(words: str) -> int:
    """Read a number of bytes as a person writes it: 500GB, 2.5 TB, 1000; end the command where it is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGTP]?)B?", words.strip())
    if not found:
        stop(f"{words!r} is no number of bytes: write it as 500GB.", Exit.USAGE)
    return int(float(found[1]) * 1000 ** " kMGTP".index(found[2] or " "))
