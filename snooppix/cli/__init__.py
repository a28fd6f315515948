"""``terapix snooppix``: what is this file, what was set aside, which frames are followed, and what goes back."""

import typer

from snooppix.cli.check import app as check
from snooppix.cli.difference import app as difference
from snooppix.cli.publish import app as publish
from snooppix.cli.rejected import app as rejected
from snooppix.cli.selection import app as selection

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def snooppix() -> None:
    """What the archive sent, and what goes back to it."""


for room in (check, difference, rejected, selection, publish):
    app.registered_commands += room.registered_commands
