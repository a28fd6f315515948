"""The one command of an operator: ``terapix``.

``terapix TOOL …`` (weightwatcher and its sisters) is handed to the tool itself,
with the original's own configuration file and ``-KEY VALUE`` options; the tools
are entry points, so that the console never imports the pixels' code.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

TOOLS = "terapix.tools"
"""Entry-point group of the AstrOmatic-compatible tools."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (the table stands in docs/operators.md)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments:
        for tool in entry_points(group=TOOLS, name=arguments[0]):
            return int(tool.load()(arguments[1:]))
    from spica.cli.application import app  # noqa: PLC0415 - a tool starts without what the console needs

    app(args=arguments, prog_name="terapix")
    return 0
