"""The path of one trail: followed from CCD to CCD, with its ends, its light and its width.

A line that is straight on the sky is bent on the mosaic by the optics, and broken where CCDs are turned a little or lie
beside their nominal places: each CCD gets a straight piece of its own, near to what its neighbours tell.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.defects.trail_candidates import Candidate, Sheet
from processing.kernels import trails as kernels

Floats = NDArray[Any]
ROW = 64.0
"""Pixels along a row of a strip, or two bins where those are larger."""
ACROSS = 0.5
"""Bins across a column of a strip."""
HALF = 48
"""Columns of a strip to either side of its line."""
BOX = 1
"""Columns to either side of the path whose light is the trail's."""
TURN = 0.012
"""Radians by which a CCD's piece may be turned from what its neighbours tell: the CCDs' own rotation and shear."""
STRAIGHT = 32.0
"""Pixels of bins from which no bend is seen: CCDs lie within some 30 pixels of a straight line on the sky."""
DETECTED = 5.0
"""Standard deviations from which a piece is found on a CCD: its search tries some hundred lines."""
END = 0.4
"""Share of its usual light to which a trail falls where it ends."""
BESIDE = 12
"""Columns from the path at which the light beside a trail is taken; and as far as the strip goes."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A trail on one CCD, relative to the line of its candidate."""

    ccd: int
    """Number of the CCD."""
    start: float
    """Pixels along the line at which its strip begins."""
    row: float
    """Pixels along a row of the strip."""
    across: float
    """Pixels across a column of the strip."""
    sums: Floats
    """(rows, columns) of the strip."""
    numbers: Floats
    offset: float = 0.0
    """Pixels from the line in the middle of the strip."""
    slope: float = 0.0
    """Pixels a pixel along the line."""
    score: float = 0.0

    @property
    def length(self) -> float:
        """Pixels along the line."""
        return self.row * float(self.sums.shape[0])

    @property
    def end(self) -> float:
        """Pixels along the line at which its strip ends."""
        return self.start + self.length

    @property
    def middle(self) -> float:
        return self.start + 0.5 * self.length

    @property
    def places(self) -> Floats:
        """(rows,) pixels along the line of the middles of the strip's rows."""
        return self.start + (np.arange(self.sums.shape[0]) + 0.5) * self.row

    def at(self, place: Floats) -> Floats:
        """Pixels from the line at a distance along it."""
        return self.offset + self.slope * (place - self.middle)


@dataclass(frozen=True, slots=True)
class Path:
    """What was followed over the mosaic."""

    step: float
    """Pixels of the bins in which it was followed."""
    line: Floats
    """(4,) a point of the mosaic and the direction of the line."""
    pieces: tuple[Piece, ...]
    """In the order of the line; those that lie within the ends."""
    first: float
    """Pixels along the line of its ends."""
    last: float
    score: float
    """Standard deviations of the whole."""
    steady: float
    """The same with every row of the strips cut to 3 of its own: high only where light lies all along."""
    beside: float
    """The score in standard deviations of those of parallel lines beside."""
    seen: float
    """Pixels along it on which there are data."""


def follow(candidate: Candidate, sheets: Sequence[Sheet], scale: float) -> Path | None:
    """Follow a candidate over all CCDs that its line crosses; None where nothing is there.

    `scale` is the noise of the sheets' bins. In bins that are larger than any bend the path is straight.
    """
    step = sheets[0].step
    line, length = _line_of(candidate)
    strips = [strip for sheet in sheets if (strip := _strip(sheet, line)) is not None]
    strips.sort(key=lambda piece: piece.middle)
    if not strips:
        return None
    pieces = _straight(strips, sheets, line, scale) if step >= STRAIGHT else _bent(strips, length, scale, step)
    return _ended(line, pieces, scale, step) if pieces else None


def _straight(strips: Sequence[Piece], sheets: Sequence[Sheet], line: Floats, scale: float) -> list[Piece]:
    """Pieces on one straight line through all CCDs."""
    start, row = min(piece.start for piece in strips), strips[0].row
    rows = math.ceil((max(piece.end for piece in strips) - start) / row)
    sums, numbers = np.zeros((2, rows, 2 * HALF))
    for sheet in sheets:
        _add(sheet, line, start, row, sums, numbers)
    whole = _fitted(Piece(-1, start, row, strips[0].across, sums, numbers), 0.0, 0.0, 6.0 * strips[0].across, scale)
    if whole.score < DETECTED:
        return []
    placed = [replace(piece, offset=float(whole.at(np.array(piece.middle))), slope=whole.slope) for piece in strips]
    return [replace(p, score=float(_scores(p, np.array([p.offset]), np.array([p.slope]), scale)[0])) for p in placed]


def _bent(strips: Sequence[Piece], length: float, scale: float, step: float) -> list[Piece]:
    """Pieces that follow each other from the clearest one on."""
    inside = [k for k, piece in enumerate(strips) if -0.1 * length < piece.middle < 1.1 * length]
    fitted = {k: _fitted(strips[k], 0.0, 0.0, 4.0 * step, scale) for k in inside}
    anchor = max(fitted, key=lambda k: fitted[k].score, default=None)
    if anchor is None or fitted[anchor].score < DETECTED:
        return []
    pieces = list(strips)
    pieces[anchor] = fitted[anchor]
    for order in (range(anchor + 1, len(strips)), range(anchor - 1, -1, -1)):
        near = [fitted[anchor]]
        for k in order:
            offset, slope = _predicted(near, strips[k].middle)
            away = abs(strips[k].middle - near[-1].middle)
            piece = _fitted(strips[k], offset, slope, 2.0 * step + 0.006 * away, scale)
            if piece.score >= DETECTED:
                near.append(piece)
                pieces[k] = piece
            else:
                pieces[k] = replace(piece, offset=offset, slope=slope, score=0.0)
    return pieces


def _line_of(candidate: Candidate) -> tuple[Floats, float]:
    dx, dy = candidate.x1 - candidate.x0, candidate.y1 - candidate.y0
    length = math.hypot(dx, dy)
    return np.array([candidate.x0, candidate.y0, dx / length, dy / length]), length


def _strip(sheet: Sheet, line: Floats) -> Piece | None:
    """Strip of a CCD along a line; None where the line passes by."""
    step, (rows, columns) = sheet.step, sheet.values.shape
    half, row = HALF * ACROSS * step, max(ROW, 2.0 * step)
    x = sheet.first[0] + sheet.sense[0] * np.array([0.0, columns * step])
    y = sheet.first[1] + sheet.sense[1] * np.array([0.0, rows * step])
    low, high = -math.inf, math.inf
    for point, direction, sides in ((line[0], line[2], x), (line[1], line[3], y)):
        first, last = float(sides.min()), float(sides.max())
        if abs(direction) < 1e-9:
            if not first - half < point < last + half:
                return None
            continue
        ends = sorted(((first - half - point) / direction, (last + half - point) / direction))
        low, high = max(low, ends[0]), min(high, ends[1])
    if high - low < row:
        return None
    sums, numbers = np.zeros((2, math.ceil((high - low) / row), 2 * HALF))
    _add(sheet, line, low, row, sums, numbers)
    used = np.flatnonzero(numbers.sum(axis=1) > 0.0)
    if used.size < 3:
        return None
    kept = slice(int(used[0]), int(used[-1]) + 1)
    return Piece(sheet.ccd, low + float(used[0]) * row, row, ACROSS * step, sums[kept], numbers[kept])


def _add(sheet: Sheet, line: Floats, start: float, row: float, sums: Floats, numbers: Floats) -> None:
    kernels.add_strip(
        sheet.values, sheet.counts, np.array(sheet.first), np.array(sheet.sense), sheet.step, line, start, row,
        ACROSS * sheet.step, sums, numbers,
    )  # fmt: skip


def _predicted(near: Sequence[Piece], middle: float) -> tuple[float, float]:
    """Offset and slope at `middle` from the pieces found on the way there, the last ones counting most."""
    last = near[-1]
    if len(near) == 1:
        return float(last.at(np.array(middle))), last.slope
    places = np.array([piece.middle for piece in near[-4:]])
    offsets = np.array([piece.offset for piece in near[-4:]])
    slope = float(np.polyfit(places, offsets, 1)[0])
    return last.offset + slope * (middle - last.middle), slope


def _fitted(piece: Piece, offset: float, slope: float, window: float, scale: float) -> Piece:
    """Put a piece where the strip is brightest, within `window` pixels of a prediction and TURN of its slope."""
    across, length = piece.across, piece.length
    tries = max(round(window / across), 1)
    turns = max(math.ceil(TURN * 0.5 * length / across), 1)
    offsets = offset + across * np.arange(-tries, tries + 1)
    slopes = slope + across / (0.5 * length) * np.arange(-turns, turns + 1)
    scores = _scores(piece, offsets[:, np.newaxis], slopes, scale)
    best = np.unravel_index(int(np.argmax(scores)), scores.shape)
    score = float(scores[best])
    at, tilt = float(offsets[best[0]]), float(slopes[best[1]])
    fine = np.arange(-4, 5) / 4.0
    near = _scores(piece, (at + across * fine)[:, np.newaxis], tilt + across / (0.5 * length) * fine, scale)
    share = np.maximum(near - 0.8 * near.max(), 0.0)
    if score > 0.0 and share.sum() > 0.0:  # centre of the flat top of the scores
        at += across * float((share.sum(axis=1) * fine).sum() / share.sum())
        tilt += across / (0.5 * length) * float((share.sum(axis=0) * fine).sum() / share.sum())
    return replace(piece, offset=at, slope=tilt, score=score)


def _scores(piece: Piece, offset: Floats, slope: Floats, scale: float) -> Floats:
    """Significance of lines through a strip, of the shape that `offset` and `slope` give together."""
    middle, places = piece.middle, piece.places
    offset, slope = np.broadcast_arrays(offset, slope)
    away = offset[..., np.newaxis] + slope[..., np.newaxis] * (places - middle)
    total, number = _box(piece, away)
    scores: Floats = total.sum(axis=-1) / (scale * np.sqrt(np.maximum(number.sum(axis=-1), 1.0)))
    return scores


def _box(piece: Piece, away: Floats) -> tuple[Floats, Floats]:
    """Sum and number (…, rows) of bins within BOX columns of a path `away` (…, rows) pixels from the line."""
    columns = piece.sums.shape[1]
    column = np.floor(away / piece.across).astype(np.int64) + columns // 2
    rows = np.broadcast_to(np.arange(piece.sums.shape[0]), column.shape)
    total, number = np.zeros(column.shape), np.zeros(column.shape)
    for beside in range(-BOX, BOX + 1):
        chosen = np.clip(column + beside, 0, columns - 1)
        known = (column + beside >= 0) & (column + beside < columns)
        total += np.where(known, piece.sums[rows, chosen], 0.0)
        number += np.where(known, piece.numbers[rows, chosen], 0.0)
    return total, number


def _ended(line: Floats, pieces: Sequence[Piece], scale: float, step: float) -> Path | None:
    """Find where light begins and ends along the path, and how sure it is."""
    row = pieces[0].row
    boxes = [_box(piece, piece.at(piece.places)) for piece in pieces]
    total = np.concatenate([box[0] for box in boxes]) / scale
    number = np.concatenate([box[1] for box in boxes])
    place = np.concatenate([piece.places for piece in pieces])
    best = max(range(len(pieces)), key=lambda k: pieces[k].score)
    usual = float(boxes[best][0].sum() / scale / max(float(boxes[best][1].sum()), 1.0))
    order = np.argsort(place, kind="stable")
    total, number, place = total[order], number[order], place[order]
    low, high = longest(total - END * usual * number)
    total, number, place = total[low:high], number[low:high], place[low:high]
    seen = number > 0.0
    if not seen.any():
        return None
    first, last = float(place[0]) - 0.5 * row, float(place[-1]) + 0.5 * row
    kept = tuple(p for p in pieces if p.places[-1] > first and p.places[0] < last)
    each = total[seen] / np.sqrt(number[seen])
    score = float(total.sum() / math.sqrt(number.sum()))
    parallels = _parallels(kept, first, last, scale)
    middle = float(np.median(parallels))
    return Path(
        step, line, kept, first, last, score,
        steady=float(np.clip(each, -3.0, 3.0).sum() / math.sqrt(each.size)),
        beside=(score - middle) / max(1.4826 * float(np.median(np.abs(parallels - middle))), 1.0),
        seen=float(np.count_nonzero(seen)) * row,
    )  # fmt: skip


def longest(gain: Floats) -> tuple[int, int]:
    """First and end of the run with the greatest sum."""
    reached = np.concatenate(([0.0], np.cumsum(gain)))
    lowest = np.minimum.accumulate(reached)
    end = int(np.argmax(reached - lowest))
    return int(np.argmin(reached[: end + 1])), end


def _parallels(pieces: Sequence[Piece], first: float, last: float, scale: float) -> Floats:
    """Scores of paths beside."""
    away = np.arange(BESIDE, HALF - BOX, 2 * BOX + 1) * pieces[0].across
    shifts = np.concatenate([-away, away])[:, np.newaxis]
    total, number = np.zeros((2, shifts.size))
    for piece in pieces:
        places = piece.places
        path = piece.at(places)
        within = (places > first) & (places < last)
        sums, numbers = _box(piece, path + shifts)
        total += sums[:, within].sum(axis=1)
        number += numbers[:, within].sum(axis=1)
    shown = number > 0.0
    if np.count_nonzero(shown) < 4:
        return np.zeros(1)
    scores: Floats = total[shown] / (scale * np.sqrt(number[shown]))
    return scores
