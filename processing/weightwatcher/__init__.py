"""WeightWatcher: weight and flag maps."""

from processing.weightwatcher.stage import MadeFile, WeighedFrame, weigh_frame

__all__ = ["MadeFile", "WeighedFrame", "weigh_frame"]
