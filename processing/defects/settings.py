"""Numbers that the finders of defects work with, one table of the recipe each.

They stand apart from the finders, which bring a compiler, so that a daemon can name a recipe without one.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from processing.flags import flags_named


class EdgeSettings(BaseModel):
    """What is too near the edge."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    on: bool = True
    """Whether edges are marked."""
    width: Annotated[int, Field(ge=0, le=500)] = 8
    """Pixels along each side of the illuminated part, where the field of the CCD is not even."""


class DeadSettings(BaseModel):
    """What a block of an amplifier's pixels must show to be alive."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    on: bool = True
    """Whether dead parts are looked for."""
    block: Annotated[int, Field(ge=64, le=100_000)] = 512
    """Rows that are judged together."""
    equal: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of pixels with one and the same value from which a block is dead."""
    quiet: Annotated[float, Field(ge=0, le=1)] = 0.4
    """Noise below which a block is dead, in units of what gain, sky and read noise make."""
    loud: Annotated[float, Field(gt=1)] = 8.0
    """Noise above which a block is dead, in the same unit and in that of the quiet parts of the CCD."""
    dark: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Sky below which a block is dead, in units of the brightest amplifier's."""


class SaturationSettings(BaseModel):
    """How saturated pixels are found."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    on: bool = True
    """Whether they are looked for."""
    margin: Annotated[int, Field(ge=0, le=20)] = 1
    """Pixels by which saturated cores are widened: their neighbours are no longer linear."""
    plateau: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Share of the header's level from which a plateau of even pixels is taken for the true level; 1 for never."""
    trails: bool = True
    """Whether charge is followed along the columns."""
    limit: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Excess over the neighbouring columns below which a trail has ended, in noise of a pixel."""
    window: Annotated[int, Field(ge=1, le=100)] = 9
    """Pixels of a column over which the excess is averaged."""


class CosmicSettings(BaseModel):
    """How cosmic rays are looked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    on: bool = True
    """Whether they are looked for."""
    pixel: Annotated[float, Field(gt=0)] = 1.8
    """Excess of a pixel over the sharpest light, in units of its noise, from which it counts."""
    group: Annotated[float, Field(gt=0)] = 7.5
    """Root of the summed squares of such excesses, and of the answer to their shape, that makes pixels a ray."""
    peak: float = 3.5
    """Excess of one of them over the light that the pixels round it allow, in units of its noise."""
    track: Annotated[float, Field(gt=0)] = 1.2
    """Excess of a pixel beside a ray that makes it one of the ray's."""
    spare: Annotated[float, Field(gt=0)] = 0.9
    """By how much of their noise the neighbours of a pixel may be brighter than they look."""
    answer: Annotated[float, Field(gt=0)] = 2.5
    """Answer of a filter for a shape of a ray, in units of its noise, from which it counts."""
    charge: Annotated[float, Field(gt=0)] = 7.0
    """Charge that has the shape, light or not, in units of its noise, without which it does not."""
    shape: Annotated[float, Field(gt=0)] = 6.0
    """Root of the summed squares of such answers side by side that makes them a ray."""
    fringe: float = -1.0
    """Light above the sky, in units of its noise, from which a pixel beside a ray is marked too."""
    share: Annotated[float, Field(ge=0)] = 1.0
    """Part of the charge of a ray's pixel that such a pixel has at most; brighter ones are left to the other rules."""
    eager: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share by which `pixel` and `track` are lower where stars are at most 2.65 pixels wide; `peak` by half of that,
    `shape` by a third."""
    sharpest: Annotated[float, Field(gt=0)] = 0.4
    """Arcsec; no seeing is taken for better, and it is taken for this where a frame shows too few stars."""


class ColumnSettings(BaseModel):
    """What makes a column or a pixel a candidate, and how often it has to be one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    on: bool = True
    """Whether the list of a run is looked up and marked."""
    column: Annotated[float, Field(gt=0, le=100)] = 5.0
    """Excess of a piece of a column over its neighbours, in its own noise."""
    pixel: Annotated[float, Field(gt=0, le=1000)] = 8.0
    """Excess of a single pixel over the sky, in noise of a pixel."""
    rest: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of that excess which no pixel beside it may have."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Share of the exposures in which a candidate has to stand."""
    exposures: Annotated[int, Field(ge=1, le=10_000)] = 3
    """Exposures without which nothing is taken for lasting."""


class StarSettings(BaseModel):
    """From what brightness on the light of bright stars is marked; in noise of a pixel of the sky."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    on: bool = True
    """Whether haloes, spikes and ghosts are marked."""
    halo: Annotated[float, Field(gt=0, le=1000)] = 0.5
    """Light of a halo at its rim."""
    spike: Annotated[float, Field(gt=0, le=1000)] = 0.5
    """Light of a spike at its end."""
    ghost: Annotated[float, Field(gt=0, le=1000)] = 0.05
    """Light of a ghost."""
    smallest: Annotated[float, Field(ge=0, le=10_000)] = 20.0
    """Pixels; haloes and spikes that end nearer to their star are not marked."""
    faintest: float = 16.0
    """Magnitude to which a star catalogue is read, where one is given."""


class TrailSettings(BaseModel):
    """What is a trail."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    on: bool = True
    """Whether trails are looked for."""
    score: Annotated[float, Field(ge=3, le=1000)] = 7.0
    """Significance of a trail, in standard deviations of the sums along all lines."""
    shortest: Annotated[float, Field(gt=0)] = 900.0
    """Pixels; anything shorter is no trail."""
    faintest: Annotated[float, Field(ge=0, le=100)] = 0.2
    """Light on the middle line of a trail, in noise of a pixel; anything fainter may be chance or the sky."""
    most: Annotated[int, Field(ge=1, le=1000)] = 30
    """Trails of a frame; a frame with more is a case for a person."""
    limit: Annotated[float, Field(gt=0, le=100)] = 0.7
    """Noise of a pixel to which a trail's light has fallen at the sides of what is marked."""
    margin: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Pixels that are marked beyond that."""


class OutlineSettings(BaseModel):
    """Which flags are outlined, and in which files."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    regions: bool = True
    """Whether they come out as DS9 regions, NAME.reg: polygons by CCD, in pixels, each with its flag as a tag."""
    moc: bool = True
    """Whether they come out as coverage of the sky, NAME.moc.fits: cells with a flagged pixel."""
    flags: tuple[str, ...] = (
        "SATURATED", "COSMIC", "SATELLITE", "BLEED", "HALO", "SPIKE", "GHOST", "HOT", "DEAD", "HAND",
    )  # fmt: skip
    """What is outlined; what mask and flat tell of every frame of the run is not, unless it is asked for."""
    order: Annotated[int, Field(ge=5, le=16)] = 15
    """Of the cells of the MOC, 58.6 degrees / 2**order: 6.4 arcsec."""

    @field_validator("flags")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        flags_named(names)
        return names

    @property
    def bits(self) -> int:
        """The flags as bits."""
        return int(flags_named(self.flags))
