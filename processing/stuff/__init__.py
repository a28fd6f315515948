"""Stuff: lists of the stars and galaxies of a simulated field.

``sky = field(Settings(...), seed=…)`` gives arrays; ``terapix stuff`` writes lists.
"""

from processing.stuff.galaxies import Galaxies
from processing.stuff.settings import GalaxyType, Settings, Sizes, Stars
from processing.stuff.sky import Sky, field

__all__ = ["Galaxies", "GalaxyType", "Settings", "Sizes", "Sky", "Stars", "field"]
