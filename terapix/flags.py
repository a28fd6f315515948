"""What each flag of a flag map means to people, and its colour: one table for pictures, legends and pages.

The bits themselves are `processing.flags.PixelFlag`; a test holds both together.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag as it is shown."""

    name: str
    value: int
    """Its bit."""
    colour: tuple[int, int, int]
    """Red, green, blue, 0 to 255; all can be told from a dark sky."""
    words: str

    @property
    def bit(self) -> int:
        """Number of its bit, from 0."""
        return self.value.bit_length() - 1

    @property
    def hexadecimal(self) -> str:
        """Colour as pages write it."""
        return "#{:02x}{:02x}{:02x}".format(*self.colour)


FLAGS: Final = (
    Flag("OVERSCAN", 2, (104, 104, 118), "overscan"),
    Flag("EDGE", 8192, (122, 124, 98), "near the edge"),
    Flag("HALO", 256, (128, 98, 62), "halo of a bright star"),
    Flag("GHOST", 1024, (136, 150, 64), "ghost of a bright star"),
    Flag("LOW_RESPONSE", 8, (86, 110, 180), "response too low"),
    Flag("HIGH_RESPONSE", 16, (150, 110, 200), "response too high"),
    Flag("DEAD", 4096, (140, 58, 84), "dead CCD or half"),
    Flag("BAD", 1, (220, 150, 40), "bad in the mask"),
    Flag("SPIKE", 512, (214, 204, 96), "spike of a bright star"),
    Flag("HOT", 2048, (246, 96, 190), "hot column or pixel"),
    Flag("SATELLITE", 64, (90, 190, 120), "satellite trail"),
    Flag("COSMIC", 32, (80, 200, 200), "cosmic ray"),
    Flag("BLEED", 128, (255, 150, 130), "bleed trail"),
    Flag("SATURATED", 4, (235, 70, 60), "saturated"),
    Flag("HAND", 16384, (240, 240, 240), "marked by hand"),
)
"""In the order in which they are painted: later ones lie over earlier ones."""
