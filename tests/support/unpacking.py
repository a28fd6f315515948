"""Unpacking that ends its process: a module of its own, since each process that is started anew imports it."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from snooppix.headers import Hdu
from snooppix.pixels import PixelSum, examine


def examine_or_end(path: Path, share: Sequence[Hdu]) -> list[PixelSum]:
    """Unpack pixels in a process that some files end: by a crash, or at the hand of others."""
    if path.parent.name == "crashes":
        os.abort()
    if path.parent.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return examine(path, share)
