"""Stages by name, and what each reads of the one before it."""

from collections.abc import Mapping
from typing import Final

WEIGHT: Final = "weight"
"""A placed frame gets its weight and flag maps, and is weighted."""
SOURCES: Final = "sources"
"""A weighted frame gets its catalogue and its PSF, and stays weighted whatever comes of that."""
STAGES: Final = (WEIGHT, SOURCES)
"""All, in their order."""
READS: Final[Mapping[str, tuple[str, ...]]] = {WEIGHT: (), SOURCES: ("weight", "flag")}
"""Kinds of products of the weight stage that a stage reads; due again when they are made with other bytes."""
