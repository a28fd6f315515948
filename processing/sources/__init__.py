"""Catalogue and PSF of a weighted frame; imported when they are asked for, since they bring a compiler."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from processing.sources.stage import CataloguedFrame, catalogue_frame

__all__ = ["CataloguedFrame", "catalogue_frame"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("processing.sources.stage"), name)
