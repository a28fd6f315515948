"""Sources of a frame as its page tells them: how many on which CCD, and how wide stars are over the focal plane."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dbclient.records import JobRecord
from dbclient.schema import JobState
from dbclient.stages import SOURCES

STEPS: Final = 5
"""Shades of the map of widths."""
LEAST: Final = 0.05
"""Arcseconds. Widths that differ by less all get nearly one shade: a map that shouts of nothing misleads."""
LONGEST: Final = 0.45
"""Half of the longest line that tells an ellipticity, in widths of a CCD."""
ROUND: Final = 0.05
"""Ellipticity that the longest line stands for at least: lines of round stars are short."""


@dataclass(frozen=True, slots=True)
class Row:
    """One CCD."""

    index: int
    name: str
    sources: int
    stars: int
    fwhm: float | None
    """Arcseconds; None where there is no PSF."""
    ellipticity: float | None
    angle: float | None
    """Degrees from the x axis of the focal plane up to the major axis; None of frames that were catalogued before."""
    chi2: float | None
    """Mean reduced chi2 of the stars."""
    line: tuple[float, float] | None
    """Half of the line along the major axis, as long as the ellipticity: right and down, in widths of a CCD."""
    background: float
    """ADU."""
    noise: float
    """ADU."""
    seconds: float
    verdict: str | None
    """Why it has no PSF, or a simpler one."""
    shade: int | None
    """Of its width, 0 (the sharpest) to `STEPS` - 1."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the sources stage counted."""

    rows: tuple[Row, ...]
    sources: int
    stars: int
    seeing: float | None
    """Arcseconds."""
    longest: float
    """Ellipticity that a line as long as 2 `LONGEST` stands for."""
    ellipticity: float | None
    background: float
    seconds: float
    """Wall time of the job."""
    verdicts: int
    warnings: tuple[str, ...]


def seen_of(jobs: Sequence[JobRecord]) -> Seen | None:
    """Give what the newest finished sources job counted; None where none is done."""
    done = [job for job in jobs if job.stage == SOURCES and job.state is JobState.DONE and job.summary]
    newest = max(done, key=lambda job: (job.ended_at is not None, job.ended_at, job.id), default=None)
    if newest is None or newest.summary is None:
        return None
    try:
        return _read(newest.summary)
    except (KeyError, TypeError, ValueError, IndexError):  # a row that other software wrote
        return None


def _read(summary: Mapping[str, Any]) -> Seen:
    each = summary["by_ccd"]
    names = [str(name) for name in each["name"]]
    widths = [_number(value) for value in each["fwhm"]]
    known = [width for width in widths if width is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    middle = (low + high) / 2
    low, high = min(low, middle - LEAST / 2), max(high, middle + LEAST / 2)
    verdicts = summary.get("verdicts", {})
    round_ = [_number(value) for value in each["ellipticity"]]
    longest = max([ROUND, *(value for value in round_ if value is not None)])
    angles, chi2 = ([_number(value) for value in each.get(key, [None] * len(names))] for key in ("angle", "chi2"))
    rows = tuple(
        Row(
            index, name, int(each["sources"][index]), int(each["stars"][index]), widths[index],
            round_[index], angles[index], chi2[index], _line(round_[index], angles[index], longest),
            float(each["background"][index]), float(each["noise"][index]),
            float(each["seconds"][index]), None if name not in verdicts else str(verdicts[name]),
            _shade(widths[index], low, high),
        )
        for index, name in enumerate(names)
    )  # fmt: skip
    return Seen(
        rows, int(summary["sources"]), int(summary["stars"]), _number(summary.get("seeing")), longest,
        _number(summary.get("ellipticity")), float(summary["background"]), float(summary["seconds"]), len(verdicts),
        tuple(str(warning) for warning in summary.get("warnings", ())),
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _line(ellipticity: float | None, angle: float | None, longest: float) -> tuple[float, float] | None:
    """CCDs lie upright on the focal plane or turned by half a turn: their angles are those of the plane."""
    if ellipticity is None or angle is None:
        return None
    half = LONGEST * ellipticity / longest
    return round(half * math.cos(math.radians(angle)), 4), round(-half * math.sin(math.radians(angle)), 4)


def _shade(width: float | None, low: float, high: float) -> int | None:
    return None if width is None else min(int(STEPS * (width - low) / (high - low)), STEPS - 1)
