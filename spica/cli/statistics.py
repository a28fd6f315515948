"""The statistics: what came, what is held and what was made of it, by run, filter, node, instrument or period."""

import sys
from datetime import UTC, date, datetime
from typing import Annotated, Any, NoReturn

import typer

from dbclient.database import Database
from dbclient.stores import Tallies
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, out, say_json, size, stop, table
from spica.statistics import PERIODS, By, Row, as_csv, gather
from terapix.settings import Loaded

counted = typer.Typer()
HOUR = 3600.0
"""Seconds."""


@counted.command()
def statistics(
    config: ConfigOption = None,
    *,
    by: Annotated[By, typer.Option("--by", help="What a row is.")] = By.RUN,
    since: Annotated[
        datetime | None, typer.Option("--since", formats=["%Y-%m-%d"], help="First day of reception, UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="Last day of reception, UTC; included.")
    ] = None,
    recount: Annotated[
        bool,
        typer.Option("--recount", help="Count all frames anew and mend the kept sums; exit 3 if one was wrong."),
    ] = False,
    comma: Annotated[bool, typer.Option("--csv", help="Answer as CSV on standard output: seconds and bytes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Count frames, exposure time, bytes and what came a day, by run, filter, node, instrument, day, week or month.

    Exposures only, of each the newest generation; received are files of every generation. What is not here yet has
    the day on which it was first listed.
    """
    if comma and as_json:
        stop("One of --csv and --json.", Exit.USAGE)
    if recount:
        _recount(config)
    first, last = _day(since), _day(until)
    if first and last and last < first:
        stop(f"--until {last} lies before --since {first}.", Exit.USAGE)

    async def look(database: Database, _: Loaded) -> list[Row]:
        async with database.read() as session:
            return await gather(session, by, since=first, until=last, now=datetime.now(UTC))

    found = ask(config, look)
    if comma:
        sys.stdout.write(as_csv(found))
    elif as_json:
        say_json(found)
    else:
        _print(found, by)


def _recount(config: Any) -> NoReturn:
    """Count anew, say whether the sums were right, and end."""

    async def count(database: Database, _: Loaded) -> int:
        async with database.read() as session:
            lacking = await Tallies().recount(session)
        if lacking:
            async with database.write() as session:
                await Tallies().mend(session, lacking)
        return len(lacking)

    wrong = ask(config, count)
    if wrong:
        stop(f"{wrong} sums were wrong and are put right now: please report it.", Exit.SOME_FAILED)
    out.print("All sums that are kept are as counted.")
    raise typer.Exit


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


def _print(found: list[Row], by: By) -> None:
    columns = (by.value, "expected", "held", "weighted", "hours", "size", "received", "a day", "status")
    rows: list[tuple[Any, ...]] = [
        (
            row.name,
            row.expected,
            row.held,
            row.weighted,
            row.exposure / HOUR,
            size(row.bytes),
            row.received,
            size(row.bytes_a_day),
            row.status,
        )
        for row in found
    ]
    title = f"Statistics by {by.value}{', newest first' if by in PERIODS else ''}"
    table(title, columns, rows, empty="No frame was listed in this time.")
    if rows:
        out.print("Hours of exposure and size: of what is held. Received: files of every generation, and bytes a day.")
        out.print("--csv and --json tell more.")
