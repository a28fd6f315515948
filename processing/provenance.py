"""Where a product comes from: software, recipe, inputs with their digests."""

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from processing.cards import Entry
from terapix import __version__

_CHUNK = 1 << 22
_PLAIN = re.compile(r"[^\x20-\x7e]")


def software() -> str:
    """Name and version of this software."""
    return f"TERAPIX {__version__}"


def digest_of(path: Path) -> str:
    """``md5:<hex>`` of a file, as the archive writes it."""
    import hashlib  # noqa: PLC0415  tools that only tell their name start sooner

    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return f"md5:{digest.hexdigest()}"


def told(paths: Iterable[Path]) -> str:
    """Names and digests of files, as provenance tells them; each is read once for its size and time of change."""
    return ", ".join(f"{path.name} {_once(path, *_state(path))}" for path in paths)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=4096)
def _once(path: Path, size: int, modified: int) -> str:
    del size, modified
    return digest_of(path)


def history(provenance: Mapping[str, Any]) -> list[Entry]:
    """HISTORY cards that tell `provenance`, in its order."""
    entries: list[Entry] = []
    for key, value in provenance.items():
        text = _PLAIN.sub("?", f"terapix: {key}: {value}")
        entries += [("HISTORY", text[at : at + 72]) for at in range(0, len(text), 72)]
    return entries
