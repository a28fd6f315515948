"""How ``terapix snooppix`` answers: its options, exit codes, settings and JSON."""

import enum
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from terapix.errors import TerapixError
from terapix.sections import Settings
from terapix.settings import load

out = Console()

NOT_ALL = 3
"""Exit code when some files are not accepted."""
USAGE = 2
TRY_AGAIN = 75
"""Exit code when the archive does not answer now."""
ConfigOption = Annotated[Path | None, typer.Option("-c", "--config", metavar="FILE", help="Settings file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings_of(config: Path | None) -> Settings:
    """Return the settings; end with exit code 2 and their error where they do not hold."""
    try:
        return load(config).settings
    except TerapixError as problem:
        raise wrong(problem) from problem


def wrong(problem: TerapixError) -> typer.Exit:
    """Say on the error stream what is wrong, and return the end of the command."""
    typer.echo(str(problem), err=True)
    return typer.Exit(USAGE)


def print_json(value: object) -> None:
    """Print a value as JSON, times in ISO format."""
    typer.echo(json.dumps(value, indent=2, default=_plain, ensure_ascii=False))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, enum.Enum) else str(value)
