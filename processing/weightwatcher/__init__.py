"""WeightWatcher: weight and flag maps.

The stage brings a compiler, the tool starts in a tenth of a second: each is
imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from processing.weightwatcher.stage import WeighedFrame, weigh_frame

__all__ = ["WeighedFrame", "weigh_frame"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("processing.weightwatcher.stage"), name)
