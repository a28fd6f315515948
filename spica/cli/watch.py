"""Commands that look: status, why, frames. They change nothing."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from dbclient.database import Database
from dbclient.schema import FrameState
from dbclient.stores import Chronicles, Events, Frames
from spica.chain import Summary, summarise
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, err, out, say_json, size, stop, table
from spica.story import tell, unknown
from terapix.settings import Loaded

watch = typer.Typer()
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=10000, help="Rows at the most.")]


@watch.command()
def status(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Say how the night goes: the chain, the nodes, the daemons, and what needs a person."""

    async def look(database: Database, loaded: Loaded) -> Summary:
        async with database.read() as session:
            return await summarise(session, now=datetime.now(UTC), settings=loaded.settings)

    summary = ask(config, look)
    if as_json:
        say_json(summary)
    else:
        out.print(summary.sentence, style="bold", soft_wrap=True)
        table(
            "Chain",
            ("step", "frames", "share"),
            [(s.name, s.count, f"{100 * s.share:.0f} %") for s in summary.chain],
            empty="",
        )
        table(
            "Nodes",
            ("node", "state", "held", "promised", "free", "why"),
            [(n.name, n.state, size(n.used), size(n.leased), size(n.free), n.reason) for n in summary.nodes],
            empty="No node has been measured yet.",
        )
        table(
            "Daemons",
            ("daemon", "since", "last beat", "says"),
            [(d.name, d.started_at, d.beat_at, d.status) for d in summary.daemons],
            empty="No daemon has run yet: terapix up starts them.",
        )
        for warning in summary.warnings:
            err.print(f"! {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(Exit.SOME_FAILED if summary.warnings else Exit.OK)


@watch.command()
def why(
    frame: Annotated[str, typer.Argument(help="Frame, as 979412p.")],
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Tell the whole story of a frame, and why it is where it is."""

    async def look(database: Database, _: Loaded) -> Any:
        async with database.read() as session:
            held = await Frames().named(session, frame)
            if held is None:
                return await Events().refusals(session, frame)
            return await Chronicles().of(session, held)

    known = ask(config, look)
    if isinstance(known, list):
        stop(unknown(frame, known), Exit.NOT_FOUND)
    story = tell(known, now=datetime.now(UTC))
    if as_json:
        say_json({**{each.name: getattr(known, each.name) for each in fields(known)}, "story": story})
    else:
        for sentence in story:
            out.print(sentence, markup=False, highlight=False, soft_wrap=True)
    ill = known.frame.state in {FrameState.FAILED, FrameState.REJECTED}
    raise typer.Exit(Exit.SOME_FAILED if ill else Exit.OK)


@watch.command()
def frames(
    config: ConfigOption = None,
    *,
    state: Annotated[FrameState | None, typer.Option("--state", help="Only frames in this state.")] = None,
    runid: Annotated[str | None, typer.Option("--run", help="Only frames of this RUNID.")] = None,
    filter_: Annotated[str | None, typer.Option("--filter", help="Only frames in this filter.")] = None,
    node: Annotated[str | None, typer.Option("--node", help="Only frames on this node.")] = None,
    limit: LimitOption = 100,
    as_json: JsonOption = False,
) -> None:
    """List frames, newest first."""

    async def look(database: Database, _: Loaded) -> Any:
        async with database.read() as session:
            return await Frames().search(session, state=state, runid=runid, filter=filter_, node=node, limit=limit)

    found = ask(config, look)
    if as_json:
        say_json(found)
        return
    table(
        "Frames",
        ("frame", "gen", "state", "run", "filter", "object", "exposed s", "size", "node", "why"),
        [
            (
                f.name,
                f.generation,
                f.state,
                f.runid,
                f.filter,
                f.object,
                f.exposure_time,
                size(f.size),
                f.node,
                f.reason,
            )
            for f in found
        ],
        empty="No frame matches. terapix demo brings some; terapix frames --state failed shows what failed.",
    )
