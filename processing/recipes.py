"""Recipes: the numbers a stage works with, read from ``etc/recipes`` and named by a digest."""

import hashlib
import json
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from tomlkit.exceptions import TOMLKitError

from processing.errors import BadRecipe
from processing.flags import CALIBRATION, PixelFlag
from terapix.identity import safe_name
from terapix.installation import etc_directory

WEIGHT_STAGE = "weight 2"
"""Name and version of the stage; the version counts up whenever the same recipe would give other bits."""


class WeightRecipe(BaseModel):
    """How weight and flag maps are made."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    response_min: float = 0.3
    """Response below which a pixel gives no information."""
    response_max: float = 1.3
    """Response above which a pixel gives no information."""
    saturation: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the CCD's saturation level from which a pixel is saturated."""
    weight_step: Annotated[float, Field(gt=1e-6, le=0.1)] = 1e-3
    """Weights are stored as whole numbers of this step."""
    picture_width: Annotated[int, Field(ge=50, le=4000)] = 900
    """Pixels across the focal plane pictures, about."""
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
        return CALIBRATION | PixelFlag.SATURATED | (PixelFlag.HAND if self.hand else PixelFlag(0))

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
    near = get_close_matches(key, WeightRecipe.model_fields, n=1)
    return f"{key} is unknown" + (f"; did you mean {near[0]}?" if near else "")
