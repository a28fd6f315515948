"""Draw docs/algorithms/stuff-*.png: our fields beside the lists of the original."""

import os
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from processing.stuff import Galaxies, Settings, field

FIELDS = 16
AREA = (1.1 * 8192 * 0.186 / 3600) ** 2
"""Square degrees that the lists fill."""
ROOT = Path(__file__).resolve().parents[1]
PLACE = Path(os.environ.get("TERAPIX_SHARED", ROOT.parent / "shared")) / "data" / "reference" / "stuff"
INTO = ROOT / "docs" / "algorithms"


def counts(ours: Galaxies, lists: dict[str, np.ndarray]) -> None:
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(7, 6), sharex=True, height_ratios=(2.5, 1), layout="constrained"
    )
    edges = np.arange(15.0, 27.0, 0.5)
    middles = edges[:-1] + 0.25
    for number, (band, colour) in enumerate(zip("gri", ("tab:blue", "tab:green", "tab:red"), strict=True)):
        found = np.histogram(lists[band][:, 3], edges)[0]
        expected = np.histogram(ours.magnitudes[number], edges)[0] / FIELDS
        filled = expected > 0
        above.step(middles[filled], expected[filled] / AREA / 0.5, where="mid", color=colour, label=f"{band}, ours")
        error = np.sqrt(found) / AREA / 0.5
        above.errorbar(middles, found / AREA / 0.5, error, fmt="o", ms=4, color=colour, label=f"{band}, Stuff 2.1.0")
        usable = expected > 5
        off = (found - expected)[usable] / np.sqrt(expected[usable])
        below.plot(middles[usable] + 0.08 * (number - 1), off, "o", ms=4, color=colour)
    above.set(yscale="log", ylabel="galaxies per degree² and magnitude", ylim=(20, 3e5))
    above.legend(ncols=3, fontsize=8)
    below.axhspan(-1, 1, color="0.9")
    below.set(xlabel="magnitude (AB)", ylabel="(Stuff - ours) / σ", ylim=(-4, 4))
    figure.savefig(INTO / "stuff-counts.png", dpi=90)


def distributions(ours: Galaxies, lists: dict[str, np.ndarray]) -> None:
    g, r, i = (lists[band] for band in "gri")
    magnitudes = ours.magnitudes
    panels = (
        ("redshift", ours.z, g[:, 11], np.linspace(0, 4.6, 70)),
        ("g - r", magnitudes[0] - magnitudes[1], g[:, 3] - r[:, 3], np.linspace(-0.1, 1.9, 80)),
        ("r - i", magnitudes[1] - magnitudes[2], r[:, 3] - i[:, 3], np.linspace(-0.1, 1.4, 80)),
        ("disc scale length, arcsec", ours.disc_radius, g[:, 8], np.linspace(0.01, 1.6, 80)),
        ("bulge effective radius, arcsec", ours.bulge_radius, g[:, 5], np.linspace(0.01, 1.2, 60)),
        ("bulge fraction in r", ours.bulge_fractions[1], r[:, 4], np.linspace(0.005, 0.6, 60)),
        ("axis ratio of the disc", ours.disc_ratio, g[:, 9], np.linspace(0.08, 1, 60)),
        ("axis ratio of the bulge", ours.bulge_ratio, g[:, 6], np.linspace(0.1, 0.999, 60)),
    )
    figure, axes = plt.subplots(2, 4, figsize=(13, 6), layout="constrained")
    for axis, (name, mine, theirs, edges) in zip(axes.flat, panels, strict=True):
        found, expected = np.histogram(theirs, edges)[0], np.histogram(mine, edges)[0] / FIELDS
        axis.stairs(expected, edges, color="tab:blue", label="ours")
        axis.plot(0.5 * (edges[1:] + edges[:-1]), found, "k.", ms=3, label="Stuff 2.1.0")
        axis.set(xlabel=name, yscale="log" if name.startswith("bulge f") else "linear")
    axes[0, 0].legend()
    axes[0, 0].set_ylabel("galaxies")
    axes[1, 0].set_ylabel("galaxies")
    figure.savefig(INTO / "stuff-distributions.png", dpi=80)


def main() -> None:
    lists = {band: np.loadtxt(PLACE / f"default_0.179deg2_{band}.list.gz") for band in "gri"}
    settings = Settings(field_size=(8192.0, 8192.0), pixel_size=0.186)
    ours = Galaxies.joined([field(settings, seed=seed).galaxies for seed in range(1, FIELDS + 1)])
    counts(ours, lists)
    distributions(ours, lists)


if __name__ == "__main__":
    main()
