"""`terapix queue`: what goes to nodes, what waits for its turn, and what operators hold up, one by one."""

import getpass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from datatransfer.lanes import in_order
from dbclient.database import Database
from dbclient.records import TransferRecord
from dbclient.schema import TransferKind
from dbclient.stores import Frames, Pauses, Transfers
from dbclient.stores.pauses import REASON
from dbclient.stores.transfers import TO_NODES
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, out, say_json, size, stop, table
from terapix.settings import Loaded

queue = typer.Typer(invoke_without_command=True)
FrameArgument = Annotated[str, typer.Argument(help="Frame, as 979412p.")]
ToOption = Annotated[str | None, typer.Option("--to", help="Only its way to this node, where it goes to several.")]


@queue.callback()
def listed(context: typer.Context, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List what goes to nodes now, what has room there and waits for its turn, and what is paused, by whom and why."""
    if context.invoked_subcommand is not None:
        return

    async def look(database: Database, _: Loaded) -> list[TransferRecord]:
        async with database.read() as session:
            running = await Transfers().running(session, *TO_NODES)
            return running + in_order(await Transfers().promised(session))

    found = ask(config, look)
    if as_json:
        say_json(found)
        return
    rows = [
        (
            one.frame,
            one.kind,
            one.node,
            one.mode or "automatic",
            one.priority,
            _state(one),
            size(one.bytes_done),
            size(one.bytes_total),
            f"{one.paused_by}, {one.paused_at:%Y-%m-%d %H:%M} UTC: {one.paused_because}" if one.paused_at else None,
        )
        for one in found
    ]
    columns = ("frame", "what", "to", "mode", "lane", "state", "there", "of", "paused by")
    table("Queue", columns, rows, empty="Nothing goes to a node, and nothing waits for its turn.")


def _state(transfer: TransferRecord) -> str:
    if transfer.paused_at is not None:
        return "stopping" if transfer.started_at else "paused"
    return "moving" if transfer.started_at else "waiting"


@queue.command()
def pause(
    frame: FrameArgument,
    because: Annotated[str, typer.Option("--because", help="Why; everybody who looks at it sees it.")],
    config: ConfigOption = None,
    *,
    to: ToOption = None,
) -> None:
    """Hold up one frame on its way to a node: its room and what has come of it are kept until it is resumed."""
    if not because.strip() or len(because) > REASON or not because.isprintable():
        stop(f"Say because of what it is paused, in 1 to {REASON} printable signs.", Exit.USAGE)
    out.print(_set(config, frame, to, because.strip()), soft_wrap=True, markup=False, highlight=False)


@queue.command()
def resume(frame: FrameArgument, config: ConfigOption = None, *, to: ToOption = None) -> None:
    """Let a paused frame go on where it stopped."""
    out.print(_set(config, frame, to, None), soft_wrap=True, markup=False, highlight=False)


def _set(config: Any, frame: str, to: str | None, because: str | None) -> str:
    """Pause (because of something) or resume what is under way of a frame; say what came of it."""

    async def whole(database: Database, _: Loaded) -> str:
        by: dict[str, Any] = {"by": getpass.getuser(), "now": datetime.now(UTC)}
        async with database.write() as session:
            held = await Frames().named(session, frame)
            if held is None:
                stop(f"No frame {frame} is known here.", Exit.NOT_FOUND)
            going = await Transfers().open_of_frame(session, held.id)
            ours = [one for one in going if one.kind is not TransferKind.FETCH and to in {None, one.node}]
            if not ours:
                stop(_nothing(frame, going, to), Exit.FAILURE)
            if because is None:
                changed = [one for one in ours if await Pauses().resume(session, one, **by)]
            else:
                changed = [one for one in ours if await Pauses().pause(session, one, because=because, **by)]
        nodes = " and ".join(sorted(one.node or "" for one in changed or ours))
        words = "goes on to" if because is None else "is paused on its way to"
        return f"{frame} {words} {nodes}{'' if changed else ' already'}."

    return ask(config, whole)


def _nothing(frame: str, going: list[TransferRecord], to: str | None) -> str:
    """Say why there is nothing to pause or resume."""
    if any(one.kind is TransferKind.FETCH for one in going):
        return f"{frame} is being fetched from the archive; only what goes to nodes can be paused by itself."
    nodes = ", ".join(sorted(one.node or "" for one in going))
    if nodes:
        return f"{frame} is not on its way to {to}; it goes to {nodes}."
    return f"{frame} is not on its way to a node: terapix why {frame} tells where it is."
