"""Columns that follow from measured ones: magnitudes, surface brightnesses, positions and shapes on the sky.

Formulae are those of the original as its catalogues show them, with two exceptions: second moments on the sky take
the covariance twice (the original takes it once, which turns and stretches the ellipses of images that are rotated
against the sky, by 9 % of A_WORLD at 45 degrees), and coefficients of ellipses on the sky are in deg**-2 (its are
the moments times 1e6).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.sextractor import equinox
from processing.sextractor.columns import measured
from processing.sextractor.records import Table
from processing.sextractor.world import World

Floats = NDArray[np.float64]
ERROR_FACTOR = 1.086
"""Magnitudes a relative error of a flux; the original's rounding of 2.5 / ln 10."""
NO_MAGNITUDE = 99.0
"""Of a flux that is not positive, and its error."""
ANALYSIS = "ANALYSIS_THRESHOLD"
"""Threshold of the analysis a source, ADU; no column of the original's, but MU_THRESHOLD follows from it."""
_KINDS = ("", "WIN", "PSF", "PEAK")
_X_IMAGE = MappingProxyType({"": "X_IMAGE_DBL", "WIN": "XWIN_IMAGE", "PSF": "XPSF_IMAGE", "PEAK": "XPEAK_IMAGE"})


@dataclass(frozen=True, slots=True)
class Place:
    """What the numbers of one image mean."""

    world: World
    zero_point: float
    pixel_scale: float
    """Arcseconds, as set; 0: as the world coordinates have it where the source lies."""

    def area(self, x: Floats, y: Floats) -> Floats:
        """Square degrees of a pixel."""
        if self.pixel_scale:
            return np.full(x.shape, (self.pixel_scale / 3600.0) ** 2)
        xx, xy, yx, yy = self.world.derivatives(x, y)
        size: Floats = np.abs(xx * yy - xy * yx)
        return size if self.world.celestial else size / 3600.0**2


@dataclass(frozen=True, slots=True)
class Rule:
    """How a column is made of others."""

    needs: tuple[str, ...]
    make: Callable[..., Any]
    """Of the place and the needed columns, in float64."""


def _magnitude(place: Place, flux: Floats) -> Floats:
    good = flux > 0
    return np.where(good, place.zero_point - 2.5 * np.log10(np.where(good, flux, 1.0)), NO_MAGNITUDE)


def _magnitude_error(_: Place, flux: Floats, error: Floats) -> Floats:
    good = flux > 0
    return np.where(good, ERROR_FACTOR * error / np.where(good, flux, 1.0), NO_MAGNITUDE)


def _brightness(place: Place, flux: Floats, x: Floats, y: Floats) -> Floats:
    return _magnitude(place, flux / (place.area(x, y) * 3600.0**2))


def _j2000(place: Place, x: Floats, y: Floats) -> equinox.Sky:
    return equinox.to_j2000(_native(place, x, y), place.world.system, place.world.equinox)


def _native(place: Place, x: Floats, y: Floats) -> equinox.Sky:
    if not place.world.celestial:
        return np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    return place.world.sky(x, y)


def _b1950(place: Place, x: Floats, y: Floats) -> equinox.Sky:
    return equinox.to_b1950(_j2000(place, x, y))


def _moments(place: Place, x: Floats, y: Floats, x2: Floats, y2: Floats, xy: Floats) -> tuple[Floats, Floats, Floats]:
    """Second moments on the sky, along its axes."""
    if not place.world.celestial:
        return x2, y2, xy
    a, b, c, d = place.world.derivatives(x, y)
    return (
        a * a * x2 + b * b * y2 + 2 * a * b * xy,
        c * c * x2 + d * d * y2 + 2 * c * d * xy,
        a * c * x2 + b * d * y2 + (a * d + b * c) * xy,
    )


def _axes(x2: Floats, y2: Floats, xy: Floats) -> tuple[Floats, Floats, Floats]:
    """Semi-axes, and the angle of the larger one from the first axis towards the second, degrees."""
    middle, half = 0.5 * (x2 + y2), np.hypot(0.5 * (x2 - y2), xy)
    angle = np.degrees(0.5 * np.arctan2(2.0 * xy, x2 - y2))
    return np.sqrt(middle + half), np.sqrt(np.maximum(middle - half, 0.0)), angle


def _coefficients(x2: Floats, y2: Floats, xy: Floats) -> tuple[Floats, Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        size = x2 * y2 - xy * xy
        return y2 / size, x2 / size, -2.0 * xy / size


def _turned(angle: Floats) -> Floats:
    """Fold an angle into -90 to 90 degrees."""
    return angle - 180.0 * np.rint(angle / 180.0)


def _angle(equinox_name: str, place: Place, x: Floats, y: Floats, theta: Floats) -> Floats:
    """Position angle east of north of an angle from world x towards world y."""
    if not place.world.celestial:
        return np.full(x.shape, np.nan)
    east = 90.0 - theta if place.world.longitude == 0 else theta
    if equinox_name == "SKY":
        return _turned(east)
    native, world = place.world.sky(x, y), place.world
    if world.system == "FK5" and world.equinox != 2000.0:
        east = east - equinox.north_of(native, equinox.pole_of_j2000(world.equinox))
    if equinox_name == "B1950":
        east = east - equinox.north_of(_j2000(place, x, y), equinox.POLE_OF_B1950)
    return _turned(east)


def _part(number: int, make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda place, *columns: make(place, *columns)[number]


def _of_moments(number: int, make: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _place, *moments: make(*moments)[number]


@lru_cache(maxsize=1)
def rules() -> MappingProxyType[str, Rule]:
    """How every derived column is made, by its name."""
    made: dict[str, Rule] = {}
    for kind in ("ISO", "ISOCOR", "APER", "AUTO", "PETRO", "BEST", "WIN", "PSF"):
        made[f"MAG_{kind}"] = Rule((f"FLUX_{kind}",), _magnitude)
        made[f"MAGERR_{kind}"] = Rule((f"FLUX_{kind}", f"FLUXERR_{kind}"), _magnitude_error)
    made["MAG_GROWTH"] = Rule(("FLUX_OF_MAG_GROWTH",), _magnitude)
    made["MAG_GROWTHSTEP"] = Rule(("FLUX_OF_MAG_GROWTHSTEP",), lambda _, step: step)
    centre = ("X_IMAGE_DBL", "Y_IMAGE_DBL")
    made["MU_MAX"] = Rule(("FLUX_MAX", *centre), _brightness)
    made["MU_THRESHOLD"] = Rule((ANALYSIS, *centre), _brightness)
    made["THRESHOLDMAX"] = Rule(("THRESHOLD",), lambda _, threshold: threshold)  # the original's is never another one
    for area in ("ISOAREA", "ISOAREAF"):
        made[f"{area}_WORLD"] = Rule((f"{area}_IMAGE", *centre), lambda place, size, x, y: size * place.area(x, y))
    for size in ("FWHM", "FWHMPSF"):
        made[f"{size}_WORLD"] = Rule(
            (f"{size}_IMAGE", *centre), lambda place, width, x, y: width * np.sqrt(place.area(x, y))
        )
    made["ELONGATION"] = Rule(("A_IMAGE", "B_IMAGE"), lambda _, a, b: a / b)
    made["ELLIPTICITY"] = Rule(("A_IMAGE", "B_IMAGE"), lambda _, a, b: 1.0 - b / a)
    for kind in _KINDS:
        made |= _positions(kind)
        if kind != "PEAK":
            made |= _shapes("ERR", kind)
        if kind in {"", "WIN"}:
            made |= _shapes("", kind)
            for frame in ("IMAGE", "WORLD"):
                axes = (f"A{kind}_{frame}", f"B{kind}_{frame}")
                made[f"POLAR{kind}_{frame}"] = Rule(axes, lambda _, a, b: (a * a - b * b) / (a * a + b * b))
    return MappingProxyType({name: rule for name, rule in made.items() if name in measured()})


def _positions(kind: str) -> dict[str, Rule]:
    place = (_X_IMAGE[kind], _X_IMAGE[kind].replace("X", "Y", 1))
    made: dict[str, Rule] = {}
    for axis, letter in enumerate("XY"):
        made[f"{letter}{kind}_WORLD"] = Rule(place, _part(axis, lambda where, x, y: where.world.world(x, y)))
        made[f"{letter}{kind}_FOCAL"] = Rule(place, _part(axis, lambda where, x, y: where.world.plane(x, y)))
    for axis, letter in enumerate(("ALPHA", "DELTA")):
        for suffix, make in (("SKY", _native), ("J2000", _j2000), ("B1950", _b1950)):
            made[f"{letter}{kind}_{suffix}"] = Rule(place, _part(axis, make))
    return made


def _shapes(error: str, kind: str) -> dict[str, Rule]:
    """Columns of an ellipse on the sky: of the light, or of the error of the position."""
    place = (_X_IMAGE[kind], _X_IMAGE[kind].replace("X", "Y", 1))
    image = tuple(f"{error}{moment}{kind}_IMAGE" for moment in ("X2", "Y2", "XY"))
    world = tuple(f"{error}{moment}{kind}_WORLD" for moment in ("X2", "Y2", "XY"))
    theta = f"{error}THETA{kind}"
    made = {name: Rule((*place, *image), _part(number, _moments)) for number, name in enumerate(world)}
    for number, name in enumerate(("A", "B", "THETA")):
        made[f"{error}{name}{kind}_WORLD"] = Rule(world, _of_moments(number, _axes))
    for number, name in enumerate(("CXX", "CYY", "CXY")):
        made[f"{error}{name}{kind}_WORLD"] = Rule(world, _of_moments(number, _coefficients))
    for suffix in ("SKY", "J2000", "B1950"):
        made[f"{theta}_{suffix}"] = Rule((*place, f"{theta}_WORLD"), _turn(suffix))
    return made


def _turn(suffix: str) -> Callable[..., Any]:
    return lambda place, x, y, theta: _angle(suffix, place, x, y, theta)


def base_columns(names: Iterable[str]) -> frozenset[str]:
    """Return what must be measured for the columns `names`: themselves, or what they are derived from."""
    found: set[str] = set()
    known = rules()
    for name in names:
        found |= base_columns(known[name].needs) if name in known else {name}
    return frozenset(found)


def derive(base: Table, names: Iterable[str], place: Place) -> Table:
    """Return the columns `names`, in their order and types, measured ones as they are.

    Parameters
    ----------
    base : measured columns, those of `base_columns` at least

    Notes
    -----
    Numbers are float64 until they are stored; a position that has no place on the sky is NaN.
    """
    held: dict[str, Any] = dict(base)
    known, declared = rules(), measured()

    def value(name: str) -> Any:
        if name not in held:
            rule = known[name]
            held[name] = rule.make(place, *(np.asarray(value(need), np.float64) for need in rule.needs))
        return held[name]

    return {
        name: np.ascontiguousarray(value(name), declared[name].dtype) if name in declared else value(name)
        for name in names
    }
