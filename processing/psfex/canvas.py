"""Drawing figures as SVG: shapes, axes, a scale of colours with the distribution of what it shows."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from processing.psfex.sample import Floats

INK, FAINT, PAPER, EMPTY = "#1d2733", "#8a95a3", "#ffffff", "#e9ecf0"
_FONT = "system-ui, 'DejaVu Sans', 'Liberation Sans', sans-serif"


_LEVELS = 256


def colour(share: float) -> str:
    """Return the colour of a share from 0 to 1: lightness grows with it (Green 2011, BASI 39, 289)."""
    return _colour(round(min(max(share, 0.0), 1.0) * (_LEVELS - 1)))


@functools.cache
def _colour(place: int) -> str:
    level = 0.12 + 0.80 * place / (_LEVELS - 1)
    angle = 2.0 * np.pi * (0.2 / 3.0 + 1.0 - 0.85 * level)
    amplitude = 1.15 * level * (1.0 - level) / 2.0
    cosine, sine = np.cos(angle), np.sin(angle)
    parts = (
        level + amplitude * (-0.14861 * cosine + 1.78277 * sine),
        level + amplitude * (-0.29227 * cosine - 0.90649 * sine),
        level + amplitude * (1.97294 * cosine),
    )
    return "#" + "".join(f"{round(255 * min(max(float(part), 0.0), 1.0)):02x}" for part in parts)


def ticks(low: float, high: float, number: int = 6) -> list[float]:
    """Return round values from `low` to `high`, about `number` of them, 1, 2 or 5 times a power of ten apart."""
    span = high - low
    if not span > 0.0:
        return [low]
    raw = span / number
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next(each for each in (1.0, 2.0, 5.0, 10.0) if each * power >= raw * 0.999)
    first = int(np.ceil(low / step - 1e-9))
    last = int(np.floor(high / step + 1e-9))
    return [k * step for k in range(first, last + 1)]


def number(value: float, step: float) -> str:
    """Return a value with the decimals that a step of ticks needs."""
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9))) if step > 0.0 else 2
    shown = f"{value:.{decimals}f}"
    return shown.replace("-", "−") if float(shown) != 0.0 else f"{0.0:.{decimals}f}"


@dataclass(frozen=True, slots=True)
class Scale:
    """Values by colours."""

    low: float
    high: float
    values: Floats = field(repr=False)
    """All that are shown."""
    top: float = 1.0
    """Share of all colours that is used: lines on white need dark ones."""

    @classmethod
    def of(cls, values: Iterable[float], *, least: float | None = None, top: float = 1.0) -> "Scale":
        """Return a scale over `values`, without those that lie far from most.

        Parameters
        ----------
        least : span that it has at least
        """
        held = np.array([value for value in values if np.isfinite(value)])
        if not len(held):
            return cls(0.0, 1.0, held, top)
        middle = float(np.median(held))
        reach = 6.0 * 1.4826 * float(np.median(np.abs(held - middle))) or np.inf
        low, high = max(float(held.min()), middle - reach), min(float(held.max()), middle + reach)
        wanted = least if least is not None else max(abs(middle) * 1e-3, 1e-12)
        if high - low < wanted:
            middle = 0.5 * (low + high)
            low, high = middle - 0.5 * wanted, middle + 0.5 * wanted
        return cls(low, high, held, top)

    def share(self, value: float) -> float:
        """Return where on the scale a value lies, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    def colour(self, value: float) -> str:
        """Return the colour of a value; that of empty cells where it is none."""
        return colour(self.top * min(max(self.share(value), 0.0), 1.0)) if np.isfinite(value) else EMPTY


class Canvas:
    """An SVG document that grows."""

    def __init__(self, width: float, height: float, title: str, subtitle: str = "") -> None:
        size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{_FONT}" font-size="13" fill="{INK}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width:g}" height="{height:g}" fill="{PAPER}"/>',
        ]
        self.text(24, 36, title, size=20, weight=600)
        if subtitle:
            self.text(24, 58, subtitle, tint=FAINT)

    def text(
        self, x: float, y: float, words: str, *, size: float = 13, anchor: str = "start", tint: str = INK,
        weight: int = 400, turned: bool = False, halo: bool = False,
    ) -> None:  # fmt: skip
        turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
        around = f' stroke="{PAPER}" stroke-width="2.5" stroke-opacity="0.8" paint-order="stroke"' if halo else ""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{tint}" '
            f'font-weight="{weight}"{turn}{around}>{escape(words)}</text>'
        )

    def line(
        self, x: Sequence[float], y: Sequence[float], *, tint: str = INK, width: float = 1.0, dash: str = ""
    ) -> None:
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<polyline points="{points}" fill="none" stroke="{tint}" stroke-width="{width:g}"{dashes}/>'
        )

    def area(
        self, x: Sequence[float], y: Sequence[float], *, fill: str = "none", edge: str = "", width: float = 0.8,
        opacity: float = 1.0,
    ) -> None:  # fmt: skip
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
        # cells without an edge get one of their own colour, so that no paper shines through between them
        stroke = f' stroke="{edge or fill}" stroke-width="{width if edge else 0.5:g}"'
        clear = f' opacity="{opacity:g}"' if opacity < 1.0 else ""
        self._parts.append(f'<polygon points="{points}" fill="{fill}"{stroke}{clear}/>')

    def cells(self, x: Floats, y: Floats, fills: Sequence[str]) -> None:
        """Draw quadrangles, x and y (n, 4), in one path a colour."""
        paths: dict[str, list[str]] = {}
        for fill, xs, ys in zip(fills, x.tolist(), y.tolist(), strict=True):
            corners = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(xs, ys, strict=True))
            paths.setdefault(fill, []).append(f"M{corners}z")
        # an edge of the same colour lets no paper shine through between cells
        self._parts += [
            f'<path d="{"".join(path)}" fill="{fill}" stroke="{fill}" stroke-width="0.9"/>'
            for fill, path in paths.items()
        ]

    def dots(self, x: Floats, y: Floats, *, tint: str, size: float, opacity: float = 1.0) -> None:
        """Draw round dots in one path."""
        path = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True))
        self._parts.append(
            f'<path d="{path}" fill="none" stroke="{tint}" stroke-width="{size:g}" stroke-linecap="round" '
            f'opacity="{opacity:g}"/>'
        )

    def crosses(self, x: Floats, y: Floats, *, tint: str, size: float) -> None:
        """Draw diagonal crosses in one path."""
        path = "".join(
            f"M{a - size:.1f} {b - size:.1f}l{2 * size:g} {2 * size:g}m0 {-2 * size:g}l{-2 * size:g} {2 * size:g}"
            for a, b in zip(x, y, strict=True)
        )
        self._parts.append(f'<path d="{path}" fill="none" stroke="{tint}" stroke-width="1.5"/>')

    def begin(self, words: str = "") -> None:
        """Begin a group, which shows `words` under the pointer."""
        self._parts.append("<g>" + (f"<title>{escape(words)}</title>" if words else ""))

    def end(self) -> None:
        """End the group."""
        self._parts.append("</g>")

    def frame(
        self, box: tuple[float, float, float, float], across: tuple[float, float], along: tuple[float, float],
        names: tuple[str, str],
    ) -> None:  # fmt: skip
        """Draw axes about a box (left, top, right, bottom) over ranges from its left to its right and from below."""
        left, top, right, bottom = box
        self.area([left, right, right, left], [top, top, bottom, bottom], edge=FAINT)
        for axis, (first, last) in enumerate((across, along)):
            marks = ticks(min(first, last), max(first, last), 6)
            step = marks[1] - marks[0] if len(marks) > 1 else 1.0
            for value in marks:
                share = (value - first) / (last - first)
                if axis == 0:
                    x = left + share * (right - left)
                    self.line([x, x], [bottom, bottom + 5], tint=FAINT)
                    self.text(x, bottom + 19, number(value, step), anchor="middle", size=12)
                else:
                    y = bottom - share * (bottom - top)
                    self.line([left - 5, left], [y, y], tint=FAINT)
                    self.text(left - 9, y + 4, number(value, step), anchor="end", size=12)
        self.text(0.5 * (left + right), bottom + 40, names[0], anchor="middle")
        self.text(left - 46, 0.5 * (top + bottom), names[1], anchor="middle", turned=True)

    def scale(self, scale: Scale, x: float, top: float, bottom: float, name: str) -> None:
        """Draw a bar of colours with ticks to its right, and how many values have each colour to its left."""
        steps, width = 64, 16.0
        height = (bottom - top) / steps
        for k in range(steps):
            low = bottom - k * height
            self.area(
                [x, x + width, x + width, x],
                [low, low, low - height, low - height],
                fill=colour(scale.top * (k + 0.5) / steps),
            )
        if len(scale.values):
            counts, _ = np.histogram(np.clip(scale.values, scale.low, scale.high), 32, (scale.low, scale.high))
            most = max(int(counts.max()), 1)
            for k, count in enumerate(counts):
                length, low = 26.0 * count / most, bottom - 2 * k * height
                if count:
                    self.area(
                        [x - 4, x - 4 - length, x - 4 - length, x - 4],
                        [low - 0.4, low - 0.4, low - 2 * height + 0.4, low - 2 * height + 0.4], fill="#c5ccd5",
                    )  # fmt: skip
        for beyond, y, tip, share in (
            ((scale.values > scale.high).any(), top, -9.0, 1.0), ((scale.values < scale.low).any(), bottom, 9.0, 0.0),
        ):  # fmt: skip
            if beyond:
                self.area([x, x + width, x + 0.5 * width], [y, y, y + tip], fill=colour(scale.top * share))
        marks = ticks(scale.low, scale.high, 7)
        step = marks[1] - marks[0] if len(marks) > 1 else scale.high - scale.low
        for value in marks:
            y = bottom - scale.share(value) * (bottom - top)
            self.line([x + width, x + width + 4], [y, y], tint=FAINT)
            self.text(x + width + 8, y + 4, number(value, step), size=12)
        self.text(x + width, top - 18, name, anchor="end")

    def __str__(self) -> str:
        return "\n".join([*self._parts, "</svg>", ""])
