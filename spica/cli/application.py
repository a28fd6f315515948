"""The `terapix` application, put together from its rooms."""

from typing import Annotated

import typer

from snooppix.cli import app as snooppix
from spica.cli.archive import archived
from spica.cli.audit import audited
from spica.cli.history import past
from spica.cli.install import config, db
from spica.cli.links import room as links
from spica.cli.modes import modes
from spica.cli.nodes import nodes
from spica.cli.operate import operate
from spica.cli.queue import queue
from spica.cli.reload import correct
from spica.cli.relocate import relocate
from spica.cli.retention import retained
from spica.cli.rules import rules
from spica.cli.runs import observed
from spica.cli.scrub import keeping
from spica.cli.start import start
from spica.cli.statistics import counted
from spica.cli.watch import watch
from terapix import __version__
from terapix.journal import open_journal
from terapix.sections import JournalSection

app = typer.Typer(
    name="terapix",
    help="TERAPIX: frames come from the archive, find their node and become weight and flag maps.",
    epilog="Tools: terapix weightwatcher -d prints a tool's defaults; -c FILE and -KEY VALUE are as in the original.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for room in (
    start,
    watch,
    past,
    observed,
    counted,
    operate,
    relocate,
    correct,
    links,
    keeping,
    audited,
    retained,
    archived,
):
    app.registered_commands += room.registered_commands
app.add_typer(config, name="config", help="Settings: where each comes from, and whether they hold.")
app.add_typer(modes, name="modes", help="Automatic and immediate transfers: countdowns, run now, pause, resume.")
app.add_typer(queue, name="queue", help="What goes to nodes and what waits: list it, pause and resume one by one.")
app.add_typer(rules, name="rules", help="Rules of automatic transfers: list them, add, move, change, remove, test.")
app.add_typer(nodes, name="nodes", help="The processing nodes: list them, add, drain, remove, check, certify.")
app.add_typer(db, name="db", help="The database: its schema and its upgrade.")
app.add_typer(snooppix, name="snooppix", help="What the archive sent: check files, list what was rejected.")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"terapix {__version__}")
        raise typer.Exit


@app.callback()
def terapix(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """TERAPIX, the data centre of a wide-field CCD camera."""
    open_journal(JournalSection(level="warning"), daemon="terapix")
