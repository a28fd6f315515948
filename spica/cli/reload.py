"""`terapix reload`: a frame's file is read into the database again, its difference shown first, and undone."""

from typing import Annotated, Any

import typer

from dbclient.database import Database
from dbclient.schema import RequestKind
from dbclient.stores import Events, Frames, Nodes, Replicas
from snooppix.errors import Refused
from snooppix.reloading import Change, changes, last_reload, read, said
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, out, say_json, stop, table
from spica.cli.operate import PATIENCE, FrameArgument, WaitOption, request
from spica.files import file_of
from terapix.instruments import load_instrument
from terapix.settings import Loaded

correct = typer.Typer()


@correct.command()
def reload(
    frame: FrameArgument,
    config: ConfigOption = None,
    *,
    because: Annotated[str | None, typer.Option("--because", help="Why; the history keeps it.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last reload back.")] = False,
    wait: WaitOption = PATIENCE,
    as_json: JsonOption = False,
) -> None:
    """Read the frame's file again into the database; --dry-run shows the difference, --undo takes it back.

    Exit code of --dry-run 0: nothing differs; 3: something does.
    """
    if not dry_run and not (because and because.strip()):
        stop(
            "Say --because of what, which the history keeps; --dry-run shows what would change.",
            Exit.USAGE,
        )
    if dry_run and undo:
        _show(_taken_back(config, frame), "What an undo would bring back", as_json=as_json)
    elif dry_run:
        _show(_differing(config, frame), f"What {frame} would be after a reload", as_json=as_json)
    arguments = {"frame": _known(config, frame), "because": because, **({"undo": True} if undo else {})}
    request(config, RequestKind.RELOAD, arguments, wait=wait, as_json=as_json)


def _show(found: list[Change], title: str, *, as_json: bool) -> None:
    if as_json:
        say_json(found)
    else:
        rows = [(change.column, said(change.recorded), said(change.found)) for change in found]
        table(title, ("fact", "recorded", "would be"), rows, empty="Nothing differs from the database.")
        if found:
            out.print("Nothing was changed.")
    raise typer.Exit(Exit.SOME_FAILED if found else Exit.OK)


def _known(config: Any, name: str) -> str:
    async def look(database: Database, _: Loaded) -> bool:
        async with database.read() as session:
            return await Frames().named(session, name) is not None

    if not ask(config, look):
        stop(f"No frame {name} is known here.", Exit.NOT_FOUND)
    return name


def _differing(config: Any, name: str) -> list[Change]:
    """Compare the database with the file."""

    async def look(database: Database, loaded: Loaded) -> list[Change]:
        settings = loaded.settings
        async with database.read() as session:
            held = await Frames().named(session, name)
            if held is None:
                stop(f"No frame {name} is known here.", Exit.NOT_FOUND)
            replicas = await Replicas().of_frame(session, held.id)
            nodes = {node.id: node for node in await Nodes().all(session)}
        path = file_of(settings, held, replicas, nodes)
        if path is None:
            stop(f"{name} is {held.state.value} and its file is not on this host.", Exit.FAILURE)
        instrument = load_instrument(settings.snooppix.instrument)
        try:
            columns = await read(held, path, instrument=instrument, compression=settings.datatransfer.compression)
        except Refused as refusal:
            stop(str(refusal), Exit.FAILURE)
        return changes(held, columns)

    return ask(config, look)


def _taken_back(config: Any, name: str) -> list[Change]:
    """Give what the last reload replaced."""

    async def look(database: Database, _: Loaded) -> list[Change]:
        async with database.read() as session:
            held = await Frames().named(session, name)
            if held is None:
                stop(f"No frame {name} is known here.", Exit.NOT_FOUND)
            last = last_reload(await Events().of_frame(session, held.id))
        if last is None or last.data is None:
            return []
        before, after = last.data["before"], last.data["after"]
        return [Change(column, after[column], before[column]) for column in sorted(before)]

    return ask(config, look)
