"""A catalogue, and what is known of its images' PSFs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from processing.ldac import Catalogue
from processing.psfex.diagnostics import Diagnosis
from processing.psfex.model import Made


@dataclass(frozen=True, slots=True)
class Field:
    """A catalogue, and what was made of its images."""

    path: Path
    catalogues: Sequence[Catalogue]
    made: Sequence[Made]
    seen: Sequence[Diagnosis] = ()
    """One an image; none where nobody wants to know."""
    plots: Mapping[str, Path] = field(default_factory=dict)
    """Files of check-plots by their kinds."""
