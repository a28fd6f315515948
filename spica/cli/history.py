"""The history: what happened, and whether anybody has changed it since."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dbclient import archive as files
from dbclient.database import Database
from dbclient.records import EventRecord
from dbclient.sealing import Findings, verify
from dbclient.stores import Archives, Events, Frames
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, err, out, say_json, stop, table
from spica.cli.archive import directory_of
from terapix.settings import Loaded

past = typer.Typer()
MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]


@past.command()
def history(
    frame: Annotated[str | None, typer.Argument(help="Only this frame.")] = None,
    config: ConfigOption = None,
    *,
    since: Annotated[
        datetime | None, typer.Option("--since", formats=MOMENTS, help="Only from this moment on, UTC.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10000, help="Rows at the most.")] = 50,
    verified: Annotated[
        bool, typer.Option("--verify", help="Read the whole history against its seals: was it changed?")
    ] = False,
    noted: Annotated[
        str | None, typer.Option("--noted", help="With --verify: a digest from the log that must be among the seals.")
    ] = None,
    archived: Annotated[bool, typer.Option("--archived", help="What lies in archives, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what happened, newest first; --verify proves that nothing of it was changed, removed or put in since.

    Exit code of --verify 0: all fits; 3: something does not, and the first is named.
    """
    if verified:
        if frame is not None or since is not None:
            stop("The history is verified as a whole: terapix history --verify", Exit.USAGE)
        _verify(config, noted, as_json=as_json)
    elif noted is not None:
        stop("--noted belongs to --verify.", Exit.USAGE)
    else:
        begin = since.replace(tzinfo=UTC) if since else None
        _list(config, frame, begin, limit, archived=archived, as_json=as_json)


def _list(config: Any, frame: str | None, since: datetime | None, limit: int, *, archived: bool, as_json: bool) -> None:
    async def look(database: Database, loaded: Loaded) -> list[EventRecord] | None:
        async with database.read() as session:
            held = await Frames().named(session, frame) if frame is not None else None
            if frame is None:
                told = await Events().latest(session, limit=limit, since=since)
            elif held is None:
                return None
            else:
                told = (await Events().of_frame(session, held.id))[::-1]
            shelf = await Archives().of_events(session) if archived else []
        for one in shelf[::-1]:
            if len(told) >= limit or (since is not None and one.ends < since):
                break
            found = await asyncio.to_thread(files.events, directory_of(loaded) / one.path, digest=one.digest)
            known = {event.id for event in told}
            told += [e for e in found[::-1] if e.id not in known and (held is None or e.frame_id == held.id)]
        return [event for event in told if since is None or event.at >= since][:limit]

    found = ask(config, look)
    if found is None:
        stop(f"No frame {frame} is known here.", Exit.NOT_FOUND)
    if as_json:
        say_json(found)
        return
    rows = [(e.at, e.source, e.level, e.message) for e in found]
    table("History", ("UTC", "who", "level", "what"), rows, empty="Nothing has happened yet.")


def _verify(config: Any, noted: str | None, *, as_json: bool) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())

    async def read(database: Database, loaded: Loaded) -> Findings:
        with Progress(*columns, console=err, transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("Events", total=None)
            return await verify(
                database,
                archives=directory_of(loaded),
                noted=noted,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )

    found = ask(config, read)
    if as_json:
        say_json(
            {
                "fits": found.fits,
                "sentence": in_sentence(found),
                **{name: getattr(found, name) for name in ("seals", "events", "unsealed", "absent", "digest", "met")},
                "misfits": [{"event": m.event, "seal": m.seal, "deed": m.deed} for m in found.misfits],
                "more": found.more,
            }
        )
    else:
        out.print(in_sentence(found), soft_wrap=True, markup=False, highlight=False)
        for misfit in found.misfits[1:]:
            out.print(f"  {misfit.sentence}", soft_wrap=True, markup=False, highlight=False)
        if found.seals:
            out.print(f"Newest seal: {found.digest}", soft_wrap=True, markup=False, highlight=False)
    raise typer.Exit(Exit.OK if found.fits else Exit.SOME_FAILED)


def in_sentence(found: Findings) -> str:
    """Say what a reading of the history against its seals found."""
    rest = f" {found.unsealed} newer events are not sealed yet." if found.unsealed else ""
    if found.absent:
        named = ", ".join(found.absent_files[:3]) + (" …" if len(found.absent_files) > 3 else "")
        rest += f" {found.absent} older events were not compared: their archives are not here ({named})."
    if found.misfits:
        count = len(found.misfits) + found.more
        others = "" if count == 1 else f", and {count - 1} more do not fit"
        return f"The history was tampered with: {found.misfits[0].sentence}{others}."
    if found.met is False:
        return "The history fits its seals, and the noted digest is not among them: the history was sealed anew."
    if not found.seals:
        return f"Nothing is sealed yet: datatransfer seals the history every few seconds while it runs.{rest}"
    return f"The history fits: {found.events} events under {found.seals} seals, none changed, removed or put in.{rest}"
