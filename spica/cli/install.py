"""Commands of those who install: settings and schema."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from dbclient import migration
from dbclient.records import ConfigurationRecord
from dbclient.stores import Configurations
from spica.cli.answers import ConfigOption, Exit, JsonOption, err, opened, out, say_json, settings, stop, table
from terapix.errors import TerapixError
from terapix.overlay import Overlay
from terapix.settings import Loaded, default_file, load, problems, rows

config = typer.Typer(no_args_is_help=True)
db = typer.Typer(no_args_is_help=True)


@config.command("show")
def show(
    file: ConfigOption = None,
    *,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False,
    default: Annotated[bool, typer.Option("--default", help="Print the default file with its comments.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show every setting that holds now: of SNOOPPIX with the version that operators saved on the page."""
    if default:
        out.print(default_file(), markup=False, highlight=False, soft_wrap=True, end="")
        return
    listed = rows(_with_version(settings(file)))
    if as_json:
        say_json([{"key": row.key, "value": row.value, "origin": row.origin} for row in listed])
        return
    for row in listed:
        line = f"{row.key} = {row.value}"
        out.print(f"{line:<72} # {row.origin}" if origin else line, markup=False, highlight=False, soft_wrap=True)


def _with_version(loaded: Loaded) -> Loaded:
    """Lay the newest version of SNOOPPIX' settings over the file, where a database is at hand and the version holds."""

    async def newest() -> ConfigurationRecord | None:
        async with opened(loaded) as database, database.read() as session:
            return await Configurations().newest(session, "snooppix")

    url = loaded.settings.database_url
    if url.startswith("sqlite") and not Path(url.split("///", 1)[1]).exists():
        return loaded
    try:
        version = asyncio.run(newest())
        return load(loaded.path, overlay=Overlay(version.text, version.id)) if version else loaded
    except TerapixError as problem:
        err.print(f"Without operators' version: {problem}", markup=False, highlight=False, soft_wrap=True)
        return loaded


@config.command("check")
def check(file: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Check a settings file: unknown keys, bad values, all at once."""
    found = problems(file)
    if as_json:
        say_json({"accepted": not found, "problems": found})
    elif not found:
        out.print("The settings hold.")
    else:
        for problem in found:
            out.print(problem, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.USAGE if found else Exit.OK)


@db.command("upgrade")
def upgrade(file: ConfigOption = None) -> None:
    """Bring the database to this version's schema; nothing is lost, and doing it twice does no harm."""
    url = settings(file).settings.database_url
    _directory_of(url)
    try:
        asyncio.run(migration.upgrade(url))
    except TerapixError as problem:
        stop(str(problem), Exit.FAILURE)
    out.print(f"The database is at schema {migration.head()}.")


@db.command("current")
def current(file: ConfigOption = None) -> None:
    """Show the schema the database has and the one this version needs."""
    try:
        held = asyncio.run(migration.current(settings(file).settings.database_url))
    except TerapixError as problem:
        stop(str(problem), Exit.FAILURE)
    table("Schema", ("held", "needed"), [(held or "none", migration.head())], empty="")
    raise typer.Exit(Exit.OK if held == migration.head() else Exit.SOME_FAILED)


def _directory_of(url: str) -> None:
    if url.startswith("sqlite"):
        Path(url.split("///", 1)[1]).parent.mkdir(parents=True, exist_ok=True)
