"""Recipes: the numbers a stage works with, read from ``etc/recipes`` and named by a digest."""

import hashlib
import json
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

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
from processing.flags import CALIBRATION, PixelFlag
from terapix.identity import safe_name
from terapix.installation import etc_directory

WEIGHT_STAGE = "weight 3"
"""Name and version of the stage; the version counts up whenever the same recipe would give other bits."""


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
        kept = PixelFlag(0)
        for name in self.keep_weight:
            kept |= PixelFlag[name]
        return ~(kept | CALIBRATION)

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


def load_recipe(name: str, *, directory: Path | None = None) -> WeightRecipe:
    """Read recipe `name` from `directory`, or from those that come with TERAPIX.

    Raises
    ------
    BadRecipe
        Names the file, the key, what was expected and the nearest known key.
    """
    path = (directory or etc_directory() / "recipes") / f"{safe_name(name)}.toml"
    try:
        content = tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    except OSError as problem:
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.toml"))) or "none"
        raise BadRecipe(f"{path}: cannot be read ({problem.strerror}); recipes there: {known}") from problem
    except (TOMLKitError, UnicodeDecodeError) as problem:
        raise BadRecipe(f"{path}: is no TOML ({problem})") from problem
    try:
        return WeightRecipe.model_validate(content)
    except ValidationError as problem:
        raise BadRecipe("; ".join(f"{path}: {_told(error)}" for error in problem.errors())) from problem


def _told(error: object) -> str:
    assert isinstance(error, dict)
    key = ".".join(map(str, error["loc"])) or "the recipe"
    if error["type"] != "extra_forbidden":
        return f"{key} = {error['input']!r}: {error['msg']}"
    *tables, last = error["loc"]
    model: Any = WeightRecipe
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
    print(in_full(load_recipe(*sys.argv[1:] or ["weight"])), end="")  # noqa: T201  that is what it is asked for
