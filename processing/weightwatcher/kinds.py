"""What a weight map may hold: known to the command before numpy is there."""

from enum import StrEnum


class WeightKind(StrEnum):
    """What the weight map holds."""

    WEIGHT = "WEIGHT"  #: inverse of the variance, relative; 0 where there is no information
    VARIANCE = "VARIANCE"  #: inverse of the weight; 1e30 where there is no information
    RMS = "RMS"  #: root of that; 1e30 where there is no information
