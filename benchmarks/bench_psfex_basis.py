"""Refined, replaced, common and homogenised models of the PSF: ours beside Debian's psfex, on painted stars."""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bench_psfex import NOISE, SIDE, STARS, agreement, pairs
from figures import Row, command_line

from processing import ldac
from processing.cards import text_of
from processing.ldac import Catalogue

OVER = 5
"""Samples across a pixel that painted stars are integrated over."""
CASES: tuple[tuple[str, float, int, str], ...] = (
    ("super-resolved models, 400 pixels of degree 2", 2.4, 2, ""),
    ("models of 55 shapelets, degree 2", 4.4, 4, "-BASIS_TYPE GAUSS-LAGUERRE -BASIS_NUMBER 9"),
    ("one model of all CCDs, degree 3", 4.4, 8, "-MEF_TYPE COMMON -PSFVAR_DEGREES 3"),
    ("models, and kernels to one Moffat, degree 2", 4.4, 4, "-HOMOBASIS_TYPE GAUSS-LAGUERRE -HOMOPSF_PARAMS 6,3"),
)
"""What is measured: its name, FWHM of stars in pixels, CCDs, settings."""


def catalogue(seed: int, fwhm: float) -> Catalogue:
    """Moffat stars integrated over pixels, which get wider along x."""
    draw = np.random.default_rng(seed)
    names = ("X_IMAGE", "Y_IMAGE", "FLUX_RADIUS", "SNR_WIN", "FLUX_APER", "FLUXERR_APER", "ELONGATION")
    rows = np.zeros(STARS, [*((name, "f4") for name in names), ("FLAGS", "i2"), ("VIGNET", "f4", (SIDE, SIDE))])
    rows["X_IMAGE"], rows["Y_IMAGE"] = draw.uniform(30, 2080, STARS), draw.uniform(30, 4610, STARS)
    rows["FLUX_APER"] = 10 ** draw.uniform(4, 5.5, STARS)
    rows["FLUXERR_APER"], rows["SNR_WIN"], rows["ELONGATION"] = 800.0, 200.0, 1.02
    grid = (np.arange(SIDE * OVER) - (SIDE * OVER - 1) / 2) / OVER
    for row in rows:
        width = fwhm * (1 + 0.1 * (row["X_IMAGE"] / 2112 - 0.5))
        alpha = width / 2 / np.sqrt(2 ** (1 / 3) - 1)
        x, y = (row[name] - np.floor(row[name] + 0.5) for name in ("X_IMAGE", "Y_IMAGE"))
        fine = 2.0 / np.pi / alpha**2 * (1 + ((grid - x) ** 2 + (grid[:, None] - y) ** 2) / alpha**2) ** -3.0
        profile = fine.reshape(SIDE, OVER, SIDE, OVER).mean(axis=(1, 3))
        row["VIGNET"] = row["FLUX_APER"] * profile + draw.normal(0, NOISE, profile.shape)
        row["FLUX_RADIUS"] = 0.52 * width
    image = [("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", 2112), ("NAXIS2", 4644), ("OBJECT", "painted")]
    cards = text_of([*image, ("SEXBKDEV", NOISE), ("SEXGAIN", 1.6), ("SEXSATLV", 65000.0)])
    return Catalogue(cards, rows)


def measure() -> Sequence[Row]:
    there, rows = shutil.which("psfex"), []
    for part, fwhm, ccds, settings in CASES:
        with tempfile.TemporaryDirectory(prefix="bench-psfex-basis-") as name:
            place = Path(name)
            ldac.write(place / "stars.cat", [catalogue(seed, fwhm) for seed in range(ccds)])
            for who in ("ours", "peer"):
                (place / who).mkdir()
            words = ["../stars.cat", "-PSF_DIR", ".", "-HOMOKERNEL_DIR", ".", "-VERBOSE_TYPE", "QUIET"]
            words += ["-CHECKPLOT_TYPE", "NONE", "-CHECKIMAGE_TYPE", "NONE", "-WRITE_XML", "N", *settings.split()]
            tool = [sys.executable, "-m", "processing.psfex.command"]
            ours, peer = pairs([*tool, *words], [there, *words] if there else None, place)
            rows.append(
                Row(
                    part=f"{part}; the peer makes diagnostics besides",
                    input=f"{ccds} CCDs, {STARS} stars of {fwhm} pixels each",
                    ours=ours.wall,
                    ours_cpu=ours.cpu,
                    peer="psfex 3.21.1",
                    peer_seconds=peer.wall if peer else None,
                    peer_cpu=peer.cpu if peer else None,
                    agreement=agreement(place) if peer else "the peer is not installed",
                    goal="6x faster, 3x less CPU",
                )
            )
    return rows


if __name__ == "__main__":
    command_line(measure)
