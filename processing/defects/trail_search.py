"""The search for trails over a whole mosaic: wide ones on coarse bins first, then narrow ones on fine bins."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.settings import TrailSettings
from processing.defects.trail_candidates import Sheet, candidates, corner_of
from processing.defects.trail_paths import Path, Piece, follow
from processing.defects.trail_profiles import NARROWEST, WIDEST, Profile, profile_of
from processing.defects.trail_twins import twins_of
from processing.defects.trails import STEP, Stretch, Trail, TrailMap, fit_surface, surface_on
from processing.kernels import trails as kernels

Floats = NDArray[Any]
SURROUNDINGS = 7
"""Bins to either side over which the light of the surroundings is averaged; not for the largest bins."""
CLIP = 4.0
"""Noise at which bins are clipped: stars count no more than a trail."""
BRIGHT = 12.0
"""The same for the largest bins, in which trails are bright and wide."""
FACTORS = (16, 4, 1)
"""Sizes of the bins of one search after the other, in units of the finest."""
RESOLVED = 1.25
"""Full width in bins from which a trail is one for these bins; narrower ones are left to finer ones."""
DIM = (5.0, 1.0, 0.0)
"""Noise of a pixel at which bins are clipped before they become coarse ones of each size."""
LEAST = 0.25
"""Share of a bin's pixels that must count."""
STEADY = 8.0
"""Standard deviations that the light of a trail must have where no row of the strip counts more than 3."""
BESIDE = 6.0
"""Standard deviations by which a trail must stand out among the lines parallel to it."""
UPRIGHT = 0.006
"""Radians from the columns or rows of a CCD within which a line on one CCD only is a hot column or an edge."""
TRIED = (60, 100, 400)
"""Candidates that are followed in bins of each size, at most; wide trails are few."""
WINGS = 1.5
"""Half widths of a wide trail within which nothing finer is looked for."""
IN_VAIN = 60
"""Candidates followed in vain, one behind the other, after which the rest is left."""


def find_trails(maps: Sequence[TrailMap | None], places: Sequence[Area], settings: TrailSettings) -> list[Trail]:
    """Find the trails that cross a mosaic, the most significant ones first.

    Parameters
    ----------
    maps : what `trail_map` made of each CCD; None for those that are left out
    places : where the illuminated parts lie on the mosaic, as `weightwatcher.inputs.places` gives them
    settings : TrailSettings

    Returns
    -------
    trails : list of Trail
        Each with a straight stretch for every CCD that it crosses. The same maps give the same trails.

    Notes
    -----
    Light is summed along all lines of the mosaic, 256 cells at once, by the fast Radon transform; the best lines are
    followed from CCD to CCD, and what was found is taken out before the next one. A line counts if its light lies all
    along it (a star and its spikes give it at one place only), and if the lines beside it are darker.
    """
    known = [(ccd, m, *corner_of(place)) for ccd, (m, place) in enumerate(zip(maps, places, strict=True)) if m]
    if not settings.on or not known:
        return []
    size = max(place.x1 for place in places), max(place.y1 for place in places)
    insides = {ccd: m.inside for ccd, m, _, _ in known}
    fine = [
        Sheet(ccd, m.values.astype(np.float32), m.counts.astype(np.float32), first, sense, float(STEP))
        for ccd, m, first, sense in known
    ]
    found: list[Trail] = []
    for factor in FACTORS:
        laid = _above_one_sky(fine, [m for _, m, _, _ in known], size) if factor == FACTORS[0] else fine
        found += _search(laid, factor, size, settings, insides, tuple(found))
    return sorted(found, key=lambda trail: -trail.score)[: settings.most]


def _search(
    fine: Sequence[Sheet], factor: int, size: tuple[int, int], settings: TrailSettings, insides: dict[int, Area],
    taken: Sequence[Trail],
) -> list[Trail]:  # fmt: skip
    step = float(STEP * factor)
    cell = step if factor > 1 else 2.0 * step
    raised = _raised([_coarse(sheet, factor) for sheet in fine], largest=factor == FACTORS[0])
    by_ccd = {sheet.ccd: sheet for sheet in raised}
    for trail in taken:
        for stretch in trail.stretches:
            sheet = by_ccd[stretch.ccd]
            _take_out(sheet, _on_mosaic(stretch, sheet, insides[stretch.ccd]), WINGS * stretch.half_width)
    shown = [sheet.values[sheet.counts > 0.0] for sheet in raised]
    number = sum(values.size for values in shown)
    scale = math.sqrt(sum(float(np.square(values, dtype=np.float64).sum()) for values in shown) / max(number, 1))
    if scale == 0.0:
        return []
    found: list[Trail] = []
    vain = 0
    light = {sheet.ccd: sheet for sheet in fine}
    bound = BRIGHT if factor == FACTORS[0] else 3.0
    tried = TRIED[FACTORS.index(factor)]
    fewest = 0.5 * settings.shortest / cell
    for candidate in candidates(raised, size, cell, settings.score, fewest, bound)[:tried]:
        path = follow(candidate, raised, scale)
        if path is None:
            continue
        if vain >= IN_VAIN:
            break
        vain += 1
        told = _told(path, light, settings, factor)
        for own, profile in told:
            found.append(_trail(own, profile, by_ccd, insides, settings))
            vain = 0
            half = 1.5 * step + max(stretch.half_width for stretch in found[-1].stretches)
            _take_path(by_ccd, own, half)
        if len(found) >= settings.most:
            break
        if not told:
            _take_path(by_ccd, path, 1.5 * step)
    return found


def _above_one_sky(sheets: Sequence[Sheet], maps: Sequence[TrailMap], size: tuple[int, int]) -> list[Sheet]:
    """Light above one smooth sky over the whole mosaic: an aeroplane may fill a CCD, and its own sky would follow."""
    few = slice(None, None, FACTORS[0])
    places, levels, seen = [], [], []
    for sheet, m in zip(sheets, maps, strict=True):
        rows, columns = (side * sheet.step for side in sheet.values.shape)
        v, u = ((np.arange(side) + 0.5) / side for side in sheet.values.shape)
        x = 2.0 * (sheet.first[0] + sheet.sense[0] * u * columns) / size[0] - 1.0
        y = 2.0 * (sheet.first[1] + sheet.sense[1] * v * rows) / size[1] - 1.0
        places.append((x, y))
        levels.append(sheet.values * np.float32(m.rms) + surface_on(np.array(m.sky), 2.0 * u - 1.0, 2.0 * v - 1.0))
        seen.append((sheet.counts[few, few] >= LEAST * sheet.step**2).ravel())
    grids = [np.meshgrid(x[few], y[few]) for x, y in places]
    u, v = (np.concatenate([grid[axis].ravel() for grid in grids]) for axis in (0, 1))
    surface = fit_surface(u, v, np.concatenate([each[few, few].ravel() for each in levels]), np.concatenate(seen))
    return [
        replace(sheet, values=(level - surface_on(surface, *place)) / np.float32(m.rms))
        for sheet, m, place, level in zip(sheets, maps, places, levels, strict=True)
    ]


def _coarse(sheet: Sheet, factor: int) -> Sheet:
    """Bins of `factor` x `factor`, from bins clipped at DIM."""
    if factor == 1:
        return sheet
    dim = DIM[FACTORS.index(factor)]
    rows, columns = (side // factor for side in sheet.values.shape)

    def summed(values: Floats) -> Floats:
        blocks = values[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
        sums: Floats = blocks.sum(axis=(1, 3), dtype=np.float32)
        return sums

    counts = summed(sheet.counts)
    values = summed(np.clip(sheet.values, -dim, dim) * sheet.counts) / np.maximum(counts, 1.0)
    return replace(sheet, values=values.astype(np.float32), counts=counts, step=sheet.step * factor)


def _raised(sheets: Sequence[Sheet], *, largest: bool) -> list[Sheet]:
    """Light above the surroundings, in the noise of a bin and clipped.

    The noise is that of the photons, or what faint sources make of it in bins that are large.
    """
    raised = []
    values = [sheet.values * np.sqrt(sheet.counts) for sheet in sheets]
    enough = [sheet.counts >= LEAST * sheet.step**2 for sheet in sheets]
    every = np.concatenate([each[good] for each, good in zip(values, enough, strict=True)])
    middle = float(np.median(every)) if every.size else 0.0
    noise = 1.4826 * float(np.median(np.abs(every - middle))) if every.size else 1.0
    for sheet, each, good in zip(sheets, values, enough, strict=True):
        if largest:
            above = np.where(good, np.clip((each - middle) / max(noise, 1.0), -BRIGHT, BRIGHT), 0.0).astype(np.float32)
        else:
            above = np.empty_like(each)
            kernels.raise_above(each / np.float32(max(noise, 1.0)), good, SURROUNDINGS, CLIP, above)
        raised.append(replace(sheet, values=above, counts=good.astype(np.float32)))
    return raised


def _told(
    path: Path, light: Mapping[int, Sheet], settings: TrailSettings, factor: int
) -> Sequence[tuple[Path, Profile]]:
    """Return the trail that lies along a path, or both of them, with its profile; none where it is no trail.

    What is wide for the bins it was found in because it is two narrow ones is left to finer bins.
    """
    profile = profile_of(path, light) if _is_trail(path, settings, factor) else None
    if profile is None or not _is_shaped(profile, settings, factor):
        return ()
    twins = twins_of(path, light, settings.faintest)
    if factor == 1:
        return twins or ((path, profile),)
    return () if twins and twins[0][1].width < STEP * RESOLVED * factor else ((path, profile),)


def _is_trail(path: Path, settings: TrailSettings, factor: int) -> bool:
    if path.score < settings.score or path.steady < STEADY or path.beside < BESIDE or path.seen < settings.shortest:
        return False
    strongest = max(path.pieces, key=lambda piece: piece.score)
    others = sum(piece.score**2 for piece in path.pieces) - strongest.score**2
    across = path.line[2] - strongest.slope * path.line[3]
    along = path.line[3] + strongest.slope * path.line[2]
    upright = min(abs(across), abs(along)) < UPRIGHT
    return factor > 1 or not (upright and others < 0.25 * strongest.score**2)


def _is_shaped(profile: Profile, settings: TrailSettings, factor: int) -> bool:
    """Tell whether a trail is bright enough, and as wide as these bins are for."""
    narrowest = STEP * (NARROWEST if factor == 1 else RESOLVED * factor)
    widest = STEP * 0.99 * WIDEST * factor if factor < FACTORS[0] else math.inf
    return profile.peak >= settings.faintest and narrowest < profile.width < widest


def _trail(
    path: Path, profile: Profile, sheets: dict[int, Sheet], insides: dict[int, Area], settings: TrailSettings
) -> Trail:
    stretches = []
    for piece, peak in zip(path.pieces, profile.peaks.tolist(), strict=True):
        half = max(profile.half_width(peak, settings.limit), 0.5 * profile.width) + settings.margin
        ends = _ends(piece, path, beyond=half + path.step)
        sheet, inside = sheets[piece.ccd], insides[piece.ccd]
        x = (ends[0::2] - sheet.first[0]) * sheet.sense[0] - 0.5 + inside.x0
        y = (ends[1::2] - sheet.first[1]) * sheet.sense[1] - 0.5 + inside.y0
        stretches.append(Stretch(piece.ccd, x[0], y[0], x[1], y[1], half, peak * profile.area))
    first, last = _ends(path.pieces[0], path), _ends(path.pieces[-1], path)
    whole = (float(first[0]), float(first[1]), float(last[2]), float(last[3]))
    return Trail(tuple(stretches), path.score, profile.width, float(profile.peaks.max()), whole)


def _ends(piece: Piece, path: Path, beyond: float = 0.0) -> Floats:
    """x, y of a piece's ends on the mosaic; `beyond` pixels farther where the trail goes on or leaves the CCD."""
    near = 2.0 * piece.row
    low = piece.start - beyond if path.first < piece.start + near else path.first
    high = piece.end + beyond if path.last > piece.end - near else path.last
    places = np.array([low, high])
    away = piece.at(places)
    x = path.line[0] + places * path.line[2] - away * path.line[3]
    y = path.line[1] + places * path.line[3] + away * path.line[2]
    return np.array([x[0], y[0], x[1], y[1]])


def _on_mosaic(stretch: Stretch, sheet: Sheet, inside: Area) -> Floats:
    x = (np.array([stretch.x0, stretch.x1]) + 0.5 - inside.x0) * sheet.sense[0] + sheet.first[0]
    y = (np.array([stretch.y0, stretch.y1]) + 0.5 - inside.y0) * sheet.sense[1] + sheet.first[1]
    return np.array([x[0], y[0], x[1], y[1]])


def _take_path(sheets: Mapping[int, Sheet], path: Path, half: float) -> None:
    for piece in path.pieces:
        _take_out(sheets[piece.ccd], _ends(piece, path), half)


def _take_out(sheet: Sheet, ends: Floats, half: float) -> None:
    """Let bins within `half` pixels of a band on the mosaic count no more."""
    rows, columns = sheet.counts.shape
    x = (ends[0::2] - sheet.first[0]) * sheet.sense[0] / sheet.step - 0.5
    y = (ends[1::2] - sheet.first[1]) * sheet.sense[1] / sheet.step - 0.5
    marks = np.zeros((rows, columns), np.int16)
    kernels.mark_band(
        marks, np.array([0, columns, 0, rows]), np.array([x[0], y[0], x[1], y[1]]), half / sheet.step, 1
    )  # fmt: skip
    sheet.counts[marks > 0] = 0.0
    sheet.values[marks > 0] = 0.0
