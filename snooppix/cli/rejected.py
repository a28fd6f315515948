"""``terapix snooppix rejected``, ``retry`` and ``accept``: what was set aside, and what becomes of it."""

import asyncio
import getpass
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from dbclient.database import Database
from dbclient.records import RequestRecord
from dbclient.schema import RequestKind, RequestState
from dbclient.stores import Requests
from snooppix.cli.answers import USAGE, ConfigOption, JsonOption, out, print_json, settings_of, wrong
from snooppix.quarantine import Rejected, set_aside_on
from snooppix.reception import Receptions
from terapix.errors import TerapixError
from terapix.identity import UnsafeName, safe_name
from terapix.sections import Settings

app = typer.Typer()

PATIENCE = 10.0
"""Seconds a person gladly waits for the daemon's answer."""
REFUSED = 1
"""Exit code when the daemon refuses one of the frames."""
WordOption = Annotated[str | None, typer.Option("--word", metavar="W", help="Only what was rejected for this reason.")]
WaitOption = Annotated[float, typer.Option("--wait", help="Seconds to wait for the daemon's answer; 0: do not wait.")]


@app.command()
def rejected(config: ConfigOption = None, *, word: WordOption = None, as_json: JsonOption = False) -> None:
    """List what was set aside, with its reason, and the commands that look at it and fetch it again."""
    settings = settings_of(config)
    found = _set_aside(settings, word)
    if as_json:
        print_json([{"file": str(item.path), "word": item.word, "kept": item.kept, **item.why} for item in found])
        return
    if not found:
        where = " or ".join(str(disk.directory) for disk in settings.reception_disks.values())
        what = f"as {word} " if word else ""
        out.print(f"Nothing was rejected {what}in {where}.", soft_wrap=True, highlight=False)
        return
    table = Table("file", "word", "reason", "again", box=None)
    for item in found:
        name = item.path.name if item.kept else f"{item.path.name} (removed)"
        table.add_row(name, item.word, str(item.why.get("reason", "")), str(item.why.get("again", "")))
    out.print(table)


@app.command()
def retry(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Frames, as 979412p.")] = None,
    config: ConfigOption = None,
    *,
    word: WordOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All that was rejected.")] = False,
    wait: WaitOption = PATIENCE,
    as_json: JsonOption = False,
) -> None:
    """Fetch rejected frames again, and try failed or waiting ones at once.

    Exit code 0: all are due again; 1: the daemon refused some; 2: wrong usage.
    """
    settings = settings_of(config)
    if sum((bool(names), word is not None, everything)) != 1:
        typer.echo("Say which: names of frames, --word W, or --all.", err=True)
        raise typer.Exit(USAGE)
    chosen = _checked(names) if names else _frames_of(_set_aside(settings, word))
    if not chosen:
        out.print("Nothing was rejected there: nothing is asked for.")
        return
    asked = [(RequestKind.RETRY, {"frame": name}) for name in chosen]
    _say(_ask(settings, asked, wait=wait), as_json=as_json)


@app.command()
def accept(
    name: Annotated[str, typer.Argument(help="Rejected frame, as 979412p.")],
    because: Annotated[str, typer.Option("--because", help="Why; it stays in the frame's history with your name.")],
    config: ConfigOption = None,
    *,
    wait: WaitOption = PATIENCE,
    as_json: JsonOption = False,
) -> None:
    """Take a rejected frame all the same, if its file is whole and what the archive listed.

    Missing keywords, unfinished processing and a useless WCS can be excused; another digest, broken pixels or
    checksums, other CCDs and another exposure cannot. Exit code 1: the daemon refused, and says why.
    """
    settings = settings_of(config)
    [chosen] = _checked([name])
    if not because.strip():
        typer.echo("Say why: --because 'the observer wants it for its photometry'.", err=True)
        raise typer.Exit(USAGE)
    asked = [(RequestKind.ACCEPT, {"frame": chosen, "because": because.strip()})]
    _say(_ask(settings, asked, wait=wait), as_json=as_json)


def _set_aside(settings: Settings, word: str | None) -> list[Rejected]:
    found = [item for disk in Receptions.of(settings).disks for item in set_aside_on(disk)]
    return [item for item in found if word is None or item.word == word]


def _frames_of(found: Iterable[Rejected]) -> list[str]:
    """Names of frames, each once; files that belong to no frame cannot be fetched."""
    return list(dict.fromkeys(str(item.why["frame"]) for item in found if item.why.get("frame")))


def _checked(names: Iterable[str]) -> list[str]:
    try:
        return list(dict.fromkeys(safe_name(name) for name in names))
    except UnsafeName as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(USAGE) from problem


def _ask(settings: Settings, asked: list[tuple[RequestKind, dict[str, Any]]], *, wait: float) -> list[RequestRecord]:
    """Write requests, wait for the daemon's answers, and return what came of them."""

    async def whole() -> list[RequestRecord]:
        database = await Database.open(settings.database_url)
        try:
            async with database.write() as session:
                by, now = getpass.getuser(), datetime.now(UTC)
                numbers = [await Requests().ask(session, kind, told, by=by, now=now) for kind, told in asked]
            loop = asyncio.get_running_loop()
            end = loop.time() + wait
            while True:
                async with database.read() as session:
                    found = [await Requests().get(session, number) for number in numbers]
                if all(request.state is not RequestState.OPEN for request in found) or loop.time() >= end:
                    return found
                await database.changed(timeout=end - loop.time())
        finally:
            await database.close()

    try:
        return asyncio.run(whole())
    except TerapixError as problem:
        raise wrong(problem) from problem


def _say(requests: list[RequestRecord], *, as_json: bool) -> None:
    if as_json:
        fields = ("id", "arguments", "state", "answer")
        print_json([{name: getattr(request, name) for name in fields} for request in requests])
    else:
        for request in requests:
            waiting = f"{request.arguments['frame']}: request {request.id} is written; snooppix will act on it."
            out.print(request.answer or waiting, soft_wrap=True, highlight=False)
    raise typer.Exit(REFUSED if any(request.state is RequestState.REFUSED for request in requests) else 0)
