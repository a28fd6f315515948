"""Runs: how far their frames have come, and the proof that one is complete."""

from dataclasses import asdict
from datetime import UTC
from typing import Annotated, Any

import typer

from datatransfer.growth import Growth, expected
from dbclient.database import Database
from dbclient.stores import Frames, Growths
from snooppix.archives import archive_of
from snooppix.completeness import Completeness, as_of_last_difference, asked_now
from snooppix.names import Names
from snooppix.wire import Wire
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, out, say_json, size, stop, table
from terapix.clock import SystemClock
from terapix.instruments import load_instrument
from terapix.settings import Loaded

observed = typer.Typer()


@observed.command()
def runs(
    runid: Annotated[str | None, typer.Argument(help="RUNID, as 08AC14.")] = None,
    config: ConfigOption = None,
    *,
    complete: Annotated[
        bool, typer.Option("--complete", help="Prove that all of the run that the archive lists is here.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not ask the archive: believe the last full difference.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List observing runs with how far their frames have come; RUNID --complete proves that one is complete.

    Exit code of --complete 0: all that is listed is held, verified; 3: it is not; 75: the archive does not answer.
    """
    if complete or offline:
        if runid is None or not complete:
            stop("Say which run: terapix runs 08AC14 --complete, and --offline not to ask the archive.", Exit.USAGE)
        _prove(config, runid, offline=offline, as_json=as_json)
    else:
        _list(config, runid, as_json=as_json)


def _prove(config: Any, runid: str, *, offline: bool, as_json: bool) -> None:
    async def compare(database: Database, loaded: Loaded) -> Completeness:
        if offline:
            return await as_of_last_difference(database, runid)
        settings, clock = loaded.settings, SystemClock()
        names = Names.of(load_instrument(settings.snooppix.instrument), products=settings.archive.offers == "products")
        async with Wire(settings.archive, settings.snooppix) as wire:
            archive = archive_of(settings, wire, names=names, clock=clock)
            return await asked_now(database, archive, runid, now=clock.now())

    found = ask(config, compare)
    if as_json:
        say_json({"complete": found.complete, "sentence": found.sentence, **_facts(found)})
    else:
        out.print(found.sentence, style="bold", soft_wrap=True, markup=False, highlight=False)
        if found.missing:
            rows = [(lack.name, lack.state, lack.reason) for lack in found.missing]
            table("Missing", ("frame", "state", "why"), rows, empty="")
        if found.extra:
            table("Extra: held and not listed", ("frame",), [(name,) for name in found.extra], empty="")
        when = f"{found.as_of.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if found.as_of else "no full difference yet"
        out.print(f"As listed by {found.source}, {when}.", soft_wrap=True, markup=False, highlight=False)
    raise typer.Exit(Exit.OK if found.complete else Exit.SOME_FAILED)


def _facts(found: Completeness) -> dict[str, Any]:
    names = ("runid", "source", "as_of", "expected", "held", "missing", "extra")
    return {name: getattr(found, name) for name in names}


def _list(config: Any, runid: str | None, *, as_json: bool) -> None:
    async def look(database: Database, _: Loaded) -> Any:
        async with database.read() as session:
            return await Frames().runs(session), Growth.of(await Growths().measured(session))

    runs_known, growth = ask(config, look)
    found = [run for run in runs_known if runid in (None, run.runid)]
    if runid is not None and not found:
        stop(f"No frame of run {runid} is known here.", Exit.NOT_FOUND)
    if as_json:
        say_json([asdict(run) | asdict(expected(run.bytes, growth)) for run in found])
        return
    rows = [
        (
            run.runid,
            run.frames,
            size(run.bytes),
            size(expected(run.bytes, growth).needed),
            size(expected(run.bytes, growth).rule_2003),
            ", ".join(run.filters),
            ", ".join(f"{n} {s}" for s, n in run.states.items()),
        )
        for run in found
    ]
    table(
        "Runs",
        ("run", "frames", "size", "needs", "rule of 2003", "filters", "states"),
        rows,
        empty="No run is known yet.",
    )
