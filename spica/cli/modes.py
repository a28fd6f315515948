"""`terapix modes`: automatic and immediate transfers, their countdowns, and what operators want of them."""

import getpass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from datatransfer.schedule import interval_of
from dbclient.database import Database
from dbclient.rulebook import ModeRecord
from dbclient.schema import TransferMode
from dbclient.stores import Modes, Transfers
from dbclient.stores.transfers import TO_NODES
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, out, say_json, stop, table
from terapix.settings import Loaded

modes = typer.Typer(invoke_without_command=True)
ModeArgument = Annotated[TransferMode, typer.Argument(help="automatic: by the rules; immediate: what operators order.")]


@modes.callback()
def listed(context: typer.Context, config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Show both modes of transfers: when each runs next, what its last run did, what waits for it and what moves."""
    if context.invoked_subcommand is not None:
        return

    async def look(database: Database, loaded: Loaded) -> Any:
        async with database.read() as session:
            held = await Modes().all(session)
            waiting = [transfer.mode for transfer in await Transfers().promised(session)]
            moving = [transfer.mode for transfer in await Transfers().running(session, *TO_NODES)]
        return held, waiting, moving, loaded.settings.datatransfer

    held, waiting, moving, section = ask(config, look)
    now = datetime.now(UTC)
    facts = [
        {
            "mode": mode,
            "every": interval_of(section, name),
            "left": left(mode, now),
            "waiting": waiting.count(name),
            "moving": moving.count(name),
        }
        for name, mode in held.items()
    ]
    if as_json:
        say_json(facts)
        return
    rows = [
        (
            fact["mode"].name,
            "paused" if fact["mode"].paused else "on",
            f"{fact['every']:g} s",
            _countdown(fact["mode"], fact["left"]),
            fact["waiting"],
            fact["moving"],
            fact["mode"].ran_at,
            fact["mode"].said,
        )
        for fact in facts
    ]
    columns = ("mode", "state", "every", "next run", "promised", "moving", "last run", "what it did")
    table("Transfers", columns, rows, empty="")


def left(mode: ModeRecord, now: datetime) -> float | None:
    """Give the seconds until a mode's next run; none while it is paused or has never run."""
    if mode.paused or mode.next_at is None:
        return None
    return 0.0 if mode.asked_at else max(0.0, (mode.next_at - now).total_seconds())


def _countdown(mode: ModeRecord, seconds: float | None) -> str:
    if mode.paused:
        return f"paused by {mode.changed_by} at {mode.changed_at:%Y-%m-%d %H:%M} UTC"
    if seconds is None:
        return "at the start of datatransfer"
    return "now" if not seconds else f"in {int(seconds) // 60}:{int(seconds) % 60:02d}"


@modes.command()
def run(mode: ModeArgument, config: ConfigOption = None) -> None:
    """Let a mode run now; its countdown begins anew."""

    async def whole(database: Database, _: Loaded) -> str:
        async with database.write() as session:
            held = (await Modes().all(session))[mode]
            if held.paused:
                stop(f"{mode.value} transfers are paused by {held.changed_by}: resume them first.", Exit.FAILURE)
            await Modes().ask_run(session, mode, by=getpass.getuser(), now=datetime.now(UTC))
        return f"{mode.value} transfers run now."

    out.print(ask(config, whole).capitalize())


@modes.command()
def pause(mode: ModeArgument, config: ConfigOption = None) -> None:
    """Let a mode begin nothing: what moves is finished, what has room keeps it. It lasts until resumed."""
    out.print(_set(config, mode, paused=True))


@modes.command()
def resume(mode: ModeArgument, config: ConfigOption = None) -> None:
    """Let a mode go on."""
    out.print(_set(config, mode, paused=False))


def _set(config: Any, mode: TransferMode, *, paused: bool) -> str:
    async def whole(database: Database, _: Loaded) -> bool:
        async with database.write() as session:
            now = datetime.now(UTC)
            return await Modes().set_paused(session, mode, paused, by=getpass.getuser(), now=now)

    state = "paused" if paused else "on"
    changed = ask(config, whole)
    return f"{mode.value.capitalize()} transfers are {state}{'' if changed else ' already'}."
