"""STAR_PROB: how probable it is that a source is a star, from where it lies beside the locus of stars.

In the plane of SPREAD_MODEL and magnitude stars lie about a constant that is known better the brighter they are, and
galaxies above it. How many of each there are, and how extended the galaxies, is learnt from the sources of the image,
magnitude by magnitude (expectation maximisation: Dempster, Laird & Rubin 1977, J. R. Stat. Soc. B 39, 1; with an own
error for each source: Bovy, Hogg & Roweis 2011, Ann. Appl. Stat. 5, 1657).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.sextractor.records import Table

Floats = NDArray[np.float64]
NEEDS = frozenset({"SPREAD_MODEL", "SPREADERR_MODEL", "FLUX_AUTO"})
NAME = "STAR_PROB"
EXTENTS = np.geomspace(3.5e-3, 4e-2, 12)
"""SPREAD_MODEL of galaxies, one a class of them."""
BREADTH = 0.2
"""Width of a class over its extent: less than from one class to the next."""
WINGS_WIDTH, WINGS_SHARE = 2e-3, 0.2
"""Of stars that lie further off the locus than their errors: with near neighbours, or where the PSF model fails."""
NEITHER_WIDTH, NEITHER_SHARE = 0.03, 0.01
"""Of what is neither: rays, spikes, parts of blends."""
STARS_FIRST = 0.3
"""Share of stars that the brightest begin from."""
HELD = 10.0
"""Sources that the shares of the next brighter magnitudes count for."""
STEP, LEAST = 1.0, 60
"""Magnitudes of a bin, and its sources, whichever takes more."""
TURNS = 100
SHARP = 1e-3
"""Error of SPREAD_MODEL below which a source tells where the locus lies."""
NEAR = 4e-3
"""How far from 0 the locus may lie."""
SCATTER = 4e-4
"""Least scatter of stars beyond their errors: the PSF model's own."""


@dataclass(frozen=True, slots=True)
class Locus:
    """Where stars lie."""

    centre: float
    scatter: float


def locus_of(spread: Floats, error: Floats) -> Locus:
    """Find the locus of stars among sources with small errors; 0 and the least scatter where there are few."""
    sharp = spread[(error < SHARP) & (np.abs(spread) < NEAR)]
    centre, scatter = 0.0, 2.0 * SCATTER
    for _ in range(10):
        inside = sharp[np.abs(sharp - centre) < 3.0 * scatter]
        if len(inside) < 8:
            break
        centre = float(np.median(inside))
        scatter = max(1.4826 * float(np.median(np.abs(inside - centre))), SCATTER)
    return Locus(centre, scatter)


def likelihoods(spread: Floats, error: Floats, locus: Locus) -> Floats:
    """How likely each SPREAD_MODEL is for stars, for each class of galaxies, and for neither, (n, 2 + classes)."""
    places = np.concatenate(([0.0], EXTENTS, [0.0])) + locus.centre
    widths = np.concatenate(([0.0], BREADTH * EXTENTS, [NEITHER_WIDTH]))
    variance = error[:, None] ** 2 + locus.scatter**2 + widths**2
    made: Floats = np.exp(-0.5 * (spread[:, None] - places) ** 2 / variance) / np.sqrt(variance)
    wings = error**2 + WINGS_WIDTH**2
    made[:, 0] *= 1.0 - WINGS_SHARE
    made[:, 0] += WINGS_SHARE * np.exp(-0.5 * (spread - locus.centre) ** 2 / wings) / np.sqrt(wings)
    return made


def _bins(magnitude: Floats) -> list[NDArray[np.int64]]:
    """Sources by magnitude, the brightest first."""
    order = np.argsort(magnitude, kind="stable")
    made, begin = [], 0
    while begin < len(order):
        end = int(np.searchsorted(magnitude[order], magnitude[order[begin]] + STEP, side="right"))
        end = max(end, begin + LEAST)
        if len(order) - end < LEAST:
            end = len(order)
        made.append(order[begin:end])
        begin = end
    return made


def shares(likely: Floats, held: Floats) -> Floats:
    """Shares of the classes among some sources; those of brighter ones, `held`, count for a few sources."""
    share = held
    for _ in range(TURNS):
        belongs = likely * share
        belongs /= belongs.sum(axis=1, keepdims=True)
        share = belongs.sum(axis=0) + HELD * held
        share[-1] = 0.0
        share *= (1.0 - NEITHER_SHARE) / share.sum()
        share[-1] = NEITHER_SHARE
    return share


def probability(spread: Floats, error: Floats, flux: Floats) -> Floats:
    """Return the probability of each source to be a star, (n,), 0 to 1.

    Parameters
    ----------
    spread, error : (n,) SPREAD_MODEL and its error
    flux : (n,) any unit; what has none counts among the faintest

    Notes
    -----
    It depends on which other sources there are, and not on their order.
    """
    if not len(spread):
        return np.empty(0)
    least = flux[flux > 0.0].min(initial=np.inf)
    magnitude = -2.5 * np.log10(np.where(flux > 0.0, flux, least if np.isfinite(least) else 1.0))
    likely = likelihoods(spread, error, locus_of(spread, error)) + 1e-300
    first = np.full(likely.shape[1], (1.0 - STARS_FIRST - NEITHER_SHARE) / len(EXTENTS))
    first[0], first[-1] = STARS_FIRST, NEITHER_SHARE
    held, learnt, middles = first, [], []
    for rows in _bins(magnitude):
        held = shares(likely[rows], held)
        learnt.append(held)
        middles.append(float(np.median(magnitude[rows])))
    known = np.array(learnt)
    local = np.stack([np.interp(magnitude, middles, column) for column in known.T], axis=1)
    belongs = likely * local
    made: Floats = belongs[:, 0] / belongs.sum(axis=1)
    return made


def with_probability(base: Table, needed: frozenset[str], *, known: bool = True) -> Table:
    """Add STAR_PROB to measured columns where it is needed; NaN where the PSF is not `known`."""
    if NAME not in needed:
        return base
    if not known:
        return {**base, NAME: np.full(len(base["SPREAD_MODEL"]), np.nan, np.float32)}
    spread, error, flux = (base[name].astype(np.float64) for name in ("SPREAD_MODEL", "SPREADERR_MODEL", "FLUX_AUTO"))
    return {**base, NAME: probability(spread, error, flux).astype(np.float32)}
