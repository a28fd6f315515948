"""Models of the PSF: ours beside Debian's psfex, on stars of eight painted CCDs."""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from figures import Row, command_line, timed

from processing import ldac, psf_model
from processing.cards import text_of
from processing.ldac import Catalogue

CCDS, STARS, SIDE, NOISE = 8, 130, 45, 30.0


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


def measure() -> Sequence[Row]:
    with tempfile.TemporaryDirectory(prefix="bench-psfex-") as name:
        place = Path(name)
        ldac.write(place / "stars.cat", [catalogue(seed) for seed in range(CCDS)])
        words = ["stars.cat", "-CHECKPLOT_TYPE", "NONE", "-CHECKIMAGE_TYPE", "NONE", "-WRITE_XML", "N"]
        for who in ("ours", "peer"):
            (place / who).mkdir()
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        tool = [sys.executable, "-m", "processing.psfex.command"]
        ours = timed([*tool, *words, "-PSF_DIR", "ours"], env=environment, cwd=place)
        peer = timed(["psfex", *words, "-PSF_DIR", "peer"], cwd=place) if shutil.which("psfex") else None
        row = Row(
            part="models of the PSF, degree 2; the peer makes diagnostics besides",
            input=f"{CCDS} CCDs, {STARS} stars each",
            ours=ours.wall,
            ours_cpu=ours.cpu,
            peer="psfex 3.21.1",
            peer_seconds=peer.wall if peer else None,
            peer_cpu=peer.cpu if peer else None,
            agreement=agreement(place) if peer else "the peer is not installed",
            goal="6x faster, 3x less CPU",
        )
        return [row]


if __name__ == "__main__":
    command_line(measure)
