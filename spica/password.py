"""The operator's first password: shown once, and never in a log."""

import os
import sys

from terapix.journal import logger
from terapix.sections import Settings

log = logger("spica")


def hand_over(password: str, settings: Settings) -> None:
    """Show a new password on the terminal or, where nobody looks, leave it in a file that only we can read."""
    if sys.stderr.isatty():
        sys.stderr.write(
            f"\nFirst start: sign in to the page as 'operator' with the password  {password}\n"
            "It is shown this once.\n\n"
        )
        sys.stderr.flush()
        return
    place = settings.paths.directory.absolute() / "operator-password"
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(password + "\n")
    log.warning("the operator's first password lies in a file: read it, then delete it", file=str(place))
