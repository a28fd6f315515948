"""A mark beside the cache of kernels: all of a stage's are in it, so that who starts need not load them to know."""

import contextlib
import os
from pathlib import Path

from processing.machine_code import stamp


def is_marked(stage: str, cache: Path | None = None) -> bool:
    """Tell whether all kernels of a stage are compiled as they are now.

    Parameters
    ----------
    cache : where the compiled ones lie; None: in NUMBA_CACHE_DIR, without which nothing is marked
    """
    place = _place(stage, cache)
    return place is not None and place.is_file()


def mark(stage: str, cache: Path | None = None) -> None:
    """Say so of a stage; marks of kernels as they were before go. Nothing happens where the cache is not ours to write.

    Parameters
    ----------
    cache : as of `is_marked`
    """
    place = _place(stage, cache)
    if place is None:
        return
    with contextlib.suppress(PermissionError):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        for other in place.parent.glob(f"{stage}-*.compiled"):
            if other != place:
                other.unlink(missing_ok=True)


def _place(stage: str, given: Path | None) -> Path | None:
    """Where the mark lies: in the cache, named after all that compiled kernels depend on."""
    cache = given or os.environ.get("NUMBA_CACHE_DIR")
    return Path(cache) / f"{stage}-{stamp()[:16]}.compiled" if cache else None
