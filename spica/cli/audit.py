"""`terapix audit`: database against disks against archive."""

import getpass
from typing import Annotated, Any

import typer
from rich.progress import Progress

from datatransfer.audit import Audit, NoSuchNode
from datatransfer.depots import Depots
from dbclient.database import Database
from dbclient.findings import AuditFindingRecord, AuditRecord
from dbclient.stores import Audits
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, err, out, say_json, size, stop, table
from terapix.clock import SystemClock
from terapix.settings import Loaded

audited = typer.Typer()
SOURCE = "terapix audit"
SHOWN = 1000
"""Findings that are shown; the database has them all."""


@audited.command()
def audit(
    config: ConfigOption = None,
    *,
    node: Annotated[str | None, typer.Option("--node", help="Only this node.")] = None,
    runid: Annotated[str | None, typer.Option("--runid", help="Only files of this run, as 08AC14.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Act on what is found; without it, only report.")] = False,
    last: Annotated[bool, typer.Option("--last", help="Show the last report, and compare nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare database, disks and archive; exit code 0 only if they agree, or all was put right."""
    if last and (repair or node or runid):
        stop("--last shows the last report as it is: it goes with neither --node, --runid nor --repair.", Exit.USAGE)

    async def whole(database: Database, loaded: Loaded) -> tuple[AuditRecord | None, list[AuditFindingRecord]]:
        if last:
            async with database.read() as session:
                report = await Audits().latest(session)
        else:
            try:
                report = await _compare(database, loaded, node=node, runid=runid, repair=repair)
            except NoSuchNode as problem:
                stop(str(problem), Exit.NOT_FOUND)
        if report is None:
            return None, []
        async with database.read() as session:
            return report, await Audits().findings(session, report.id, limit=SHOWN)

    report, findings = ask(config, whole)
    if report is None:
        stop("No audit was ever completed; terapix audit makes one.", Exit.NOT_FOUND)
    if as_json:
        say_json({"audit": report, "findings": findings})
    else:
        _say(report, findings)
    raise typer.Exit(Exit.OK if report.found == report.repaired else Exit.SOME_FAILED)


async def _compare(
    database: Database, loaded: Loaded, *, node: str | None, runid: str | None, repair: bool
) -> AuditRecord:
    depots = Depots(loaded.settings, SystemClock())
    made = Audit(database, loaded.settings, SystemClock(), depots, source=SOURCE)
    try:
        with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
            task = bar.add_task("files compared", total=None)
            return await made.run(
                asked_by=getpass.getuser(),
                node=node,
                runid=runid,
                repair=repair,
                progress=lambda files: bar.update(task, completed=files),
            )
    finally:
        await depots.close()


def _say(report: AuditRecord, findings: list[AuditFindingRecord]) -> None:
    columns = ("what", "node", "frame", "path", "evidence", "done" if report.repair else "to be done")
    rows: list[tuple[Any, ...]] = [
        (item.kind, item.node, item.frame, item.path, _in_words(item.evidence), item.action) for item in findings
    ]
    table("Audit", columns, rows, empty="Database, disks and archive agree.")
    scope = "".join(f", {word} {name}" for word, name in (("node", report.node), ("run", report.runid)) if name)
    more = f" The first {SHOWN} are shown." if report.found > SHOWN else ""
    out.print(
        f"{report.files} files ({size(report.bytes)}) compared{scope}: {report.found} discrepancies, "
        f"{report.repaired} put right.{more}",
        soft_wrap=True,
        highlight=False,
    )
    if report.found and not report.repair:
        out.print("Nothing was changed; terapix audit --repair acts.", soft_wrap=True, highlight=False)


def _in_words(evidence: dict[str, Any]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in evidence.items() if value is not None)
