"""A list of galaxies of 1.5 x 1.5 degrees in three passbands, as a whole process; agreement with lists of the original.

The original is not packaged: its time is the one stated for it on 2 cores, not one measured here.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from figures import Row, command_line, timed
from scipy.stats import chi2, ks_2samp

from processing.stuff import Galaxies, Settings, field

STATED = 5.7
"""Seconds of the original for 141,000 galaxies of 1.5 x 1.5 degrees."""
SIDE = 27000
"""Pixels of 0.2 arcsec."""
FAINTEST = 25.13
"""Reference magnitude down to which this field has 141,000 galaxies."""
FIELDS = 8


def agreement() -> str:
    """Compare fields of the size of the original's lists with them."""
    shared = Path(os.environ.get("TERAPIX_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    place = shared / "data" / "reference" / "stuff"
    if not place.is_dir():
        return f"no lists of the original in {place}"
    g, r, i = (np.loadtxt(place / f"default_0.179deg2_{band}.list.gz") for band in "gri")
    settings = Settings(field_size=(8192.0, 8192.0), pixel_size=0.186)
    ours = Galaxies.joined([field(settings, seed=seed).galaxies for seed in range(1, FIELDS + 1)])
    edges = np.arange(14.0, 28.5, 0.5)
    counts = []
    for mine, theirs in zip(ours.magnitudes, (g, r, i), strict=True):
        found, expected = np.histogram(theirs[:, 3], edges)[0], np.histogram(mine, edges)[0] / FIELDS
        filled = expected > 5
        squares = (found - expected)[filled] ** 2 / (expected[filled] * (1 + 1 / FIELDS))
        counts.append(chi2.sf(squares.sum(), filled.sum()))
    pairs = {
        "z": (ours.z, g[:, 11]),
        "g-r": (ours.magnitudes[0] - ours.magnitudes[1], g[:, 3] - r[:, 3]),
        "r-i": (ours.magnitudes[1] - ours.magnitudes[2], r[:, 3] - i[:, 3]),
        "disc": (np.round(ours.disc_radius[ours.disc_radius > 0], 3), g[g[:, 8] > 0, 8]),
        "bulge": (np.round(ours.bulge_radius[ours.bulge_radius > 0], 3), g[g[:, 5] > 0, 5]),
        "B/T": (np.round(ours.bulge_fractions[1], 3), r[:, 4]),
        "axis ratio": (np.round(ours.disc_ratio, 3), g[:, 9]),
    }
    chances = ", ".join(f"{name} {ks_2samp(*pair).pvalue:.2f}" for name, pair in pairs.items())
    return f"counts p {min(counts):.2f}; KS p {chances}"


def measure() -> Sequence[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-stuff-") as name:
        place = Path(name)
        root = Path(__file__).resolve().parents[1]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        settings = ["-FIELD_SIZE", f"{SIDE},{SIDE}", "-MAG_LIMITS", f"16,{FAINTEST}", "-SEED_GALAXIES", "3"]
        argv = [sys.executable, "-m", "processing.stuff.command", *settings, "-VERBOSE_TYPE", "QUIET"]
        ours = timed(argv, runs=5, env=environment, cwd=place)
        with (place / "g.list").open() as stream:
            count = sum(1 for _ in stream)
    return [
        Row(
            part="galaxy lists in g, r, i",
            input=f"1.5 x 1.5 degrees, {count:,} galaxies, start of Python included",
            ours=ours.wall,
            ours_cpu=ours.cpu,
            peer="Stuff, stated:",
            peer_seconds=STATED,
            goal="3x faster",
            agreement=agreement(),
        )
    ]


if __name__ == "__main__":
    command_line(measure)
