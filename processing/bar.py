"""A bar of progress on a terminal."""

import sys

_WIDTH = 40
"""Signs."""


class Bar:
    """A bar of progress on a terminal; silent elsewhere."""

    def __init__(self, *, shown: bool = True) -> None:
        self._shown = shown and sys.stderr.isatty()

    def __call__(self, share: float) -> None:
        """Show the share that is done, from 0 to 1."""
        if self._shown:
            full = round(share * _WIDTH)
            end = "\n" if share >= 1.0 else ""
            sys.stderr.write(f"\r[{'#' * full}{'.' * (_WIDTH - full)}] {100 * share:3.0f} %{end}")
            sys.stderr.flush()
