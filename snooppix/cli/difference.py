"""``terapix snooppix look`` and ``difference``: ask for a look or a full difference now, and show the last ones."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from dbclient.database import Database
from dbclient.records import DifferenceRecord, RequestRecord
from dbclient.schema import RequestKind, RequestState
from dbclient.stores import Differences, Requests
from snooppix.cli.answers import NOT_ALL, TRY_AGAIN, ConfigOption, JsonOption, out, print_json, settings_of, wrong
from terapix.errors import TerapixError
from terapix.sections import Settings

T = TypeVar("T")
app = typer.Typer()

REFUSED = 1
"""Exit code when the daemon refuses, as while the archive is silent."""
COUNTS = ("listed", "missed", "changed", "withdrawn", "returned", "lost", "strange")
WaitOption = Annotated[float, typer.Option("--wait", help="Seconds to wait for the daemon's answer; 0: do not wait.")]


@app.command()
def look(config: ConfigOption = None, *, wait: WaitOption = 60.0, as_json: JsonOption = False) -> None:
    """Let SNOOPPIX look at the archive now.

    Exit code 0: it looked; 1: the archive does not answer; 75: the daemon has not answered yet.
    """
    _say(_asked(settings_of(config), RequestKind.LOOK, {}, wait=wait), as_json=as_json)


@app.command()
def difference(
    config: ConfigOption = None,
    *,
    now: Annotated[bool, typer.Option("--now", help="Compare archive, database and disks now.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Mark as withdrawn whatever the archive has no more, however much.")
    ] = False,
    wait: WaitOption = 600.0,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Differences shown.")] = 10,
    as_json: JsonOption = False,
) -> None:
    """Show what the full differences of archive, database and disks have found; --now asks for one.

    Exit code 0: the last one is whole and leaves nothing open; 3: it failed, or left something to an operator;
    75: the daemon has not answered yet.
    """
    settings = settings_of(config)
    if trust and not now:
        typer.echo("--trust belongs to --now: it is said of one difference.", err=True)
        raise typer.Exit(2)
    if now:
        answered = _asked(settings, RequestKind.DIFFERENCE, {"trust": True} if trust else {}, wait=wait)
        if answered.state is RequestState.OPEN:
            _say(answered, as_json=as_json)

    async def latest(database: Database) -> list[DifferenceRecord]:
        async with database.read() as session:
            return await Differences().latest(session, limit=limit)

    found = _with(settings, latest)
    if as_json:
        print_json([{name: getattr(one, name) for name in DifferenceRecord.__slots__} for one in found])
    elif not found:
        out.print("No full difference was made yet: terapix snooppix difference --now asks for one.", soft_wrap=True)
    else:
        table = Table("begun (UTC)", "state", "by", *COUNTS, "reason", box=None)
        for one in found:
            counts = [str(getattr(one, name) or "") for name in COUNTS]
            table.add_row(f"{one.started_at:%Y-%m-%d %H:%M}", one.state.value, one.asked_by, *counts, one.reason or "")
        out.print(table)
    raise typer.Exit(NOT_ALL if found and found[0].reason else 0)


def _say(request: RequestRecord, *, as_json: bool) -> None:
    if as_json:
        print_json({name: getattr(request, name) for name in ("id", "kind", "state", "answer")})
    else:
        waiting = f"Request {request.id} is written; snooppix will act on it."
        out.print(request.answer or waiting, soft_wrap=True, highlight=False)
    raise typer.Exit({RequestState.REFUSED: REFUSED, RequestState.OPEN: TRY_AGAIN}.get(request.state, 0))


def _asked(settings: Settings, kind: RequestKind, arguments: dict[str, Any], *, wait: float) -> RequestRecord:
    """Write a request, and wait for the daemon's answer."""

    async def ask(database: Database) -> RequestRecord:
        async with database.write() as session:
            number = await Requests().ask(session, kind, arguments, by=getpass.getuser(), now=datetime.now(UTC))
        loop = asyncio.get_running_loop()
        end = loop.time() + wait
        while True:
            async with database.read() as session:
                request = await Requests().get(session, number)
            if request.state is not RequestState.OPEN or loop.time() >= end:
                return request
            await database.changed(timeout=end - loop.time())

    return _with(settings, ask)


def _with(settings: Settings, question: Callable[[Database], Awaitable[T]]) -> T:
    """Ask the database; what is wrong with it ends the command in plain words."""

    async def whole() -> T:
        database = await Database.open(settings.database_url)
        try:
            return await question(database)
        finally:
            await database.close()

    try:
        return asyncio.run(whole())
    except TerapixError as problem:
        raise wrong(problem) from problem
