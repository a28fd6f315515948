"""The filters that a camera is painted through."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from processing.errors import BadSetting
from processing.skymaker.exposures import BANDS, Band
from terapix.instruments import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class BandTable:
    """A band as an instrument's file states it, in ``[painting.bands.FILTER]``."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str = ""
    """As the names of flats have it; the instrument's list of filters has it otherwise."""
    holder: int = 0
    version: str = "01"
    exptime: Annotated[float, Field(gt=0)] = 120.0
    zero_point: float
    airmass_term: float = 0.0
    sky: float


def bands_of(instrument: Instrument) -> dict[str, Band]:
    """Give the bands of a camera by the name of their filter.

    Raises
    ------
    BadSetting
        If the instrument's file states one wrongly.
    """
    found = {band.filter: band for band in BANDS} if instrument.name == "megacam" else {}
    tables: dict[str, Any] = instrument.painting.get("bands", {})
    for filter_name, content in tables.items():
        try:
            table = TypeAdapter(BandTable).validate_python(content)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in ("painting", "bands", filter_name, *first["loc"]))
            raise BadSetting(f"instrument {instrument.name}: {key}: {first['msg']}") from error
        known = instrument.filter_named(filter_name)
        name = table.name or (known.band if known else filter_name)
        found[filter_name] = Band(
            filter_name, table.holder, name, table.version, table.exptime, table.zero_point, table.airmass_term, 0.0,
            ("g", "r"), table.sky,
        )  # fmt: skip
    if not found:
        raise BadSetting(
            f"instrument {instrument.name}: its file has no [painting.bands.FILTER]; add one for each filter"
        )
    return found


def band_named(instrument: Instrument, name: str, *, option: str) -> Band:
    """Give the band of a filter, named in full or by its letter.

    Raises
    ------
    BadSetting
        If the camera has no such filter.
    """
    bands = bands_of(instrument)
    chosen = [band for key, band in bands.items() if name in {key, band.name, band.name[0]}]
    if chosen:
        return chosen[0]
    near = get_close_matches(name, bands, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(bands)}"
    raise BadSetting(f"{option} {name}: {instrument.title} is not painted through such a filter: {hint}")
