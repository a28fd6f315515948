"""Regions as DS9 draws and saves them: read, turned into masks of CCDs, made from masks; and masks as MOCs.

The package starts without a compiler and without astropy; what needs them
brings them when it is called.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from processing.regions.masks import hand_mask
    from processing.regions.reading import read_regions
    from processing.regions.shapes import Region

__all__ = ["Region", "hand_mask", "read_regions"]

_HOMES = {"Region": "shapes", "hand_mask": "masks", "read_regions": "reading"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
