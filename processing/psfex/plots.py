"""Check-plots as SVG: maps over the focal plane, and which sources were taken for stars."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from processing.cards import CardValues
from processing.psfex.canvas import FAINT, INK, Canvas, Scale, number
from processing.psfex.diagnostics import across_and_along
from processing.psfex.field import Field
from processing.psfex.focal_plane import FocalPlane, focal_plane
from processing.psfex.sample import Floats, column
from processing.psfex.settings import Settings

_SIDE = 620.0
"""Width of a map's longer side, pixels of the figure."""
_LEFT, _TOP, _RIGHT, _BOTTOM = 84.0, 84.0, 176.0, 62.0
_STAR, _UNFIT, _OTHER = "#1769aa", "#d1495b", "#aab3be"


@dataclass(frozen=True, slots=True)
class Map:
    """A quantity over the focal plane."""

    title: str
    unit: str
    values: Callable[[Field, int, Settings, FocalPlane], Floats]
    """(rows, columns) of an image's cells, NaN where there is none."""
    whiskers: bool = False


def _looked(kind: str, factor: float) -> Callable[[Field, int, Settings, FocalPlane], Floats]:
    """Give a quantity of the model at all places of an image."""

    def values(field: Field, image: int, _settings: Settings, _plane: FocalPlane) -> Floats:
        seen = field.seen[image]
        held = {
            "FWHM": seen.plain.fwhm, "ELLIPTICITY": seen.plain.ellipticity, "MOFFAT_RESIDUALS": seen.free.residuals,
            "ASYMMETRY": seen.asymmetry,
        }  # fmt: skip
        found = factor * across_and_along(held[kind], seen.snapshots, field.made[image].model.variation)
        return np.full_like(found, np.nan) if field.made[image].model.empty else found

    return values


def _counted(kind: str) -> Callable[[Field, int, Settings, FocalPlane], Floats]:
    """Give a mean or a count of the stars in each cell of an image."""

    def values(field: Field, image: int, settings: Settings, plane: FocalPlane) -> Floats:
        made, catalogue = field.made[image], field.catalogues[image]
        side, rows = settings.snapshots, made.sample.rows
        height, width = plane.shapes[image]
        x, y = (column(field.path, catalogue, name)[rows] for name in settings.centre)
        cells = [
            np.clip((side / size * (place - 0.5)).astype(int), 0, side - 1) for place, size in ((x, width), (y, height))
        ]
        cell = cells[1] * side + cells[0]
        accepted = made.residuals.accepted
        loaded, fitting = (np.bincount(each, minlength=side * side) for each in (cell, cell[accepted]))
        counts = fitting.astype(np.float64)
        if kind == "COUNTS":
            found = counts
        elif kind == "COUNT_FRACTION":
            found = np.divide(100.0 * counts, loaded, out=np.full(len(counts), np.nan), where=loaded > 0)
        else:
            held = made.residuals.chi2 if kind == "CHI2" else 100.0 * made.residuals.relative
            sums = np.bincount(cell[accepted], held[accepted], side * side)
            found = np.divide(sums, counts, out=np.full(len(counts), np.nan), where=fitting > 0)
        return found.reshape(side, side)

    return values


MAPS: Mapping[str, Map] = {
    "FWHM": Map("Full width at half maximum", "pixels", _looked("FWHM", 1.0)),
    "ELLIPTICITY": Map("Ellipticity (a − b) / (a + b)", "%", _looked("ELLIPTICITY", 100.0), whiskers=True),
    "COUNTS": Map("Stars that the model fits", "stars a cell", _counted("COUNTS")),
    "COUNT_FRACTION": Map("Share of stars that the model fits", "%", _counted("COUNT_FRACTION")),
    "CHI2": Map("χ² a degree of freedom, mean of stars", "χ² / d.o.f.", _counted("CHI2")),
    "RESIDUALS": Map("Difference of stars from the model", "%", _counted("RESIDUALS")),
    "MOFFAT_RESIDUALS": Map("Difference of the model from a Moffat profile", "%", _looked("MOFFAT_RESIDUALS", 100.0)),
    "ASYMMETRY": Map("Asymmetry of the model", "%", _looked("ASYMMETRY", 100.0)),
}
KINDS = (*MAPS, "SELECTION_FWHM")


def plot(kind: str, field: Field, settings: Settings) -> str:
    """Return a check-plot of a catalogue as an SVG document."""
    return selection(field, settings) if kind == "SELECTION_FWHM" else focal_map(kind, field, settings)


def _called(field: Field) -> str:
    """Return whose PSF a plot shows."""
    name = CardValues(field.catalogues[0].cards).text("OBJECT")
    images = f"{len(field.made)} images" if len(field.made) > 1 else "one image"
    return " · ".join(each for each in (field.path.name, name, images) if each)


def focal_map(kind: str, field: Field, settings: Settings) -> str:
    """Draw a quantity over the focal plane."""
    drawn, plane = MAPS[kind], focal_plane(field, settings)
    unit, values = drawn.unit, [drawn.values(field, image, settings, plane) for image in range(len(field.made))]
    if kind == "FWHM" and all("PixelScale_WCS" in seen.ranges for seen in field.seen):
        values = [each * seen.ranges["PixelScale_WCS"].mean for each, seen in zip(values, field.seen, strict=True)]
        unit = "arcseconds"
    held = np.concatenate([each.ravel() for each in values])
    scale = Scale.of(held, least=1.0 if kind == "COUNTS" else None, top=0.75 if drawn.whiskers else 1.0)
    shown = _Sheet(plane, drawn.title, _called(field))
    finite = held[np.isfinite(held)]
    for image, each in enumerate(values):
        told = each[np.isfinite(each)]
        middle = (
            f"median {np.median(told):.3g}, {told.min():.3g} to {told.max():.3g} {unit}" if len(told) else "no star"
        )
        shown.canvas.begin(f"image {image + 1}: {middle}")
        if drawn.whiskers:
            if len(told):
                _whiskers(shown, field, image, each, scale)
        else:
            _cells(
                shown, image, each, scale, _box(field, image, plane, model=not kind.startswith(("CO", "CHI", "RES")))
            )
        shown.outline(image)
        shown.canvas.end()
    top, bottom = shown.box[1] + 34.0, shown.box[3]
    shown.canvas.scale(scale, shown.box[2] + 62.0, top, bottom, unit)
    if drawn.whiskers:
        _key(shown, scale)
    if len(finite):
        step = (scale.high - scale.low) / 100.0 or 1.0
        line = " · ".join(
            f"{what} {number(value, step)}"
            for what, value in (("median", np.median(finite)), ("least", finite.min()), ("most", finite.max()))
        )
        shown.canvas.text(shown.box[2] + _RIGHT - 24, 58, f"{line} {unit}", anchor="end")
    return str(shown.canvas)


def _box(field: Field, image: int, plane: FocalPlane, *, model: bool) -> tuple[float, float, float, float]:
    """Return first and last x, first and last y that cells of an image cover: all of it, or what stars cover."""
    height, width = plane.shapes[image]
    variation = field.made[image].model.variation
    box = [0.5, width + 0.5, 0.5, height + 0.5]
    if model:
        for number_, name in enumerate(variation.names):
            axis = {"X": 0, "Y": 2}.get(name[:1]) if name.endswith("_IMAGE") else None
            if axis is not None:
                half = 0.5 * variation.scales[number_]
                box[axis : axis + 2] = variation.zeros[number_] - half, variation.zeros[number_] + half
    return box[0], box[1], box[2], box[3]


class _Sheet:
    """A canvas with the focal plane on it."""

    def __init__(self, plane: FocalPlane, title: str, subtitle: str) -> None:
        self.plane = plane
        corners = [plane.outline(image) for image in range(len(plane.shapes))]
        x, y = (np.concatenate([pair[axis] for pair in corners]) for axis in (0, 1))
        margin = 0.02 * max(np.ptp(x), np.ptp(y))
        self._across = (float(x.max() + margin), float(x.min() - margin))
        if not plane.on_the_sky:
            self._across = self._across[::-1]
        self._along = (float(y.min() - margin), float(y.max() + margin))
        spans = abs(self._across[1] - self._across[0]), self._along[1] - self._along[0]
        scale = _SIDE / max(spans)
        width, height = max(spans[0] * scale, 0.4 * _SIDE), max(spans[1] * scale, 0.4 * _SIDE)
        # a narrow strip is given more plane, not another shape
        for axis, (span, side) in enumerate(zip(spans, (width, height), strict=True)):
            more = 0.5 * (side / scale - span)
            first, last = (self._across, self._along)[axis]
            widened = (first - np.sign(last - first) * more, last + np.sign(last - first) * more)
            if axis == 0:
                self._across = widened
            else:
                self._along = widened
        self.box = (_LEFT, _TOP, _LEFT + width, _TOP + height)
        self.canvas = Canvas(_LEFT + width + _RIGHT, _TOP + height + _BOTTOM, title, subtitle)
        if plane.on_the_sky:
            names = f"east of {plane.centre[0]:.4f}°, arcminutes", f"north of {plane.centre[1]:+.4f}°, arcminutes"
        else:
            names = "x, pixels; images in rows, as in the catalogue", "y, pixels"
        self.canvas.frame(self.box, self._across, self._along, names)

    def at(self, image: int, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return places on the canvas of pixels of an image."""
        first, second = self.plane.plane(image, x, y)
        left, top, right, bottom = self.box
        across = left + (first - self._across[0]) / (self._across[1] - self._across[0]) * (right - left)
        along = bottom - (second - self._along[0]) / (self._along[1] - self._along[0]) * (bottom - top)
        return across, along

    def outline(self, image: int) -> None:
        """Draw the edge of an image, and its number where there are several."""
        height, width = self.plane.shapes[image]
        x, y = self.at(
            image, np.array([0.5, width + 0.5, width + 0.5, 0.5]), np.array([0.5, 0.5, height + 0.5, height + 0.5])
        )
        self.canvas.area(x.tolist(), y.tolist(), edge=INK)
        if len(self.plane.shapes) > 1:
            self.canvas.text(float(x.min()) + 4, float(y.min()) + 13, str(image + 1), size=10, halo=True)


def _cells(shown: _Sheet, image: int, values: Floats, scale: Scale, box: tuple[float, float, float, float]) -> None:
    rows, columns = values.shape
    x, y = np.meshgrid(np.linspace(box[0], box[1], columns + 1), np.linspace(box[2], box[3], rows + 1))
    across, along = (each.reshape(x.shape) for each in shown.at(image, x.ravel(), y.ravel()))
    xs, ys = (
        np.stack([each[:-1, :-1], each[:-1, 1:], each[1:, 1:], each[1:, :-1]], axis=-1).reshape(-1, 4)
        for each in (across, along)
    )
    shown.canvas.cells(xs, ys, [scale.colour(value) for value in values.ravel().tolist()])


_SPACING = 13.0
"""Least distance of whiskers, pixels of the figure; between are left out."""
_LONGEST = 1.6
"""Length of the whisker of the largest ellipticity on the scale, over the distance."""


def _whiskers(shown: _Sheet, field: Field, image: int, values: Floats, scale: Scale) -> None:
    """Draw a line along the major axis at places all over the image, as long as the ellipticity."""
    seen, variation = field.seen[image], field.made[image].model.variation
    box = _box(field, image, shown.plane, model=True)
    first, second = (across_and_along(each, seen.snapshots, variation) for each in seen.plain.components)
    left, right = shown.at(image, np.array(box[:2]), np.array(box[2:]))
    rows, columns = (
        np.arange((each - 1) % step // 2, each, step)
        for each, step in zip(
            values.shape,
            (
                max(1, int(np.ceil(_SPACING * each / abs(np.ptp(span)))))
                for each, span in zip(values.shape, (right, left), strict=True)
            ),
            strict=True,
        )
    )
    chosen = np.ix_(rows, columns)
    x, y = np.meshgrid(
        box[0] + (columns + 0.5) / values.shape[1] * (box[1] - box[0]),
        box[2] + (rows + 0.5) / values.shape[0] * (box[3] - box[2]),
    )
    angle = 0.5 * np.arctan2(second[chosen], first[chosen])
    tips = [
        shown.at(image, (x + sign * 5.0 * np.cos(angle)).ravel(), (y + sign * 5.0 * np.sin(angle)).ravel())
        for sign in (-1.0, 1.0)
    ]
    length = np.hypot(tips[1][0] - tips[0][0], tips[1][1] - tips[0][1])
    across, along = ((tips[1][k] - tips[0][k]) / length for k in (0, 1))
    middles = shown.at(image, x.ravel(), y.ravel())
    longest = max(scale.high, 1e-9)
    for place, value in enumerate(values[chosen].ravel().tolist()):
        half = 0.5 * _LONGEST * _SPACING * min(value / longest, 1.2)
        shown.canvas.line(
            [middles[0][place] - half * across[place], middles[0][place] + half * across[place]],
            [middles[1][place] - half * along[place], middles[1][place] + half * along[place]],
            tint=scale.colour(value),
            width=1.8,
        )


def _key(shown: _Sheet, scale: Scale) -> None:
    """Draw a whisker of known length."""
    x, y = shown.box[2] + 40.0, shown.box[3] + 40.0
    longest = max(scale.high, 1e-9)
    power = 10.0 ** np.floor(np.log10(longest))
    value = power * max(each for each in (1.0, 2.0, 5.0) if each * power <= longest * 1.0001)
    length = _LONGEST * _SPACING * value / longest
    shown.canvas.line([x, x + length], [y - 4, y - 4], width=1.8)
    shown.canvas.text(x + length + 8, y, f"{value:g} %", size=12)


def selection(field: Field, settings: Settings) -> str:
    """Draw twice the half-light radius of all sources over their magnitudes, and which of them are stars."""
    magnitudes, widths, states, modes = [], [], [], []
    for catalogue, made in zip(field.catalogues, field.made, strict=True):
        fluxes = column(field.path, catalogue, settings.flux)
        state = np.zeros(len(fluxes), np.int8)
        state[made.sample.rows] = np.where(made.residuals.accepted, 1, 2)
        good = fluxes > 0.0
        magnitudes.append(-2.5 * np.log10(fluxes[good]))
        widths.append(2.0 * column(field.path, catalogue, "FLUX_RADIUS")[good])
        states.append(state[good])
        if not made.model.empty:
            modes.append(made.model.fwhm)
    magnitude, width, state = np.concatenate(magnitudes), np.concatenate(widths), np.concatenate(states)
    modes = modes or [0.5 * sum(settings.selection.fwhm)]
    middle = float(np.median(modes))
    tall = 3.0 * middle
    inside = np.isfinite(magnitude) & (width > 0.0) & (width < tall)
    magnitude, width, state = magnitude[inside], width[inside], state[inside]
    low, high = (
        (float(np.floor(magnitude.min()) - 0.2), float(np.ceil(magnitude.max()) + 0.2))
        if len(magnitude)
        else (-15.0, -5.0)
    )
    canvas = Canvas(900, 620, "Sources taken for stars", _called(field))
    box = (_LEFT, _TOP, 700.0, 556.0)

    def at(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        return box[0] + (x - low) / (high - low) * (box[2] - box[0]), box[3] - y / tall * (box[3] - box[1])

    reach = np.sqrt(1.0 + settings.selection.variability)
    band = (min(modes) / reach, max(modes) * reach) if settings.selection.automatic else settings.selection.fwhm
    _, (lower, upper, centre) = at(np.zeros(3), np.array([band[0], min(band[1], tall), middle]))
    canvas.area([box[0], 880.0, 880.0, box[0]], [lower, lower, upper, upper], fill="#eaf2fa")
    canvas.frame(box, (low, high), (0.0, tall), (f"−2.5 log {settings.flux}, magnitudes", "2 × FLUX_RADIUS, pixels"))
    _density(canvas, *at(magnitude[state == 0], width[state == 0]), box)
    canvas.dots(*at(magnitude[state == 1], width[state == 1]), tint=_STAR, size=4.0, opacity=0.75)
    canvas.crosses(*at(magnitude[state == 2], width[state == 2]), tint=_UNFIT, size=3.0)
    canvas.line([box[0], 880.0], [centre, centre], tint=_STAR, dash="5 4")
    edges = np.linspace(0.0, tall, 151)
    most = 1
    for kinds, tint in (((0, 1, 2), "#d5dae0"), ((1,), _STAR)):
        counts, _ = np.histogram(width[np.isin(state, kinds)], edges)
        most = max(most, int(counts.max(initial=1)))
        for count, first, last in zip(counts, edges[:-1], edges[1:], strict=True):
            _, (bottom, top) = at(np.zeros(2), np.array([first, last]))
            length = 150.0 * count / most
            if count:
                canvas.area([716, 716 + length, 716 + length, 716], [bottom, bottom, top, top], fill=tint)
    canvas.text(716, box[3] + 19, "sources by width", size=12)
    canvas.text(box[2] - 8, centre - 6, f"{middle:.2f} pixels", size=12, tint=_STAR, anchor="end", halo=True)
    x = 430.0
    told = (("in the model", _STAR, 1), ("not fitted by it", _UNFIT, 2), ("other sources", _OTHER, 0))
    for words, tint, value in told:
        mark = canvas.crosses if value == 2 else canvas.dots
        mark(np.array([x]), np.array([67.0]), tint=tint, size=3.0 if value == 2 else 7.0)
        canvas.text(x + 9, 71, f"{words} {np.count_nonzero(state == value)}", size=12, tint=INK if value else FAINT)
        x += 150.0
    return str(canvas)


def _density(canvas: Canvas, x: Floats, y: Floats, box: tuple[float, float, float, float]) -> None:
    """Draw sources as dots, or, where they are many, as cells that get darker with their number."""
    if len(x) <= 4000:
        canvas.dots(x, y, tint=_OTHER, size=2.6, opacity=0.6)
        return
    counts, across, along = np.histogram2d(x, y, (120, 90), ((box[0], box[2]), (box[1], box[3])))
    most = np.log1p(counts.max())
    rows, places = np.nonzero(counts)
    levels = np.rint(232 - 120 * np.log1p(counts[rows, places]) / most).astype(int)
    left, right, top, bottom = across[rows], across[rows + 1], along[places], along[places + 1]
    canvas.cells(
        np.stack([left, right, right, left], axis=1),
        np.stack([top, top, bottom, bottom], axis=1),
        [f"#{level:02x}{level + 4:02x}{level + 9:02x}" for level in levels.tolist()],
    )
