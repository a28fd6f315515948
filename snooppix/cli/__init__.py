"""``terapix snooppix``: what is this file, and what was set aside."""

import typer

from snooppix.cli.check import app as check
from snooppix.cli.rejected import app as rejected

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def snooppix() -> None:
    """What the archive sent."""


for room in (check, rejected):
    app.registered_commands += room.registered_commands
