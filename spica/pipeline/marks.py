"""Marks: what people lay beside the frames, and the facts by which a change of it makes frames due again.

In the directory ``processing.masks``: NAME.reg for a frame, RUNID.reg and RUNID.hot.fits(.fz) for a run; and the
star catalogues of the settings, which count for every frame.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from terapix.clock import Clock
from terapix.identity import safe_name

KINDS: Final = ("regions", "hot", "stars")
"""Of marks, as the provenance of products names them."""


def marked_by_hand(directory: str, name: str, runid: str | None) -> tuple[tuple[Path, ...], Path | None]:
    """Regions that people drew on a frame and on its run, and the list of what is hot all over the run.

    They are inputs: a frame that is made again has them again.
    """
    if not directory:
        return (), None
    names, hot = [name], None
    with contextlib.suppress(ValueError):  # a run that is no name has no file
        run = safe_name(runid or "")
        names.append(run)
        hot = next((path for end in (".fz", "") if (path := Path(directory) / f"{run}.hot.fits{end}").is_file()), None)
    return tuple(path for each in names if (path := Path(directory) / f"{each}.reg").is_file()), hot


@dataclass(slots=True)
class Marks:
    """What lies there now. Nothing of it is remembered but when it was last seen to change, and digests."""

    directory: str
    catalogues: Sequence[Path]
    clock: Clock
    changed_at: datetime | None = None
    """When what lies there was first seen as it is; a job that began later has read it."""
    _seen: tuple[tuple[str, int, int], ...] = ()
    _digests: dict[tuple[str, int, int], str] = field(default_factory=dict)

    def look(self) -> bool:
        """Look at the directory and the catalogues; say whether anything changed since the last look."""
        found = []
        with contextlib.suppress(OSError):
            found = [path for path in Path(self.directory).iterdir() if path.name.endswith((".reg", ".fits", ".fz"))]
        seen = tuple(sorted(state for path in [*found, *self.catalogues] if (state := _state(path))))
        if self.changed_at is not None and seen == self._seen:
            return False
        self._seen, self.changed_at = seen, self.clock.now()
        self._digests = {state: digest for state, digest in self._digests.items() if state in seen}
        return True

    def facts(self, name: str, runid: str | None) -> dict[str, str]:
        """What the provenance of a frame's products would say of each kind; kinds of which there is nothing are absent.

        Raises
        ------
        OSError
            A file went away or cannot be read.
        """
        regions, hot = marked_by_hand(self.directory, name, runid)
        files = {"regions": regions, "hot": (hot,) if hot else (), "stars": self.catalogues}
        return {kind: ", ".join(map(self._told, paths)) for kind, paths in files.items() if paths}

    def _told(self, path: Path) -> str:
        state = _state(path) or (str(path), 0, 0)
        if state not in self._digests:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
            self._digests[state] = f"md5:{digest.hexdigest()}"
        return f"{path.name} {self._digests[state]}"


def _state(path: Path) -> tuple[str, int, int] | None:
    """Path, size and time of change; None where there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_size, found.st_mtime_ns
