"""Two parallel trails so close that bins show one: satellites that fly behind each other, or in formation.

The light across the path is taken for that of two trails of one width where one trail of any width leaves twice as
much of it unexplained, and where it is darker between the two: a satellite out of focus is wide, but has no such gap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.defects.trail_candidates import Sheet
from processing.defects.trail_paths import END, TURN, Path, Piece, longest
from processing.defects.trail_profiles import HALF, NARROWEST, Profile, median, moffat, rows_of, seen_through

Floats = NDArray[np.float64]
FARTHEST = 5.0
"""Bins between two trails, at most: farther ones are found one by one."""
FINE = 0.125
"""Bins: steps in which their places are tried."""
WIDTHS = 12
"""Widths that are tried."""
GAP = 0.7
"""Share of the light on the fainter one's middle line to which it has to fall between the two."""
BETTER = 0.5
"""Share of what one trail leaves unexplained, of which two must leave less."""
CERTAIN = 30.0
"""By so many times the variance of a column two trails have to explain more than one."""
FAINTER = 0.1
"""Share of the brighter trail's light that the fainter one has at least."""
NEAR = 8
"""Columns to either side of a path of which a quarter has to be known."""
TOGETHER = 0.3
"""Share of the pieces on which both have to be seen."""
HALVED = 6
"""Rows in each half of a piece by which its slope is set right: the median of fewer shows stars."""
FEWEST = 24
"""Columns of a profile in which light is known, at least."""
STARTS = ((0.7, 0.7), (1.0, 0.2), (0.2, 1.0))
"""Light of both, in that of one trail, from which the fit of two begins."""
TURNS = 3
"""Turns of a fit: places on all pieces, then light."""
BRIGHTEST = 2.0
"""Of its usual light, what a row of a trail counts at most: stars lie on trails too."""


@dataclass(frozen=True, slots=True)
class _Across:
    """Light across one piece of a path."""

    rows: Floats
    """(rows, columns), NaN where there is none."""
    profile: Floats
    """(columns,) its median, over columns that are known."""
    known: NDArray[np.bool_]
    """(columns,)"""
    place: float
    """Pixels along the line of its middle."""
    away: float
    """Pixels from the line of the path, there."""
    slope: float
    """Of the path."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Two trails on all pieces."""

    width: float
    """Pixels, full width at half maximum."""
    places: Floats
    """(pieces, 2) pixels from the path."""
    peaks: Floats
    """(pieces, 2) noise of a pixel."""


def twins_of(path: Path, sheets: Mapping[int, Sheet], faintest: float) -> list[tuple[Path, Profile]]:
    """Tell two trails that lie along one path apart.

    Parameters
    ----------
    path : Path
    sheets : light in noise of a pixel, by CCD, in the finest bins
    faintest : float
        Noise of a pixel that each of them must have on its middle line.

    Returns
    -------
    twins : each with a path and a profile of its own, that of the lower offset first; none where one trail explains
        the light
    """
    bins = sheets[path.pieces[0].ccd].step
    between = _between(path, sheets, bins)
    if between is None:
        return []
    path = between
    across = [_across(path, piece, rows_of(piece, path, sheets[piece.ccd])) for piece in path.pieces]
    found = _found(path, across, bins)
    if found is None or not _told_apart(found, faintest):
        return []
    twins = []
    for own in (0, 1):
        first, last = _ends(path, across, found, own, bins)
        usual = float(np.median(found.peaks[:, own]))
        pieces = tuple(
            replace(piece, offset=piece.offset + float(place))
            for piece, place in zip(path.pieces, found.places[:, own], strict=True)
        )
        share = usual / float(np.median(found.peaks.sum(axis=1)))
        within = [p.places[-1] > first and p.places[0] < last for p in pieces]
        kept = replace(
            path, pieces=tuple(p for p, there in zip(pieces, within, strict=True) if there), first=first, last=last,
            score=path.score * share,
        )  # fmt: skip
        twins.append((kept, Profile(found.width, usual, found.peaks[within, own])))
    return [twin for twin in twins if twin[0].pieces]


def _between(path: Path, sheets: Mapping[int, Sheet], bins: float) -> Path | None:
    """Lay a path along the middle between two trails: it may run from one to the other. None if there is one only."""
    rows = [rows_of(piece, path, sheets[piece.ccd]) for piece in path.pieces]
    cuts = [len(each) // 2 if len(each) >= 2 * HALVED else len(each) for each in rows]
    parts = [
        _across(path, piece, each[part], part.start)
        for piece, each, cut in zip(path.pieces, rows, cuts, strict=True)
        for part in (slice(0, cut), slice(cut, None))
    ]
    found = _found(path, parts, bins, better=1.0)
    if found is None:
        return None
    middles = found.places.mean(axis=1).reshape(-1, 2)
    pieces = []
    for piece, each, cut, (before, behind) in zip(path.pieces, rows, cuts, middles.tolist(), strict=True):
        low, high = max(path.first, piece.start), min(path.last, piece.end)
        halved = cut < len(each)
        turn = float(np.clip(2.0 * (behind - before) / (high - low), -TURN, TURN)) if halved else 0.0
        middle = 0.5 * (before + behind) + turn * (piece.middle - 0.5 * (low + high)) if halved else before
        pieces.append(replace(piece, offset=piece.offset + middle, slope=piece.slope + turn))
    return replace(path, pieces=tuple(pieces))


def _across(path: Path, piece: Piece, rows: Floats, first: int = 0) -> _Across:
    profile = median(rows) if len(rows) else np.full(2 * HALF, np.nan)
    known = np.isfinite(profile)
    near = known[HALF - NEAR : HALF + NEAR]
    if np.count_nonzero(known) < FEWEST or np.count_nonzero(near) < NEAR // 2:
        known = np.zeros_like(known)
    place = max(path.first, piece.start) + piece.row * (first + 0.5 * len(rows))
    return _Across(rows, profile[known], known, place, float(piece.at(np.array(place))), piece.slope)


def _found(path: Path, across: Sequence[_Across], bins: float, better: float = BETTER) -> _Found | None:
    """Fit one trail, and two, with one width, distance and light on all pieces; None where two explain little more.

    They are placed anew on each piece: a path may lie on either of the two.
    """
    step = path.step
    usable = [k for k, each in enumerate(across) if each.profile.size]
    if not usable:
        return None
    fine = FINE * step
    reach = round(FARTHEST * step / fine)
    shifts = fine * np.arange(-reach, reach + 1.0)
    one, two, best = np.inf, np.inf, (0.0, 0)
    for width in np.geomspace(NARROWEST * step, FARTHEST * step, WIDTHS).tolist():
        sums = _Sums.of(seen_through(width, path.line[2:], step, bins, shifts), [across[k] for k in usable])
        one = min(one, sums.alone())
        left = sums.pairs()[0]
        apart = int(np.argmin(left))
        if left[apart] < two:
            two, best = float(left[apart]), (width, apart)
    columns = sum(across[k].profile.size for k in usable)
    variance = two / max(columns - 2 * len(usable), 1)
    if two > better * one or one - two < CERTAIN * variance:
        return None
    width, apart = best
    sums = _Sums.of(seen_through(width, path.line[2:], step, bins, shifts), [across[k] for k in usable])
    _, ats, shown, lights = sums.pairs()
    at, light = ats[:, apart], lights[apart]
    both = shown[:, apart].all(axis=1)
    if both.mean() < TOGETHER:
        return None
    nearest = [min(range(len(usable)), key=lambda n: abs(usable[n] - k)) for k in range(len(across))]
    places = _continued(
        np.stack([shifts[at], shifts[at + apart]], axis=1), shown[:, apart], [across[k] for k in usable]
    )
    shares = sums.shares(at, apart, shown[:, apart] * light)[:, np.newaxis]
    return _Found(width, places[nearest], (shares * light)[nearest])


def _continued(places: Floats, shown: Floats, across: Sequence[_Across]) -> Floats:
    """Places on all pieces; where one trail is seen only, it is that of the two which goes on there."""
    right = places.copy()
    settled = [k for k in range(len(across)) if shown[k].all()]
    apart = float(places[0, 1] - places[0, 0])
    for k in sorted(set(range(len(across))) - set(settled), key=lambda k: min(abs(k - near) for near in settled)):
        near = min(settled, key=lambda each: abs(each - k))
        here, there = across[k], across[near]
        expected = there.away + right[near].mean() + there.slope * (here.place - there.place) - here.away
        seen = places[k, 0] if shown[k, 0] else places[k, 1]
        lower = seen if abs(seen + 0.5 * apart - expected) < abs(seen - 0.5 * apart - expected) else seen - apart
        right[k] = lower, lower + apart
        settled.append(k)
    return right


@dataclass(frozen=True, slots=True)
class _Sums:
    """Products of the light across pieces with that of trails at every shift, and of these with each other."""

    whole: float
    own: Floats
    """(pieces, shifts)"""
    cross: Floats
    """(pieces, shifts, shifts)"""

    @classmethod
    def of(cls, shapes: Floats, across: Sequence[_Across]) -> "_Sums":
        whole, own, cross = 0.0, [], []
        for each in across:
            shown = shapes[:, each.known]
            shown = shown - shown.mean(axis=1, keepdims=True)
            light = each.profile - each.profile.mean()
            whole += float(light @ light)
            own.append(shown @ light)
            cross.append(shown @ shown.T)
        return cls(whole, np.stack(own), np.stack(cross))

    def alone(self) -> float:
        """Squares that one trail leaves."""
        power = np.diagonal(self.cross, axis1=1, axis2=2)
        piece = np.arange(len(power))
        at = np.argmax(np.maximum(self.own, 0.0) ** 2 / power, axis=1)
        for _ in range(TURNS):
            light = max(float(self.own[piece, at].sum() / power[piece, at].sum()), 0.0)
            at = np.argmin(light * light * power - 2.0 * light * self.own, axis=1)
        return self.whole - light * float(self.own[piece, at].sum())

    def pairs(self) -> tuple[Floats, NDArray[np.int64], Floats, Floats]:
        """Fit two trails at each distance of less than half of the shifts, from 0 shifts on; one may not reach a piece.

        Returns
        -------
        left : (distances,) squares that they leave
        at : (pieces, distances) shift of the lower one
        shown : (pieces, distances, 2) 1 where it is there, else 0
        light : (distances, 2) of both
        """
        pieces, number = self.own.shape
        apart = np.arange(number // 2 + 1)[:, np.newaxis]
        low = np.broadcast_to(np.arange(number), (apart.size, number))
        high = np.minimum(low + apart, number - 1)
        power = np.diagonal(self.cross, axis1=1, axis2=2)
        terms = (power[:, low], power[:, high], self.cross[:, low, high], self.own[:, low], self.own[:, high])
        outside = np.where(low + apart < number, 0.0, np.inf)
        left = np.full(apart.size, np.inf)
        place, there = np.zeros((pieces, apart.size), np.int64), np.zeros((pieces, apart.size, 2))
        light = np.zeros((apart.size, 2))
        for start in STARTS:
            own = np.tile(np.array(start) * float(np.max(self.own / power)), (apart.size, 1))
            for _ in range(TURNS):
                p, q = own[:, :1], own[:, 1:]
                lower = p * p * terms[0] - 2.0 * p * terms[3] + outside
                upper = q * q * terms[1] - 2.0 * q * terms[4] + outside
                ways = np.stack([lower + upper + 2.0 * p * q * terms[2], lower, upper], axis=2)
                way, at = np.divmod(np.argmin(ways.reshape(pieces, apart.size, -1), axis=2), number)
                one, other = (way != 2).astype(np.float64), (way != 1).astype(np.float64)
                a, c, b, f, g = (
                    (np.take_along_axis(term, at[..., np.newaxis], axis=2)[..., 0] * weight).sum(axis=0)
                    for term, weight in zip(terms, (one, other, one * other, one, other), strict=True)
                )
                volume = np.maximum(a * c - b * b, 1e-9 * np.maximum(a, c) ** 2)
                own = np.maximum(np.stack([f * c - g * b, g * a - f * b], axis=1) / volume[:, np.newaxis], 0.0)
            p, q = own.T
            now = self.whole + p * p * a + q * q * c + 2.0 * p * q * b - 2.0 * (p * f + q * g)
            better = now < left
            left[better], light[better] = now[better], own[better]
            place[:, better], there[:, better] = at[:, better], np.stack([one, other], axis=2)[:, better]
        return left, place, there, light

    def shares(self, at: NDArray[np.int64], apart: int, light: Floats) -> Floats:
        """(pieces,) light of each piece in units of `light`, (pieces, 2)."""
        piece = np.arange(len(at))
        p, q = light.T
        own = p * self.own[piece, at] + q * self.own[piece, at + apart]
        power = np.diagonal(self.cross, axis1=1, axis2=2)
        whole = p * p * power[piece, at] + q * q * power[piece, at + apart]
        whole = whole + 2.0 * p * q * self.cross[piece, at, at + apart]
        seen = whole > 0.2 * np.median(whole)
        shares: Floats = np.where(seen, np.maximum(own / np.where(seen, whole, 1.0), 0.0), 1.0)
        return shares


def _told_apart(found: _Found, faintest: float) -> bool:
    """Whether each is bright enough, and the light between them low enough."""
    peaks = np.median(found.peaks, axis=0)
    if peaks.min() < max(faintest, FAINTER * peaks.max()):
        return False
    apart = float(np.median(found.places[:, 1] - found.places[:, 0]))
    between = np.linspace(0.0, apart, 101)
    light = peaks[0] * moffat(between, found.width) + peaks[1] * moffat(apart - between, found.width)
    return float(light.min()) < GAP * float(min(light[0], light[-1]))


def _ends(path: Path, across: Sequence[_Across], found: _Found, own: int, bins: float) -> tuple[float, float]:
    """Pixels along the line between which one of the two gives light."""
    gains, places = [], []
    for k, (piece, each) in enumerate(zip(path.pieces, across, strict=True)):
        shapes = seen_through(found.width, path.line[2:], path.step, bins, found.places[k])
        light = _by_row(shapes, each.rows)[:, own]
        usual = found.peaks[k, own]
        gains.append(np.where(np.isfinite(light), np.clip(light, -usual, BRIGHTEST * usual) - END * usual, 0.0))
        low = max(path.first, piece.start)
        places.append(low + (np.arange(len(light)) + 0.5) * piece.row)
    gain, place = np.concatenate(gains), np.concatenate(places)
    order = np.argsort(place, kind="stable")
    low, high = longest(gain[order])
    if low == high:
        return path.first, path.last
    half = 0.5 * path.pieces[0].row
    return float(place[order][low]) - half, float(place[order][high - 1]) + half


def _by_row(shapes: Floats, rows: Floats) -> Floats:
    """(rows, 2) light of both trails in each row; NaN where too little of them is seen."""
    light = np.full((rows.shape[0], 2), np.nan)
    near = (shapes > 0.05 * shapes.max()).any(axis=0)
    design = np.vstack([shapes, np.ones(shapes.shape[1])]).T
    for number, row in enumerate(rows):
        known = np.isfinite(row)
        if np.count_nonzero(known & near) >= 4 and np.count_nonzero(known) >= FEWEST // 2:
            light[number] = np.linalg.lstsq(design[known], row[known], rcond=None)[0][:2]
    return light
