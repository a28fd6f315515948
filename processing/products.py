"""Products of stages: complete files under their final names, with what they were made of."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processing.mosaic import Written
from processing.placing import place


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A product under its final name."""

    kind: str
    """weight, flag, picture-frame, picture-weight, picture-flag, regions, moc, catalogue or psf."""
    path: Path
    size: int
    """Bytes."""
    md5: str
    """Hexadecimal."""
    provenance: dict[str, Any]
    """Software, stage, recipe, inputs with their digests."""


def publish(kind: str, file: Written, into: Path, facts: dict[str, Any]) -> MadeFile:
    """Rename a complete file into `into`; over a border of file systems it is copied first."""
    target = into / file.path.name
    source = file.path
    if source.stat().st_dev != into.stat().st_dev:
        source = into / f"{target.name}.part"
        with file.path.open("rb") as reader, source.open("wb") as copy:
            shutil.copyfileobj(reader, copy)
            copy.flush()
            os.fsync(copy.fileno())
    place(source, target)
    return MadeFile(kind, target, file.size, file.md5, dict(facts))
