"""What all sections of the settings have in common: frozen, strict, and numbers with units."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Bytes = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]

CLOCK = "a time of day as 03:00, in UTC"
Hour = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", title=CLOCK)]
NODE_NAME = "1 to 32 letters, digits, _ or -, beginning with a letter or digit"


class Section(BaseModel):
    """A part of the settings: frozen, strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
