"""`terapix archive`: which of the history lies in files, and what would go there; it goes only if told."""

from typing import Annotated, Any

import typer

from datatransfer.archivist import Archivist, Planned
from dbclient.archive import ArchiveRecord
from dbclient.database import Database
from dbclient.stores import Archives
from spica.cli.answers import ConfigOption, Exit, JsonOption, ask, out, say_json, size, stop, table
from terapix.clock import SystemClock
from terapix.settings import Loaded

archived = typer.Typer()


@archived.command()
def archive(
    config: ConfigOption = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go into archives; the default.")] = False,
    now: Annotated[bool, typer.Option("--now", help="Put into archives what is due.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say which events and transfers lie in archives, and what retention would put there; --now puts it there."""
    if dry_run and now:
        stop("Say --dry-run or --now: one lists, the other acts.", Exit.USAGE)

    async def whole(database: Database, loaded: Loaded) -> tuple[list[Planned], list[ArchiveRecord], str]:
        policy = loaded.settings.retention
        directory = loaded.settings.at(policy.archive)
        archivist = Archivist(database, policy, directory, SystemClock())
        plan = await archivist.plan()
        if now:
            await archivist.run()
        async with database.read() as session:
            return plan, await Archives().all(session), str(directory)

    plan, held, directory = ask(config, whole)
    if as_json:
        say_json({"plan": plan, "archives": held, "directory": directory})
        return
    columns = ("what", "rows", "from", "to", "bytes", "file", "state")
    rows = [(a.kind, a.rows, a.begins, a.ends, size(a.size), a.path, _state(a)) for a in held]
    table(f"Archives in {directory}", columns, rows, empty="Nothing is archived yet.")
    for each in plan:
        out.print(_sentence(each, done=now), soft_wrap=True, markup=False, highlight=False)
    if not now and any(each.due.rows for each in plan):
        out.print("Nothing was changed; terapix archive --now does it, and datatransfer does it day by day.")


def _state(archive: ArchiveRecord) -> str:
    return "in its file alone" if archive.cleared_at else "in its file and, in part, in the tables"


def _sentence(planned: Planned, *, done: bool) -> str:
    setting = "events_days" if planned.kind == "events" else "transfers_days"
    name, due = planned.kind.value.capitalize(), planned.due
    if not planned.days:
        return f"{name} stay in their table for ever: retention.{setting} is 0."
    if due.begins is None or due.ends is None:
        return f"{name}: none is older than {planned.days:g} days and still in its table."
    went = "went" if done else "would go"
    return f"{name}: {due.rows} of {due.begins:%Y-%m-%d} to {due.ends:%Y-%m-%d} {went} into archives."


def directory_of(loaded: Loaded) -> Any:
    """Give the directory of the archives."""
    return loaded.settings.at(loaded.settings.retention.archive)
