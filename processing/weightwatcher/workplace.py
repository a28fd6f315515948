"""The maps that all frames of a run share, kept on a node for the next of them."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEPT_BASES = 6
"""Pairs of flat and mask whose maps are kept on a node, about 0.3 GB each for MegaCam; the oldest go first."""


def bases_of(scratch: Path, facts: Mapping[str, Any]) -> Path:
    """Directory of the maps that `facts` decide: flat, mask, recipe, geometry. Older ones make room.

    Two jobs may share it at once: each file in it appears complete, and with the same content whoever made it.
    """
    key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:32]
    directory = scratch / "bases" / key
    directory.mkdir(parents=True, exist_ok=True)
    os.utime(directory)
    older = sorted(directory.parent.iterdir(), key=lambda place: place.stat().st_mtime, reverse=True)[KEPT_BASES:]
    for old in older:
        shutil.rmtree(old, ignore_errors=True)
    return directory
