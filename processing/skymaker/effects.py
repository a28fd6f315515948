"""What befalls the light of a frame, each effect with its switch and its numbers.

The numbers given here are MegaCam's; an instrument's file states others in its table ``[painting.effects]``,
and the command line with ``--effects trails=off,cosmic_rays.rate=3``.
"""

import dataclasses
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from processing.errors import BadSetting

Share = Annotated[float, Field(ge=-1, le=1)]
Amount = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A switch; what an effect needs to know stands in the records that follow."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    on: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise(Effect):
    """Noise of photons and of dark current (Poisson's law), and of reading (Gauss's), by amplifier."""

    reading: bool = True
    """Whether the amplifiers add theirs, which the table of the CCDs states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blooming(Effect):
    """Charge above the well flows along the column; without it, pixels are cut off at saturation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NonLinearity(Effect):
    """Levels lag behind the charge, in proportion to it."""

    departure: Share = 0.01
    """Share that a pixel at saturation lacks (the headers' MAXLIN is the level of 1 %)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(Effect):
    """Flat field: vignetting, illumination, levels of the CCDs, grain, dust; the flat of the frame undoes it."""

    second: Share = 0.09
    """Light lost in the corner of the mosaic, second order of the distance from the axis."""
    fourth: Share = 0.04
    """Fourth order."""
    grain: Amount = 0.03
    """Rms of the response from pixel to pixel."""
    levels: Amount = 0.02
    """Rms of the response from CCD to CCD."""
    slopes: Amount = 0.01
    """Rms of the change of response across a CCD."""
    dust: Amount = 3.0
    """Rings of dust a CCD, in the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defects(Effect):
    """Bad columns and pixels, which the mask shows; and hot columns, of which it shows most."""

    columns: Amount = 4.0
    """Bad columns a CCD besides one, in the mean."""
    pixels: Amount = 30.0
    """Single bad pixels a CCD, in the mean."""
    hot_columns: Amount = 1.0
    """Columns that shed charge, a CCD in the mean."""
    hot_charge: Amount = 0.6
    """Electrons a second that such a column gets in each pixel."""
    unmasked: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of the hot columns that are younger than the mask."""
    response: Annotated[float, Field(ge=0, le=1)] = 0.12
    """Response of bad columns and pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CosmicRays(Effect):
    """Muons straight through the silicon, and the crooked paths (worms) of electrons that gamma rays set free."""

    rate: Amount = 1.57
    """Hits a square centimetre of silicon and minute; 1 at sea level."""
    thickness: Positive = 15.0
    """Microns in which charge is collected: 15 in a thinned CCD (CCD42-90), 40 and more in a deep-depleted one."""
    pixel: Positive = 13.5
    """Microns."""
    charge: Amount = 72.0
    """Electrons a micron, most probable value of a minimum-ionising particle."""
    worms: Annotated[float, Field(ge=0, le=1)] = 0.25
    """Share of the hits that are worms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trails(Effect):
    """Satellites, and aeroplanes now and then, in one straight line over the mosaic."""

    satellites: Amount = 0.06
    """A minute and square degree, in the mean; counted by the square round the mosaic."""
    aeroplanes: Amount = 0.002
    brightest: float = 4.0
    """Magnitude of the brightest satellite at a distance of 800 km."""
    faintest: float = 11.0
    """Half of them lie within a quarter of the range from this."""
    aperture: Positive = 3.6
    """Metres of the mirror: a satellite is out of focus by this over its distance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ghosts(Effect):
    """Images of bright stars out of focus: beside the star and at the other side of the optical axis."""

    faintest: float = 11.0
    """Magnitude of stars that show them."""
    near: Amount = 2.0e-3
    """Share of the light in the ring round the star, between filter and window."""
    near_radius: Positive = 1050.0
    """Pixels."""
    near_offset: float = 1.02
    """Distance of its middle from the axis, in units of the star's."""
    far: Amount = 4.0e-4
    """Share in the ring mirrored about the axis, between CCD and corrector."""
    far_radius: Positive = 270.0
    far_offset: float = -0.97
    obstruction: Annotated[float, Field(ge=0, lt=1)] = 0.42
    """Inner radius of the rings over the outer one: that of the pupil."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyLight(Effect):
    """The sky is not even: light scattered in the corrector, a gradient, and the moon (Krisciunas & Schaefer 1991)."""

    glow: Share = 0.012
    """Share by which scattered light brightens the middle of the mosaic over its corners."""
    gradient: Amount = 0.004
    """Rms of the share by which the sky changes from the axis to a corner."""
    moon: bool = True
    """Whether the moon brightens the sky when it is up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fringes(Effect):
    """Lines of the night sky interfere in the thin silicon."""

    residual: Share = 0.03
    """Share that is left in processed frames."""
    amplitude: dict[str, float] = field(default_factory=lambda: {"i": 0.012, "z": 0.045, "Y": 0.01})
    """Share of the sky, from the mean to a crest, by the first letter of the band's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distortion(Effect):
    """The corrector's third order: a place r degrees from the axis is seen at r (1 + third r^2) on the sky."""

    third: float = -0.017
    """Per square degree. What a linear description of each CCD takes up is in its header already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refraction(Effect):
    """The air lifts what stands lower more, and blue light more than red."""

    constant: Amount = 36.0
    """Arcsec at 45 degrees, at the pressure on Mauna Kea."""
    colour: dict[str, float] = field(
        default_factory=lambda: {"u": 0.09, "g": 0.05, "r": 0.02, "i": 0.01, "z": 0.005, "J": 0.001}
    )
    """Arcsec at 45 degrees by which a source a magnitude bluer in g - r is lifted more, by band."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias(Effect):
    """Levels of raw frames: two amplifiers, and a drift along the rows as the reading settles."""

    level_a: int = 1277
    """ADU."""
    level_b: int = 1232
    drift: float = 6.0
    """ADU by which the first row lies above the last."""
    rows: Positive = 250.0
    """Rows in which the drift falls by e."""
    kept: int = 0
    """ADU that processed frames keep (WIRCam's CHIPBIAS), so that what lies below the sky fits into their numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Points(Effect):
    """The image of a point changes over the field; without this it is that of a CCD's middle all over the CCD."""

    curvature: Amount = 0.08
    """Share by which the seeing is wider in the corner of the field than on the axis; as the square of the distance."""
    elongation: Amount = 0.08
    """Arcsec: root of the variance that images in the corner have more along the radius than across."""
    aureole: float = 16.0
    """Mag per square arcsec at 1 arcmin from a star of magnitude 0."""
    aureole_radius: Annotated[int, Field(ge=0, le=512)] = 0
    """Pixels in which light is scattered; 0: none is, and apertures hold what the truth tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """All effects of a frame."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    noise: Noise = Noise()
    dark: Effect = Effect()
    blooming: Blooming = Blooming()
    nonlinearity: NonLinearity = NonLinearity()
    response: Response = Response()
    defects: Defects = Defects()
    cosmic_rays: CosmicRays = CosmicRays()
    trails: Trails = Trails()
    ghosts: Ghosts = Ghosts()
    sky: SkyLight = SkyLight()
    fringes: Fringes = field(default_factory=Fringes)
    distortion: Distortion = Distortion()
    refraction: Refraction = field(default_factory=Refraction)
    bias: Bias = Bias()
    points: Points = Points()

    def plain(self) -> Self:
        """Sources on an even sky with the noise of photons and of reading, and nothing else."""
        kept = {"noise", "bias"}
        off = {name: replace(getattr(self, name), on=False) for name in names() if name not in kept}
        return replace(self, **off)

    def switched(self, orders: str, *, option: str = "--effects") -> Self:
        """Return these effects after ``name=on|off`` and ``name.parameter=value``, several with commas.

        Raises
        ------
        BadSetting
            For an unknown effect or parameter, and for a value that it cannot have.
        """
        changed = self
        for order in filter(None, (part.strip() for part in orders.split(","))):
            key, equals, value = order.partition("=")
            name, _, parameter = key.strip().partition(".")
            if not equals:
                raise BadSetting(f"{option}: {order!r}: NAME=on, NAME=off or NAME.PARAMETER=VALUE was expected")
            if name not in names():
                raise BadSetting(f"{option}: no effect {name!r}: {_near(name, names())}")
            changed = changed._set(name, parameter or "on", value.strip(), option)
        return changed

    def _set(self, name: str, parameter: str, value: str, option: str) -> Self:
        effect = getattr(self, name)
        known = tuple(item.name for item in dataclasses.fields(effect))
        if parameter not in known:
            raise BadSetting(f"{option}: {name} has no {parameter!r}: {_near(parameter, known)}")
        content = {**dataclasses.asdict(effect), parameter: value}
        try:
            return replace(self, **{name: TypeAdapter(type(effect)).validate_python(content)})
        except ValidationError as error:
            raise BadSetting(f"{option}: {name}.{parameter}: {error.errors()[0]['msg']}, found {value!r}") from error


def names() -> tuple[str, ...]:
    """Names of all effects."""
    return tuple(item.name for item in dataclasses.fields(Effects))


def _near(name: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"


def effects_of(table: dict[str, Any], *, where: str) -> Effects:
    """Read the effects of an instrument from its table; `where` names the file for messages.

    Raises
    ------
    BadSetting
        If an effect or one of its parameters is unknown or impossible.
    """
    try:
        return TypeAdapter(Effects).validate_python(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in ("painting", "effects", *first["loc"]))
        raise BadSetting(f"{where}: {key}: {first['msg']}, found {first['input']!r:.80}") from error


FULL = Effects()
"""Everything, as on MegaCam."""
