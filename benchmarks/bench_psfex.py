"""Models of the PSF: ours beside Debian's psfex, on stars of eight painted CCDs."""

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from figures import Row, Timing, command_line, timed

from processing import ldac, psf_model
from processing.cards import text_of
from processing.ldac import Catalogue

CCDS, STARS, SIDE, NOISE = 8, 130, 45, 30.0
RUNS = 3


def catalogue(seed: int) -> Catalogue:
    """Moffat stars with an FWHM near 4.4 pixels, which get wider along x."""
    draw = np.random.default_rng(seed)
    names = ("X_IMAGE", "Y_IMAGE", "FLUX_RADIUS", "SNR_WIN", "FLUX_APER", "FLUXERR_APER", "ELONGATION")
    rows = np.zeros(STARS, [*((name, "f4") for name in names), ("FLAGS", "i2"), ("VIGNET", "f4", (SIDE, SIDE))])
    rows["X_IMAGE"], rows["Y_IMAGE"] = draw.uniform(30, 2080, STARS), draw.uniform(30, 4610, STARS)
    rows["FLUX_APER"] = 10 ** draw.uniform(4, 6, STARS)
    rows["FLUXERR_APER"], rows["SNR_WIN"], rows["ELONGATION"] = 800.0, 200.0, 1.02
    grid = np.arange(SIDE) - SIDE // 2
    for row in rows:
        alpha = 4.3 * (1 + 0.1 * row["X_IMAGE"] / 2112)
        x, y = (row[name] - np.floor(row[name] + 0.5) for name in ("X_IMAGE", "Y_IMAGE"))
        profile = 2.0 / np.pi / alpha**2 * (1 + ((grid - x) ** 2 + (grid[:, None] - y) ** 2) / alpha**2) ** -3.0
        row["VIGNET"] = row["FLUX_APER"] * profile + draw.normal(0, NOISE, profile.shape)
        row["FLUX_RADIUS"] = 0.51 * alpha
    image = [("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", 2112), ("NAXIS2", 4644), ("OBJECT", "painted")]
    cards = text_of([*image, ("SEXBKDEV", NOISE), ("SEXGAIN", 1.6), ("SEXSATLV", 65000.0)])
    return Catalogue(cards, rows)


def agreement(place: Path) -> str:
    """Compare the models all over the CCDs."""
    worst, chi2 = 0.0, 0.0
    at = np.array([(x, y) for x in (50.0, 1056.0, 2050.0) for y in (50.0, 2322.0, 4600.0)])
    for ours, peer in zip(*(psf_model.read(place / name / "stars.psf") for name in ("ours", "peer")), strict=True):
        theirs = peer.many(at)
        worst = max(worst, float((np.abs(ours.many(at) - theirs).max(axis=(1, 2)) / theirs.max(axis=(1, 2))).max()))
        chi2 = max(chi2, abs(ours.chi2 / peer.chi2 - 1.0))
    return f"pixels within {worst:.1e} of the peak, chi2 within {100 * chi2:.1f} %"


def widths(place: Path) -> str:
    """Compare what the summaries tell of the PSF in every image."""
    worst: dict[str, float] = {}
    for ours, peer in zip(*(_cells(place / name / "psfex.xml") for name in ("ours", "peer")), strict=True):
        for name in ("FWHM", "FWHM_PixelFree", "Ellipticity"):
            for what in ("Min", "Mean", "Max"):
                difference = abs(ours[f"{name}_{what}"] - peer[f"{name}_{what}"])
                worst[name] = max(worst.get(name, 0.0), difference)
    wide = max(worst["FWHM"], worst["FWHM_PixelFree"])
    return f"FWHM within {wide:.1e} pixel, ellipticity within {worst['Ellipticity']:.1e}"


def _cells(path: Path) -> list[dict[str, float]]:
    """Read the numbers of PSF_Extensions; without namespaces, as the original's has none."""
    rows: list[dict[str, float]] = []
    for table in ET.parse(path).getroot().iter():
        if table.tag.endswith("TABLE") and table.get("ID") == "PSF_Extensions":
            fields = [str(each.get("name")) for each in table.iter() if each.tag.endswith("FIELD")]
            lines = (each for each in table.iter() if each.tag.endswith("}TR") or each.tag == "TR")
            rows += [
                {name: float(cell.text or "nan") for name, cell in zip(fields, line, strict=True)} for line in lines
            ]
    return rows


def pairs(ours: Sequence[str], peer: Sequence[str] | None, place: Path) -> tuple[Timing, Timing | None]:
    """Time both by turns, so that a busy machine is busy for both, and take medians."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    found: tuple[list[Timing], list[Timing]] = ([], [])
    for _ in range(RUNS):
        found[0].append(timed(ours, runs=1, env=environment, cwd=place / "ours"))
        if peer:
            found[1].append(timed(peer, runs=1, cwd=place / "peer"))
    first, second = (
        Timing(*(statistics.median(getattr(each, name) for each in held) for name in ("wall", "cpu", "peak_mb")))
        if held
        else None
        for held in found
    )
    assert first is not None
    return first, second


def measure() -> Sequence[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-psfex-") as name:
        place = Path(name)
        ldac.write(place / "stars.cat", [catalogue(seed) for seed in range(CCDS)])
        for who in ("ours", "peer"):
            (place / who).mkdir()
        tool = [sys.executable, "-m", "processing.psfex.command"]
        common = ["../stars.cat", "-PSF_DIR", ".", "-VERBOSE_TYPE", "QUIET"]
        none = ["-CHECKPLOT_TYPE", "NONE", "-CHECKIMAGE_TYPE", "NONE"]
        rows = []
        for part, words, goal in (
            ("models of the PSF with their diagnostics and summary, degree 2", none, "6x faster, 3x less CPU"),
            ("the same with all check-images and plots of the default, as SVG", ["-CHECKPLOT_DEV", "SVG"], None),
        ):
            there = shutil.which("psfex")
            ours, peer = pairs([*tool, *common, *words], [there, *common, *words] if there else None, place)
            told = f"{agreement(place)}; {widths(place)}" if peer else "the peer is not installed"
            rows.append(
                Row(
                    part=part,
                    input=f"{CCDS} CCDs, {STARS} stars each",
                    ours=ours.wall,
                    ours_cpu=ours.cpu,
                    peer="psfex 3.21.1",
                    peer_seconds=peer.wall if peer else None,
                    peer_cpu=peer.cpu if peer else None,
                    agreement=told if words is none else "",
                    goal=goal,
                )
            )
        return rows


if __name__ == "__main__":
    command_line(measure)
