"""Recipes: the numbers a stage works with, read from ``etc/recipes`` and named by a digest."""

import hashlib
import json
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from tomlkit.exceptions import TOMLKitError

from processing.defects.settings import (
    ColumnSettings,
    CosmicSettings,
    DeadSettings,
    EdgeSettings,
    OutlineSettings,
    SaturationSettings,
    StarSettings,
    TrailSettings,
)
from processing.errors import BadRecipe
from processing.flags import CALIBRATION, PixelFlag, flags_named
from terapix.identity import safe_name
from terapix.installation import etc_directory

WEIGHT_STAGE = "weight 3"
"""Name and version of the stage; the version counts up whenever the same recipe would give other bits."""
SOURCES_STAGE = "sources 2"
"""Likewise, of catalogues and PSFs."""


class WeightRecipe(BaseModel):
    """How weight and flag maps are made."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    response_min: float = 0.3
    """Response below which a pixel gives no information."""
    response_max: float = 1.3
    """Response above which a pixel gives no information."""
    saturated_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the CCD's saturation level from which a pixel is saturated."""
    weight_step: Annotated[float, Field(gt=1e-6, le=0.1)] = 1e-3
    """Weights are stored as whole numbers of this step."""
    picture_width: Annotated[int, Field(ge=50, le=4000)] = 900
    """Pixels across the focal plane pictures, about."""
    edges: EdgeSettings = EdgeSettings()
    """What is too near the edge: EDGE."""
    dead: DeadSettings = DeadSettings()
    """CCDs and parts of them that show no sky: DEAD."""
    saturation: SaturationSettings = SaturationSettings()
    """Saturated cores and the trails of their charge: SATURATED, BLEED."""
    cosmics: CosmicSettings = CosmicSettings()
    """Cosmic rays: COSMIC."""
    hot: ColumnSettings = ColumnSettings()
    """Columns and pixels that are hot all over a run: HOT."""
    stars: StarSettings = StarSettings()
    """Light of bright stars beside their images: HALO, SPIKE, GHOST."""
    trails: TrailSettings = TrailSettings()
    """Trails of satellites and aeroplanes: SATELLITE."""
    outlines: OutlineSettings = OutlineSettings()
    """What was found, outlined beside the maps: NAME.reg and NAME.moc.fits."""
    hand: bool = True
    """Whether the regions that people drew are marked."""
    keep_weight: tuple[str, ...] = ("HALO", "SPIKE", "GHOST", "EDGE")
    """Flags that leave a pixel its weight; every other one nulls it."""

    @model_validator(mode="after")
    def _ordered(self) -> "WeightRecipe":
        if not 0 < self.response_min < self.response_max < 100:
            raise ValueError("0 < response_min < response_max < 100 was expected")
        return self

    @field_validator("keep_weight")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        allowed = [str(flag.name) for flag in PixelFlag if not flag & CALIBRATION]
        for name in names:
            if name not in allowed:
                raise ValueError(f"{name} is none of {', '.join(allowed)}")
        return names

    @property
    def nulls(self) -> PixelFlag:
        """Flags of defects that null the weight; those of flat and mask always do."""
        return ~(flags_named(self.keep_weight) | CALIBRATION)

    @property
    def flags(self) -> PixelFlag:
        """Flags that the maps can have."""
        found = CALIBRATION
        for on, flags in (
            (self.edges.on, PixelFlag.EDGE),
            (self.dead.on, PixelFlag.DEAD),
            (self.saturation.on, PixelFlag.SATURATED | PixelFlag.BLEED),
            (self.cosmics.on, PixelFlag.COSMIC),
            (self.hot.on, PixelFlag.HOT),
            (self.stars.on, PixelFlag.HALO | PixelFlag.SPIKE | PixelFlag.GHOST),
            (self.trails.on, PixelFlag.SATELLITE),
            (self.hand, PixelFlag.HAND),
        ):
            found |= flags if on else PixelFlag(0)
        return found

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of the recipe's values and of the stage's version, whatever the file looked like."""
        content = json.dumps({"stage": WEIGHT_STAGE, **self.model_dump()}, sort_keys=True)
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


class PsfSample(BaseModel):
    """Which sources tell the PSF, and how its model varies over a CCD."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    signal_to_noise: Annotated[float, Field(gt=0)] = 20.0
    """Least ratio of signal to noise of a star."""
    ellipticity: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Largest (A-B)/(A+B) of a star."""
    fwhm: tuple[float, float] = (2.0, 12.0)
    """Pixels. FWHM that stars may have."""
    variability: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Allowed of the FWHM over a CCD, relative."""
    flags: tuple[str, ...] = ("BAD", "OVERSCAN", "SATURATED", "LOW_RESPONSE", "HIGH_RESPONSE", "COSMIC", "BLEED",
                              "SATELLITE", "HOT", "DEAD", "HAND")  # fmt: skip
    """Flags of the flag map that no pixel of a star may have."""
    vignette: Annotated[int, Field(ge=15, le=101)] = 35
    """Pixels across the images of stars that the model is made of."""
    size: Annotated[int, Field(ge=9, le=101)] = 25
    """Samples across the model."""
    degree: Annotated[int, Field(ge=0, le=5)] = 2
    """Of the polynomial in x and y; less where a CCD has too few stars for it."""
    photometry: bool = True
    """Whether the PSF is fitted to all sources: MAG_PSF, SPREAD_MODEL, STAR_PROB and their kin."""

    @field_validator("flags")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        flags_named(names)
        return names

    @property
    def mask(self) -> PixelFlag:
        """The flags together."""
        return flags_named(self.flags)


class SourcesRecipe(BaseModel):
    """How the catalogue and the PSF of a weighted frame are made."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    threshold: Annotated[float, Field(gt=0)] = 1.5
    """Of detection, standard deviations of the background."""
    least_area: Annotated[int, Field(ge=1)] = 5
    """Pixels above the threshold that make a source."""
    contrast: Annotated[float, Field(ge=0, le=1)] = 0.005
    """Share of its light that parts a piece from a blend."""
    mesh: Annotated[int, Field(ge=8, le=4096)] = 128
    """Pixels across a mesh of the background."""
    apertures: tuple[float, ...] = (10.0, 16.0)
    """Diameters, pixels; the first one gives the fluxes that the PSF is scaled with."""
    zero_point: float = 30.0
    """Magnitude of one ADU."""
    psf: PsfSample = PsfSample()
    """Of which sources the PSF is made, and how."""

    @field_validator("apertures")
    @classmethod
    def _positive(cls, sizes: tuple[float, ...]) -> tuple[float, ...]:
        if not sizes or min(sizes) <= 0:
            raise ValueError("at least one diameter above 0 was expected")
        return sizes

    def digest_with(self, weights: WeightRecipe) -> str:
        """``sha256:<hex>`` of these values, of the stage's version, and of the recipe of the weights it reads."""
        content = json.dumps({"stage": SOURCES_STAGE, **self.model_dump(), "weights": weights.digest}, sort_keys=True)
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


Recipe = TypeVar("Recipe", bound=BaseModel)


def load_recipe(name: str, *, directory: Path | None = None) -> WeightRecipe:
    """Read recipe `name` of the weight stage from `directory`, or from those that come with TERAPIX.

    Raises
    ------
    BadRecipe
        Names the file, the key, what was expected and the nearest known key.
    """
    return _load(WeightRecipe, name, directory)


def load_sources_recipe(name: str, *, directory: Path | None = None) -> SourcesRecipe:
    """Read recipe `name` of the sources stage, likewise."""
    return _load(SourcesRecipe, name, directory)


def _load(kind: type[Recipe], name: str, directory: Path | None) -> Recipe:
    path = (directory or etc_directory() / "recipes") / f"{safe_name(name)}.toml"
    try:
        content = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    except OSError as problem:
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.toml"))) or "none"
        raise BadRecipe(f"{path}: cannot be read ({problem.strerror}); recipes there: {known}") from problem
    except (TOMLKitError, UnicodeDecodeError) as problem:
        raise BadRecipe(f"{path}: is no TOML ({problem})") from problem
    try:
        return kind.model_validate(content)
    except ValidationError as problem:
        raise BadRecipe("; ".join(f"{path}: {_told(kind, error)}" for error in problem.errors())) from problem


def _told(kind: type[BaseModel], error: object) -> str:
    assert isinstance(error, dict)
    key = ".".join(map(str, error["loc"])) or "the recipe"
    if error["type"] != "extra_forbidden":
        return f"{key} = {error['input']!r}: {error['msg']}"
    *tables, last = error["loc"]
    model: Any = kind
    for table in tables:
        model = model.model_fields[table].annotation
    near = get_close_matches(str(last), model.model_fields, n=1)
    return f"{key} is unknown" + (f"; did you mean {near[0]}?" if near else "")


def in_full(recipe: BaseModel) -> str:
    """Text of a recipe's file with every value, each with what it means."""
    lines, tables = [], []
    for name, field in type(recipe).model_fields.items():
        value = getattr(recipe, name)
        if isinstance(value, BaseModel):
            tables.append(f"\n# {field.description}\n[{name}]\n{in_full(value)}")
        else:
            lines.append(
                f"# {' '.join((field.description or '').split())}\n{name} = {tomlkit.item(value).as_string()}\n"
            )
    return "".join(lines) + "".join(tables)


if __name__ == "__main__":
    asked = (*sys.argv[1:], "weight")[0]
    print(in_full((load_sources_recipe if asked == "sources" else load_recipe)(asked)), end="")  # noqa: T201  as asked
