"""``terapix snooppix rejected``: what was set aside."""

import typer
from rich.table import Table

from snooppix.cli.answers import ConfigOption, JsonOption, out, print_json, settings_of
from snooppix.quarantine import set_aside_on
from snooppix.reception import Receptions

app = typer.Typer()


@app.command()
def rejected(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List what was set aside, with its reason and how to try again."""
    settings = settings_of(config)
    found = [item for disk in Receptions.of(settings).disks for item in set_aside_on(disk)]
    if as_json:
        print_json([{"file": str(item.path), "word": item.word, **item.why} for item in found])
        return
    if not found:
        out.print(f"Nothing was rejected in {settings.reception}.", soft_wrap=True, highlight=False)
        return
    table = Table("file", "word", "reason", "again", box=None)
    for item in found:
        table.add_row(item.path.name, item.word, str(item.why.get("reason", "")), str(item.why.get("again", "")))
    out.print(table)
