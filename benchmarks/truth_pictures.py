"""Pictures and tables of catalogues beside the truth, half magnitude by half magnitude."""

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from truth import Found

INTO = Path(__file__).resolve().parents[1] / "docs" / "algorithms"
EDGES = np.arange(16.0, 25.51, 0.5)
FEW = 12
"""Sources that a bin needs at least."""
WHO = {"ours": "TERAPIX", "peer": "SExtractor 2.25"}
COLOURS = {"ours": "tab:blue", "peer": "tab:orange"}
Rule = Callable[[NDArray[Any]], NDArray[np.bool_]]
Curve = NDArray[np.float64]
"""(bins,) NaN where there are too few."""


def _spread(rows: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(rows["SPREAD_MODEL"]) < 0.003 + rows["SPREADERR_MODEL"])


RULES: dict[str, Rule] = {
    "CLASS_STAR above 0.5": lambda rows: rows["CLASS_STAR"] > 0.5,
    "SPREAD_MODEL within 0.003 + its error": _spread,
    "STAR_PROB above 0.5": lambda rows: rows["STAR_PROB"] > 0.5,
}


def binned(
    values: NDArray[Any], magnitude: NDArray[Any], of: Callable[[NDArray[Any]], float] = lambda each: float(each.mean())
) -> Curve:
    """What `of` says of the values in each half magnitude."""
    where = np.digitize(magnitude, EDGES) - 1
    groups = [values[where == k] for k in range(len(EDGES) - 1)]
    return np.array([of(each) if len(each) >= FEW else np.nan for each in groups])


def scatter(values: NDArray[Any]) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def counts(found: "Found") -> dict[str, Curve]:
    """Completeness by true magnitude, reliability by MAG_AUTO."""
    seen = np.zeros(len(found.truth))
    seen[found.source[found.known]] = 1.0
    star = found.truth[:, 0] == 1.0
    return {
        "completeness of stars": binned(seen[star], found.truth[star, 3]),
        "completeness of galaxies": binned(seen[~star], found.truth[~star, 3]),
        "reliability": binned(found.known.astype(float), found.rows["MAG_AUTO"]),
    }


def errors(found: "Found") -> dict[str, Curve]:
    """Scatter of magnitudes, and distances of positions, of stars that were fitted."""
    rows, star = found.rows[found.known], found.of_truth(0) == 1.0
    rows, truth = rows[star], [found.of_truth(column)[star] for column in (1, 2, 3)]
    fitted = (rows["MAG_PSF"] < 90.0) & (rows["FLAGS"] & 4 == 0)
    rows, (x, y, magnitude) = rows[fitted], (each[fitted] for each in truth)
    made = {}
    bright = (magnitude > 18.0) & (magnitude < 20.5)
    for name in ("MAG_PSF", "MAG_AUTO"):
        off = rows[name] - magnitude
        off -= np.median(off[bright])
        made[f"scatter of {name}"] = binned(off, magnitude, scatter)
        made[f"median error of {name}"] = binned(off, magnitude, lambda each: float(np.median(each)))
    for kind in ("WIN", "PSF"):
        away = np.hypot(rows[f"X{kind}_IMAGE"] - x, rows[f"Y{kind}_IMAGE"] - y)
        made[f"distance of X{kind}_IMAGE, pixels"] = binned(away, magnitude, lambda each: float(np.median(each)))
    return made


def classes(found: "Found", rule: Rule) -> tuple[Curve, Curve, Curve]:
    """Completeness and purity of stars among what was found, and the share that is classed rightly."""
    rows, star, magnitude = found.rows[found.known], found.of_truth(0) == 1.0, found.of_truth(3)
    told = rule(rows)
    return (
        binned(told[star].astype(float), magnitude[star]),
        binned(star[told].astype(float), magnitude[told]),
        binned((told == star).astype(float), magnitude),
    )


def _draw(axis: Any, curve: Curve, label: str, **style: Any) -> None:
    axis.plot(EDGES[:-1] + 0.25, curve, label=label, **style)


def measures(all_found: Mapping[str, "Found"]) -> dict[str, dict[str, Curve]]:
    """Draw counts and errors, and return their curves."""
    made = {who: {**counts(found), **errors(found)} for who, found in all_found.items()}
    panels = (
        (
            "completeness and reliability",
            ("completeness of stars", "completeness of galaxies", "reliability"),
            "linear",
        ),
        ("scatter of stars' magnitudes", ("scatter of MAG_PSF", "scatter of MAG_AUTO"), "log"),
        ("median error of stars' magnitudes", ("median error of MAG_PSF", "median error of MAG_AUTO"), "linear"),
        (
            "distance from the truth, pixels",
            ("distance of XWIN_IMAGE, pixels", "distance of XPSF_IMAGE, pixels"),
            "log",
        ),
    )
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), sharex=True, layout="constrained")
    for axis, (title, names, scale) in zip(axes.flat, panels, strict=True):
        for name, line in zip(names, ("-", "--", ":"), strict=False):
            for who, marker, size in (("peer", "o", 6), ("ours", ".", 5)):
                style = {"ls": line, "marker": marker, "ms": size, "color": COLOURS[who], "mfc": "none"}
                _draw(axis, made[who][name], f"{name.removesuffix(', pixels')}, {WHO[who]}", **style)
        axis.set(title=title, yscale=scale)
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    for axis in axes[1]:
        axis.set_xlabel("magnitude (reliability: by MAG_AUTO)")
    axes[1, 0].set_ylim(-0.3, 0.3)
    figure.savefig(INTO / "sextractor-truth.png", dpi=90)
    return made


def stars(all_found: Mapping[str, "Found"]) -> dict[tuple[str, str], tuple[Curve, Curve, Curve]]:
    """Draw how stars are told from galaxies, and return the curves."""
    made = {
        (who, name): classes(found, rule)
        for who, found in all_found.items()
        for name, rule in RULES.items()
        if who == "ours" or not name.startswith("STAR_PROB")
    }
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.5), sharex=True, sharey=True, layout="constrained")
    titles = ("completeness of stars", "purity of stars", "classed rightly, stars and galaxies")
    for number, (axis, title) in enumerate(zip(axes, titles, strict=True)):
        for (who, name), curves in made.items():
            line = {"CL": ":", "SP": "--", "ST": "-"}[name[:2]]
            style = {"ls": line, "marker": "." if who == "ours" else "o", "mfc": "none", "color": COLOURS[who]}
            _draw(axis, curves[number], f"{name}, {WHO[who]}", **style)
        axis.set(title=title, xlabel="magnitude", ylim=(0, 1.03))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7, loc="lower left")
    figure.savefig(INTO / "sextractor-truth-stars.png", dpi=90)
    return made


def _table(head: list[str], columns: list[Curve], digits: int) -> list[str]:
    lines = ["| magnitude | " + " | ".join(head) + " |", "|" + "---|" * (len(head) + 1)]
    for k, low in enumerate(EDGES[:-1]):
        cells = [f"{column[k]:.{digits}f}" if np.isfinite(column[k]) else "" for column in columns]
        if any(cells):
            lines.append(f"| {low:.1f} to {low + 0.5:.1f} | " + " | ".join(cells) + " |")
    return lines


def verdict(ours: Curve, peer: Curve, *, better: int, least: float = 1e-9) -> str:
    """In how many bins ours is better, equal to 1 in 100, or worse.

    Parameters
    ----------
    better : 1 where more is better, -1 where less is
    least : stands for values of the peer that are nearer to 0, of which 1 in 100 would mean nothing
    """
    both = np.isfinite(ours) & np.isfinite(peer)
    ahead = better * (ours - peer)[both] / np.maximum(np.abs(peer[both]), least)
    return f"{np.sum(ahead > 0.01)} better, {np.sum(np.abs(ahead) <= 0.01)} equal, {np.sum(ahead < -0.01)} worse"


def draw(all_found: Mapping[str, "Found"], frames: int) -> None:
    """Write the page with its pictures."""
    curves, told = measures(all_found), stars(all_found)
    sizes = {
        who: f"{len(found.rows)} sources, {int(found.known.sum())} of them true" for who, found in all_found.items()
    }
    star = all_found["ours"].truth[:, 0] == 1.0
    text = (
        f"{frames} images of SkyMaker ({int(star.sum())} stars and {int((~star).sum())} galaxies painted; 0.8 arcsec "
        "seeing, 468 s in r): two of 2048x2048 pixels made here, with galaxies of Stuff and 2200 stars each, and two "
        "MegaCam CCDs that SkyMaker 4.3 itself painted. Ours and the original take the same settings (`default.sex`) "
        "and one model of the PSF, made by `terapix psfex`. A source is true if it lies within 1.5 pixels of something "
        "painted, the brightest choosing first. Magnitudes of stars are counted from the median error of those of 18 "
        f"to 20.5. Ours: {sizes['ours']}; the original: {sizes['peer']}. `benchmarks/truth.py` writes this page."
    )
    lines = [
        "# Catalogues beside the truth",
        "",
        *textwrap.wrap(text, 150),
        "",
        "![counts and errors](sextractor-truth.png)",
        "",
        "![stars and galaxies](sextractor-truth-stars.png)",
        "",
        "## Half magnitudes in which ours is better or worse than the original by more than 1 in 100",
        "",
        "| measure | half magnitudes |",
        "|---|---|",
    ]
    for name in curves["ours"]:
        better = 1 if name.startswith(("completeness", "reliability")) else -1
        if name.startswith("median"):
            ours, peer = (np.abs(curves[who][name]) for who in WHO)
            lines.append(f"| {name}, beyond 0.001 | {verdict(ours, peer, better=better, least=0.1)} |")
        else:
            lines.append(f"| {name} | {verdict(*(curves[who][name] for who in WHO), better=better)} |")
    rules = [rule for who, rule in told if who == "peer"]
    for k, title in enumerate(("completeness of stars", "purity of stars", "classed rightly")):
        lines += [
            f"| {title}: {rule} | {verdict(told['ours', rule][k], told['peer', rule][k], better=1)} |" for rule in rules
        ]
        ours, best = told["ours", "STAR_PROB above 0.5"][k], np.fmax.reduce([told["peer", rule][k] for rule in rules])
        lines.append(
            f"| {title}: STAR_PROB, beside the better of the original's two | {verdict(ours, best, better=1)} |"
        )
    lines += ["", "## Sources", ""]
    names = ["completeness of stars", "completeness of galaxies", "reliability", "scatter of MAG_PSF",
             "scatter of MAG_AUTO", "distance of XWIN_IMAGE, pixels", "distance of XPSF_IMAGE, pixels"]  # fmt: skip
    lines += _table(
        [f"{name}, {'ours' if who == 'ours' else 'original'}" for name in names for who in WHO],
        [curves[who][name] for name in names for who in WHO],
        4,
    )
    lines += ["", "## Stars among what was found: completeness, purity, and the share of all classed rightly", ""]
    head, columns = [], []
    for who, name in told:
        for title, curve in zip(("completeness", "purity", "rightly"), told[who, name], strict=True):
            head.append(f"{name.split()[0]}, {'ours' if who == 'ours' else 'original'}: {title}")
            columns.append(curve)
    lines += _table(head, columns, 3)
    (INTO / "sextractor-truth.md").write_text("\n".join(lines) + "\n")
