"""`terapix scrub`: what was read again on the nodes and when, or everything at once."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.progress import Progress

from datatransfer.depots import Depots
from datatransfer.errors import MoveError
from datatransfer.scrub import Finding, Scrub
from dbclient.database import Database
from dbclient.records import NodeRecord
from dbclient.schema import NodeState
from dbclient.stores import Holdings, Nodes
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, err, out, say_json, size, stop, table
from terapix.clock import SystemClock
from terapix.settings import Loaded

keeping = typer.Typer()
SOURCE = "terapix scrub"


@keeping.command()
def scrub(
    config: ConfigOption = None,
    *,
    now: Annotated[bool, typer.Option("--now", help="Read every file again at once, at full speed.")] = False,
    node: Annotated[str | None, typer.Option("--node", help="Only this node.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how far each node's files were read again; --now reads them, and repairs what is damaged."""

    async def whole(database: Database, loaded: Loaded) -> tuple[list[dict[str, Any]], list[Finding]]:
        async with database.read() as session:
            nodes = [one for one in await Nodes().all(session) if one.state is not NodeState.REMOVED]
        wanted = [one for one in nodes if node in {None, one.name}]
        if not wanted:
            stop(f"There is no node {node or ''}.", Exit.NOT_FOUND)
        findings: list[Finding] = []
        away: dict[str, str] = {}
        begin = datetime.now(UTC)
        if now:
            depots = Depots(loaded.settings, SystemClock())
            try:
                for one in wanted:
                    findings += await _read(Scrub(database, SystemClock(), depots, source=SOURCE), database, one, away)
            finally:
                await depots.close()
        since = begin if now else begin - timedelta(days=loaded.settings.datatransfer.scrub_days)
        return [await _standing(database, one, since, away.get(one.name)) for one in wanted], findings

    standings, findings = ask(config, whole)
    if as_json:
        say_json({"nodes": standings, "findings": findings})
    else:
        columns = ("node", "files", "bytes", "due", "bytes due", "oldest", "why")
        rows = [
            (s["node"], s["files"], size(s["bytes"]), s["due"], size(s["bytes_due"]), s["oldest"], s["why"])
            for s in standings
        ]
        table("Scrub", columns, rows, empty="")
        for finding in findings:
            out.print(
                f"{finding.node} {finding.path}: {finding.frame} {finding.remedy}", soft_wrap=True, highlight=False
            )
            for line in finding.pixels:
                out.print(f"  {line}", soft_wrap=True, highlight=False)
            if finding.doubtful:
                out.print(f"  doubtful: the products of {', '.join(finding.doubtful)}", soft_wrap=True, highlight=False)
    raise typer.Exit(Exit.SOME_FAILED if findings or any(s["why"] for s in standings) else Exit.OK)


async def _read(scrub: Scrub, database: Database, node: NodeRecord, away: dict[str, str]) -> list[Finding]:
    """Read every file of a node again, with a bar for who watches."""
    found: list[Finding] = []
    since = datetime.now(UTC)
    async with database.read() as session:
        total = (await Holdings().progress(session, node.id, since=since)).due_bytes
    with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(node.name, total=total)
        try:
            async for holding, finding in scrub.whole(node, since=since):
                found += [finding] if finding else []
                bar.advance(task, holding.size)
        except MoveError as problem:
            away[node.name] = str(problem)
    return found


async def _standing(database: Database, node: NodeRecord, since: datetime, why: str | None) -> dict[str, Any]:
    async with database.read() as session:
        progress = await Holdings().progress(session, node.id, since=since)
    return {
        "node": node.name,
        "files": progress.files,
        "bytes": progress.bytes,
        "due": progress.due,
        "bytes_due": progress.due_bytes,
        "oldest": progress.oldest,
        "why": why,
    }
