"""Cameras as ``etc/instruments/*.toml`` describe them: the CCDs and their places, and what a frame's header must say.

InstrumentError
├── UnknownInstrument       no such name or file
└── BadInstrument           the file has an unknown, missing or impossible value

A name may end in a number of CCDs: ``megacam:4`` is MegaCam as small test frames have it.
"""

import tomllib
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from terapix.errors import TerapixError
from terapix.installation import etc_directory

_STRICT = ConfigDict(extra="forbid")
Positive = Annotated[float, Field(gt=0)]
Pixels = Annotated[int, Field(gt=0, le=1_000_000)]


class InstrumentError(TerapixError):
    """An instrument description cannot be used."""


class UnknownInstrument(InstrumentError):
    """No description has this name."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known) or 'none'}"
        super().__init__(f"no instrument {name!r} in {etc_directory() / 'instruments'}: {hint}")
        self.name = name
        self.known = known


class BadInstrument(InstrumentError):
    """A description with an unknown, missing or impossible value."""

    def __init__(self, path: Path, key: str, problem: str) -> None:
        super().__init__(f"{path}: {key or 'the file'}: {problem}")
        self.path = path
        self.key = key
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Ccd:
    """One detector: where it lies, and what its amplifiers are like."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    index: Annotated[int, Field(ge=0)]
    """EXTVER, and the number in `name`."""
    name: str
    """EXTNAME, as ccd00."""
    serial: str
    """CCDNAME of the maker; empty where no header told it."""
    nick: str
    """CCDNICK."""
    column: int
    """First column of its illuminated part on the mosaic, in pixels from 0."""
    row: int
    """First row of its illuminated part on the mosaic, in pixels from 0; rows grow to the north."""
    flipped: bool
    """Whether its pixels lie turned by half a turn on the mosaic."""
    gain_a: Positive
    """Electrons an ADU, amplifier A (the lower columns as read out)."""
    gain_b: Positive
    read_noise_a: Positive
    """Electrons rms, amplifier A."""
    read_noise_b: Positive
    saturation: Positive
    """ADU, as Elixir wrote it into SATURATE."""
    dark_current: Annotated[float, Field(ge=0)]
    """Electrons a pixel and hour."""
    crpix1: float
    """Reference pixel, counted from 1 in the frame as read out."""
    crpix2: float
    cd1_1: float
    """Degrees a pixel."""
    cd1_2: float
    cd2_1: float
    cd2_2: float
    offset_x: float
    """Degrees on the sky, to the east, from the telescope's pointing to the reference point that Elixir fitted."""
    offset_y: float
    """The same to the north."""

    @property
    def gain(self) -> float:
        """Electrons an ADU, mean of both amplifiers."""
        return (self.gain_a + self.gain_b) / 2

    @property
    def read_noise(self) -> float:
        """Electrons rms, mean of both amplifiers."""
        return (self.read_noise_a + self.read_noise_b) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A filter of the camera."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    """FILTER, as r.MP9601."""
    band: str
    """As the names of flats have it: 08Am03.flat.r.36.02."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What tells a science frame that was processed at the observatory from everything else."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    suffix: str
    """Letter behind the exposure number."""
    obstype: str
    """OBSTYPE."""
    ccd_counts: tuple[Pixels, ...]
    """Numbers of CCDs that a frame may have; NCCDS, NEXTEND and the image extensions agree."""
    elixir: tuple[str, ...]
    """Keywords of the primary header whose presence says that the frame was processed."""
    operations: tuple[str, ...]
    """All of these stand in IMRED_OP, joined by plus signs."""
    primary: tuple[str, ...]
    """Keywords required in the primary header."""
    ccd: tuple[str, ...]
    """Keywords required in the header of each CCD."""
    names: str = ""
    """Names of frames with * and ?, where they are no exposure number and letter."""
    pipeline: str = "Elixir"
    """Who processes frames at the observatory."""
    done: dict[str, str] = field(default_factory=dict)
    """Keywords of each CCD's header, and the value of each that says that a step was done."""
    slices: Pixels = 1
    """Images that a CCD's extension may hold: more than one where it may be a cube."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ghost:
    """An image of the pupil, out of focus, that two reflections make of a bright star."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    share: Annotated[float, Field(gt=0, lt=1)]
    """Light of the star that is in it."""
    radius: Positive
    """Arcsec."""
    hole: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Radius of the hole in its middle, in units of its own."""
    offset: float = 1.0
    """Distance of its middle from the optical axis, in units of the star's; negative on the other side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrightStars:
    """Light that bright stars shed beside their images; brightness is that of a star of magnitude 0."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    wing: float = 3.3
    """Magnitude of a square arcsec at 1 arcsec: the core's wings, from which fluxes of saturated stars follow."""
    wing_slope: Positive = 4.3
    """Power of the distance with which they fall."""
    halo: float = 16.0
    """Magnitude of a square arcsec at 1 arcmin."""
    halo_slope: Positive = 2.0
    halo_longest: Positive = 600.0
    """Arcsec, the largest radius that is marked."""
    spike_angles: tuple[float, ...] = ()
    """Degrees from the rows of the mosaic, counter-clockwise, of each spike."""
    spike: float = 16.6
    """Magnitude of a square arcsec at 1 arcmin, on a spike."""
    spike_slope: Positive = 2.5
    spike_longest: Positive = 120.0
    """Arcsec."""
    spike_width: Positive = 1.5
    """Arcsec, where a spike is faint; where it is brighter it is seen wider."""
    ghosts: tuple[Ghost, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A camera."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    title: str
    camera: str
    """INSTRUME."""
    detector: str
    """DETECTOR."""
    telescope: str
    """TELESCOP."""
    width: Pixels
    """Pixels of a row as read out, overscan included."""
    height: Pixels
    """Rows as read out, overscan included."""
    datasec: tuple[int, int, int, int]
    """x0, x1, y0, y1 of the illuminated part of a CCD, half-open, from 0."""
    amplifier_boundary: Pixels
    """First column, from 0, that amplifier B read."""
    pixel_scale: Positive
    """Arcsec a pixel."""
    mosaic: tuple[Pixels, Pixels]
    """Width and height of the whole mosaic in pixels (DETSIZE)."""
    bzero: int
    """Value of a stored 0 in processed frames."""
    saturation: Positive
    """ADU; the largest value that a processed frame can hold."""
    acceptance: Acceptance
    filters: tuple[Filter, ...]
    ccds: tuple[Ccd, ...]
    """The CCDs that a frame has."""
    later_ccds: tuple[Ccd, ...] = field(default=())
    """Those that only frames with more CCDs have, in order behind `ccds`."""
    weights: bool = True
    """Whether weight and flag maps can be made: frames name the flat field and the mask that made them."""
    bright_stars: BrightStars | None = None
    """Haloes, spikes and ghosts; None where they are not known."""
    painting: dict[str, Any] = field(default_factory=dict)
    """What SkyMaker paints its frames with, as `processing.skymaker.bands` and `effects` read it."""

    @property
    def ccd_counts(self) -> tuple[int, ...]:
        """Numbers of CCDs that an accepted frame may have."""
        return self.acceptance.ccd_counts

    @property
    def unweighted(self) -> str | None:
        """Why no maps are made of its frames; None if they are."""
        return None if self.weights else f"weights of {self.camera} are not made: its frames name no flat"

    @property
    def mosaic_width(self) -> int:
        return self.mosaic[0]

    @property
    def mosaic_height(self) -> int:
        return self.mosaic[1]

    @property
    def ccd_width(self) -> int:
        """Columns of the illuminated part."""
        return self.datasec[1] - self.datasec[0]

    @property
    def ccd_height(self) -> int:
        """Rows of the illuminated part."""
        return self.datasec[3] - self.datasec[2]

    def ccds_of(self, count: int) -> tuple[Ccd, ...]:
        """The CCDs of a frame that has `count` of them; fewer than `count` if so many are not described."""
        return (self.ccds + self.later_ccds)[:count]

    def with_ccds(self, count: int) -> Self:
        """Return this camera reduced to its first `count` CCDs, for small test frames."""
        if not 1 <= count <= len(self.ccds):
            raise ValueError(f"{self.name}: {count} CCDs were asked for, and it has 1 to {len(self.ccds)}")
        if count == len(self.ccds):
            return self
        accepted = replace(self.acceptance, ccd_counts=(count,))
        return replace(self, ccds=self.ccds[:count], later_ccds=(), acceptance=accepted)

    def filter_named(self, name: str) -> Filter | None:
        """The filter whose FILTER is `name`."""
        return next((item for item in self.filters if item.name == name), None)


_ADAPTER = TypeAdapter(Instrument)


def known_instruments() -> tuple[str, ...]:
    """Names that `load_instrument` knows."""
    return tuple(sorted(path.stem for path in (etc_directory() / "instruments").glob("*.toml")))


def load_instrument(name: str | Path) -> Instrument:
    """Read the description of a camera.

    Parameters
    ----------
    name : str or Path
        Name of a file in ``etc/instruments`` without its ending, or a path that ends in ``.toml``. With ``:4``
        behind it, the camera has its first 4 CCDs only: ``megacam:4`` accepts small test frames and no others.

    Raises
    ------
    UnknownInstrument
        If there is no such description.
    BadInstrument
        If it has an unknown, missing or impossible value.
    """
    plain, colon, count = str(name).partition(":")
    if colon and not count.isdecimal():
        raise UnknownInstrument(str(name), known_instruments())
    path = Path(plain) if plain.endswith(".toml") else etc_directory() / "instruments" / f"{plain}.toml"
    if not path.is_file() or (not plain.endswith(".toml") and Path(plain).name != plain):
        raise UnknownInstrument(plain, known_instruments())
    instrument = _read(path)
    if not colon:
        return instrument
    try:
        return instrument.with_ccds(int(count))
    except ValueError as error:
        raise BadInstrument(path, f":{count}", str(error)) from error


def _read(path: Path) -> Instrument:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInstrument(path, "", f"is no TOML: {error}") from error
    every = _ccds(path, content.get("ccds"))
    least = min(content.get("acceptance", {}).get("ccd_counts") or [len(every)])
    content["ccds"], content["later_ccds"] = every[:least], every[least:]
    try:
        instrument = _ADAPTER.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BadInstrument(path, key, f"{first['msg']}, found {first['input']!r:.80}") from error
    _check(path, instrument)
    return instrument


def _ccds(path: Path, table: Any) -> list[dict[str, Any]]:
    """Records of the table ``[ccds]``, which has its columns named once and a row a CCD."""
    if not isinstance(table, dict) or set(table) != {"columns", "rows"}:
        raise BadInstrument(path, "ccds", "a table with columns = [names] and rows = [[values], ...] was expected")
    columns = table["columns"]
    records = []
    for index, row in enumerate(table["rows"]):
        if len(row) != len(columns):
            raise BadInstrument(path, f"ccds.rows.{index}", f"{len(columns)} values were expected, found {len(row)}")
        records.append({"index": index, **dict(zip(columns, row, strict=True))})
    return records


def _check(path: Path, instrument: Instrument) -> None:
    x0, x1, y0, y1 = instrument.datasec
    if not (0 <= x0 < x1 <= instrument.width and 0 <= y0 < y1 <= instrument.height):
        expected = f"a part of {instrument.width} x {instrument.height} pixels was expected"
        raise BadInstrument(path, "datasec", f"{expected}, found {list(instrument.datasec)}")
    if not instrument.ccds:
        raise BadInstrument(path, "ccds.rows", "at least one CCD was expected")
    every = instrument.ccds + instrument.later_ccds
    if max(instrument.ccd_counts, default=0) > len(every):
        raise BadInstrument(path, "acceptance.ccd_counts", f"only {len(every)} CCDs are described in ccds.rows")
    names = [ccd.name for ccd in every]
    for ccd in every:
        if names.count(ccd.name) > 1:
            raise BadInstrument(path, f"ccds.rows.{ccd.index}", f"the name {ccd.name} occurs twice")
        inside_x = 0 <= ccd.column <= instrument.mosaic_width - instrument.ccd_width
        if not inside_x or not 0 <= ccd.row <= instrument.mosaic_height - instrument.ccd_height:
            problem = f"{ccd.name} at column {ccd.column}, row {ccd.row} leaves the mosaic of {instrument.mosaic}"
            raise BadInstrument(path, f"ccds.rows.{ccd.index}", problem)
