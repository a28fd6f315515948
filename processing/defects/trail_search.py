"""The search for trails over a whole mosaic: wide ones on coarse bins first, then narrow ones on fine bins."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.trail_candidates import Sheet, candidates, corner_of
from processing.defects.trail_paths import ALONG, Path, Piece, follow
from processing.defects.trail_profiles import Profile, profile_of
from processing.defects.trails import STEP, Stretch, Trail, TrailMap, TrailSettings
from processing.kernels import trails as kernels

Floats = NDArray[Any]
SURROUNDINGS = 7
"""Bins to either side over which the light of the surroundings is averaged."""
CLIP = 4.0
"""Noise at which bins are clipped: stars count no more than a trail."""
COARSE = 8
"""Bins along the sides of a coarse bin."""
DIM = 1.0
"""Noise of a pixel at which bins are clipped before they become coarse ones."""
LEAST = 0.25
"""Share of a bin's pixels that must count."""
WIDE = 60.0
"""Pixels of full width from which a trail is one for coarse bins."""
STEADY = 8.0
"""Standard deviations that the light of a trail must have where no row of the strip counts more than 3."""
BESIDE = 6.0
"""Standard deviations by which a trail must stand out among the lines parallel to it."""
UPRIGHT = 0.003
"""Radians from the columns of a CCD within which a line on one CCD only is taken for a hot column."""
TRIED = 400
"""Candidates that are followed, at most."""


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
    found = _search([_coarse(sheet) for sheet in fine], size, settings, insides, ())
    found += _search(fine, size, settings, insides, tuple(found))
    return sorted(found, key=lambda trail: -trail.score)[: settings.most]


def _search(
    sheets: Sequence[Sheet], size: tuple[int, int], settings: TrailSettings, insides: dict[int, Area],
    taken: Sequence[Trail],
) -> list[Trail]:  # fmt: skip
    step = sheets[0].step
    wide = step > STEP
    raised = [_raised(sheet) for sheet in sheets]
    by_ccd = {sheet.ccd: sheet for sheet in raised}
    for trail in taken:
        for stretch in trail.stretches:
            sheet = by_ccd[stretch.ccd]
            _take_out(sheet, _on_mosaic(stretch, sheet, insides[stretch.ccd]), stretch.half_width)
    shown = [sheet.values[sheet.counts > 0.0] for sheet in raised]
    number = sum(values.size for values in shown)
    scale = math.sqrt(sum(float(np.square(values, dtype=np.float64).sum()) for values in shown) / max(number, 1))
    if scale == 0.0:
        return []
    found: list[Trail] = []
    light = {sheet.ccd: sheet for sheet in sheets}
    for candidate in candidates(raised, size, step * (1 if wide else 2), settings.score)[:TRIED]:
        path = follow(candidate, raised, scale)
        if path is None:
            continue
        profile = profile_of(path, light)
        good = _is_trail(path, settings, step) and wide == (profile.width >= WIDE)
        half = 1.5 * step
        if good:
            trail = _trail(path, profile, by_ccd, insides, settings)
            found.append(trail)
            half += max(stretch.half_width for stretch in trail.stretches)
            if len(found) >= settings.most:
                break
        for piece in path.pieces:
            _take_out(by_ccd[piece.ccd], _ends(piece, path, step), half)
    return found


def _coarse(sheet: Sheet) -> Sheet:
    """Bins of COARSE x COARSE, from bins clipped at DIM."""
    rows, columns = (side // COARSE for side in sheet.values.shape)

    def summed(values: Floats) -> Floats:
        blocks = values[: rows * COARSE, : columns * COARSE].reshape(rows, COARSE, columns, COARSE)
        sums: Floats = blocks.sum(axis=(1, 3), dtype=np.float32)
        return sums

    counts = summed(sheet.counts)
    values = summed(np.clip(sheet.values, -DIM, DIM) * sheet.counts) / np.maximum(counts, 1.0)
    return replace(sheet, values=values.astype(np.float32), counts=counts, step=sheet.step * COARSE)


def _raised(sheet: Sheet) -> Sheet:
    """Light above the surroundings, in the noise of a bin and clipped."""
    enough = sheet.counts >= LEAST * sheet.step**2
    values = sheet.values * np.sqrt(sheet.counts)
    above = np.empty_like(values)
    kernels.raise_above(values, enough, SURROUNDINGS, CLIP, above)
    return replace(sheet, values=above, counts=enough.astype(np.float32))


def _is_trail(path: Path, settings: TrailSettings, step: float) -> bool:
    if path.score < settings.score or path.steady < STEADY or path.beside < BESIDE or path.seen < settings.shortest:
        return False
    strongest = max(path.pieces, key=lambda piece: piece.score)
    others = sum(piece.score**2 for piece in path.pieces) - strongest.score**2
    upright = abs(path.line[2] - strongest.slope * path.line[3]) < UPRIGHT
    return step > STEP or not (upright and others < 0.25 * strongest.score**2)


def _trail(
    path: Path, profile: Profile, sheets: dict[int, Sheet], insides: dict[int, Area], settings: TrailSettings
) -> Trail:
    step = next(iter(sheets.values())).step
    stretches = []
    for piece, peak in zip(path.pieces, profile.peaks.tolist(), strict=True):
        half = max(profile.half_width(peak, settings.limit), 0.5 * profile.width) + settings.margin
        ends = _ends(piece, path, step, beyond=half + step)
        sheet, inside = sheets[piece.ccd], insides[piece.ccd]
        x = (ends[0::2] - sheet.first[0]) * sheet.sense[0] - 0.5 + inside.x0
        y = (ends[1::2] - sheet.first[1]) * sheet.sense[1] - 0.5 + inside.y0
        stretches.append(Stretch(piece.ccd, x[0], y[0], x[1], y[1], half, peak * profile.area))
    first, last = _ends(path.pieces[0], path, step), _ends(path.pieces[-1], path, step)
    whole = (float(first[0]), float(first[1]), float(last[2]), float(last[3]))
    return Trail(tuple(stretches), path.score, profile.width, float(profile.peaks.max()), whole)


def _ends(piece: Piece, path: Path, step: float, beyond: float = 0.0) -> Floats:
    """x, y of a piece's ends on the mosaic; `beyond` pixels farther where the trail goes on or leaves the CCD."""
    start, end = piece.start, piece.start + piece.sums.shape[0] * ALONG * step
    near = 2.0 * ALONG * step
    low = start - beyond if path.first < start + near else path.first
    high = end + beyond if path.last > end - near else path.last
    places = np.array([low, high])
    away = piece.at(places, step)
    x = path.line[0] + places * path.line[2] - away * path.line[3]
    y = path.line[1] + places * path.line[3] + away * path.line[2]
    return np.array([x[0], y[0], x[1], y[1]])


def _on_mosaic(stretch: Stretch, sheet: Sheet, inside: Area) -> Floats:
    x = (np.array([stretch.x0, stretch.x1]) + 0.5 - inside.x0) * sheet.sense[0] + sheet.first[0]
    y = (np.array([stretch.y0, stretch.y1]) + 0.5 - inside.y0) * sheet.sense[1] + sheet.first[1]
    return np.array([x[0], y[0], x[1], y[1]])


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
