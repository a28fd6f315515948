"""Commands that ask the daemons for something: each is a row they act on."""

import asyncio
import getpass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from datatransfer.preview import Preview, preview_transfer
from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import RequestKind, RequestState, TransferMode
from dbclient.stores import Frames, Modes, Nodes, Requests
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, out, say_json, size, stop
from terapix.settings import Loaded

operate = typer.Typer()
WaitOption = Annotated[float, typer.Option("--wait", help="Seconds to wait for the daemon's answer; 0: do not wait.")]
FilterOption = Annotated[
    str | None, typer.Option("--filter", help="Only frames of these filters, as r.MP9601,g.MP9401.")
]
FrameArgument = Annotated[str, typer.Argument(help="Frame, as 979412p.")]

ORDERS = (RequestKind.TRANSFER, RequestKind.COPY, RequestKind.EVACUATE, RequestKind.REBALANCE)
"""Orders that immediate transfers carry out."""
PATIENCE = 10.0
"""Seconds a person gladly waits for a daemon's answer."""


@operate.command()
def fetch(
    frame: FrameArgument, config: ConfigOption = None, *, wait: WaitOption = PATIENCE, as_json: JsonOption = False
) -> None:
    """Fetch a frame from the archive now, before all others."""
    request(config, RequestKind.FETCH, {"frame": frame}, wait=wait, as_json=as_json)


@operate.command()
def retry(
    frame: FrameArgument, config: ConfigOption = None, *, wait: WaitOption = PATIENCE, as_json: JsonOption = False
) -> None:
    """Try a failed or waiting frame again at once."""
    _known(config, frame)
    request(config, RequestKind.RETRY, {"frame": frame}, wait=wait, as_json=as_json)


@operate.command()
def transfer(
    runid: Annotated[str, typer.Argument(help="RUNID, as 08AC14.")],
    to: Annotated[str, typer.Option("--to", help="Node that shall have the frames.")],
    config: ConfigOption = None,
    *,
    now: Annotated[bool, typer.Option("--now", help="Before everything else; without it, nothing is done.")] = False,
    filter_: Annotated[
        str | None, typer.Option("--filter", help="Only frames of these filters, as r.MP9601,g.MP9401.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and do nothing.")] = False,
    wait: WaitOption = PATIENCE,
    as_json: JsonOption = False,
) -> None:
    """Move the frames of a run to a node at once."""
    if not now and not dry_run:
        stop(
            "Say --now to transfer at once, or --dry-run to see what it would do; automatic transfers need no command.",
            Exit.USAGE,
        )

    async def look(database: Database, loaded: Loaded) -> Any:
        async with database.read() as session:
            if await Nodes().named(session, to) is None:
                known = ", ".join(node.name for node in await Nodes().all(session)) or "none"
                stop(f"There is no node {to}; nodes are: {known}.", Exit.NOT_FOUND)
            return await preview_transfer(
                session,
                runid=runid,
                node=to,
                filter_=filter_,
                now=datetime.now(UTC),
                section=loaded.settings.datatransfer,
                sections=loaded.settings.nodes,
            )

    preview = ask(config, look)
    if not preview.frames:
        stop(f"No frame of run {runid}{f' in {filter_}' if filter_ else ''} is here.", Exit.NOT_FOUND)
    if dry_run:
        if as_json:
            say_json(preview)
        else:
            _say(preview)
        raise typer.Exit(Exit.OK if preview.fits else Exit.SOME_FAILED)
    request(config, RequestKind.TRANSFER, {"runid": runid, "node": to, "filter": filter_}, wait=wait, as_json=as_json)


def _say(preview: Preview) -> None:
    """Say what a transfer would do, and beside our figure what the rule of 2003 would keep."""
    out.print(preview.headline, style="bold", soft_wrap=True, markup=False, highlight=False)
    out.print(preview.sentence, soft_wrap=True, markup=False, highlight=False)
    if preview.needed:
        rule = f"the rule of 2003 would keep {size(preview.rule_2003)}"
        out.print(f"It needs {size(preview.needed)} with all that is made of it; {rule}.", soft_wrap=True, markup=False)


def _known(config: Any, name: str) -> FrameRecord:
    async def look(database: Database, _: Loaded) -> FrameRecord | None:
        async with database.read() as session:
            return await Frames().named(session, name)

    frame = ask(config, look)
    if frame is None:
        stop(f"No frame {name} is known here.", Exit.NOT_FOUND)
    return frame


def request(config: Any, kind: RequestKind, arguments: dict[str, Any], *, wait: float, as_json: bool) -> None:
    """Write the request, wait for the daemon's answer, and say it."""

    async def whole(database: Database, _: Loaded) -> Any:
        requests = Requests()
        async with database.write() as session:
            number = await requests.ask(session, kind, arguments, by=getpass.getuser(), now=datetime.now(UTC))
        loop = asyncio.get_running_loop()
        end = loop.time() + wait
        while True:
            async with database.read() as session:
                request = await requests.get(session, number)
            if request.state is not RequestState.OPEN or request.answer or loop.time() >= end:
                return request
            await database.changed(timeout=end - loop.time(), progress=True)

    request = ask(config, whole)
    if as_json:
        say_json(request)
    elif request.state is RequestState.OPEN and request.answer:
        out.print(f"Order {request.id} goes on. {request.answer}", soft_wrap=True)
    else:
        waits = f"Request {request.id} is written; a daemon will act on it."
        if request.kind in ORDERS and ask(config, _paused):
            waits = f"Order {request.id} waits: immediate transfers are paused (terapix modes resume immediate)."
        out.print(request.answer or waits, soft_wrap=True)
    raise typer.Exit({RequestState.REFUSED: Exit.FAILURE}.get(request.state, Exit.OK))


async def _paused(database: Database, _: Loaded) -> bool:
    async with database.read() as session:
        return TransferMode.IMMEDIATE in await Modes().paused(session)
