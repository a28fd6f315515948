"""Files of this host, as the coordinator asks for them where no agent has to."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from datatransfer.mover import digest_of


def sizes(directory: Path, paths: Sequence[str]) -> dict[str, int | None]:
    """Give the sizes of files; None for what is not there."""
    return {path: place.stat().st_size if (place := directory / path).is_file() else None for path in paths}


def digest(place: Path) -> str | None:
    """Read a file and give its digest; None for what cannot be read."""
    try:
        return digest_of(place)
    except OSError:
        return None


def remove(place: Path) -> None:
    """Remove a file; one that is gone already is no error."""
    with contextlib.suppress(NotADirectoryError):
        place.unlink(missing_ok=True)
