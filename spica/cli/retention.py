"""`terapix retention`: what may go from the nodes, and why; it goes only if told."""

from typing import Annotated, Any

import typer

from datatransfer.clearing import Cleared, Clearing
from datatransfer.depots import Depots
from dbclient.database import Database
from dbclient.schema import NodeState
from dbclient.stores import Nodes
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, out, say_json, size, stop, table
from terapix.clock import SystemClock
from terapix.settings import Loaded

retained = typer.Typer()
SOURCE = "terapix retention"


@retained.command()
def retention(
    config: ConfigOption = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go and what stays; the default.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Let go what may go.")] = False,
    node: Annotated[str | None, typer.Option("--node", help="Only this node.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what may go from the nodes and why, and what stays; --now lets it go, never the last of anything wanted."""
    if dry_run and now:
        stop("Say --dry-run or --now: one lists, the other acts.", Exit.USAGE)

    async def whole(database: Database, loaded: Loaded) -> list[Cleared]:
        async with database.read() as session:
            nodes = [one for one in await Nodes().all(session) if one.state is not NodeState.REMOVED]
        wanted = [one for one in nodes if node in {None, one.name}]
        if not wanted:
            stop(f"There is no node {node or ''}; nodes are: {', '.join(n.name for n in nodes)}.", Exit.NOT_FOUND)
        depots = Depots(loaded.settings, SystemClock())
        try:
            clearing = Clearing(database, loaded.settings, SystemClock(), depots, source=SOURCE)
            return [await (clearing.clear(one) if now else clearing.plan(one)) for one in wanted]
        finally:
            await depots.close()

    cleared = ask(config, whole)
    if as_json:
        say_json([_plain(one) for one in cleared])
    else:
        _say(cleared, done=now)
    raise typer.Exit(Exit.SOME_FAILED if any(one.why for one in cleared) else Exit.OK)


def _plain(cleared: Cleared) -> dict[str, Any]:
    return {
        "node": cleared.node,
        "why": cleared.why,
        "gone": [candidate.path for candidate in cleared.gone],
        "bytes_gone": cleared.bytes,
        "before": cleared.before,
        "after": cleared.after,
        "files": [
            {
                "path": made.candidate.path,
                "frame": made.candidate.subject,
                "bytes": made.candidate.size,
                "ground": made.candidate.ground,
                "goes": made.goes,
                "why": made.why,
                "survivors": made.candidate.survivors,
            }
            for made in cleared.decisions
        ],
    }


def _say(cleared: list[Cleared], *, done: bool) -> None:
    gone = {(candidate.node, candidate.path) for one in cleared for candidate in one.gone}
    rows = [
        (
            _word(made.goes, done=done, gone=(made.candidate.node, made.candidate.path) in gone),
            made.candidate.node,
            made.candidate.path,
            size(made.candidate.size),
            made.why,
        )
        for one in cleared
        for made in one.decisions
    ]
    table("Retention", ("", "node", "path", "bytes", "why"), rows, empty="There is nothing that might go.")
    for one in cleared:
        if one.why:
            out.print(f"{one.node}: {one.why}", soft_wrap=True, highlight=False)
            continue
        due = sum(made.candidate.size for made in one.decisions if made.goes)
        said = f"{size(one.bytes)} went" if done else f"{size(due)} may go"
        filled = f", filled to {one.before.share:.0%}" if one.before else ""
        after = f", now {one.after.share:.0%}" if done and one.after else ""
        out.print(f"{one.node}: {said}{filled}{after}.", soft_wrap=True, highlight=False)
    if not done:
        out.print("Nothing was changed; terapix retention --now lets it go.", soft_wrap=True, highlight=False)


def _word(goes: bool, *, done: bool, gone: bool) -> str:
    if not goes:
        return "stays"
    return ("went" if gone else "kept") if done else "goes"
