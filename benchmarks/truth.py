"""Draw docs/algorithms/sextractor-truth.*: catalogues of ours and of the original beside what was painted.

truth.py [--place DIRECTORY]      what was painted and measured stays there, and is taken again
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from processing.ldac import read as read_ldac

ROOT = Path(__file__).resolve().parents[1]
SIM = Path(os.environ.get("TERAPIX_SHARED", ROOT.parent / "shared")) / "data" / "sim"
SHARE = Path("/usr/share/source-extractor")
PAINTED = 2
"""Frames painted here."""
SIDE, PIXEL, SEEING = 2048, 0.187, 0.8
ZERO, TIME, GAIN = 26.0, 468.0, 1.6
"""Zero point of an ADU a second, exposure, electrons an ADU."""
NEAR = 1.5
"""Pixels from a truth to its detection."""
FIRST = (
    "X_IMAGE", "Y_IMAGE", "FLUX_RADIUS", "SNR_WIN", "FLUX_APER(1)", "FLUXERR_APER(1)", "ELONGATION", "FLAGS",
    "VIGNET(35,35)",
)  # fmt: skip
THEIRS = (
    "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "XPSF_IMAGE", "YPSF_IMAGE", "MAG_AUTO", "MAG_PSF", "FLUX_AUTO",
    "FLAGS", "CLASS_STAR", "SPREAD_MODEL", "SPREADERR_MODEL",
)  # fmt: skip
OURS = (*THEIRS, "STAR_PROB")


@dataclass(frozen=True, slots=True)
class Frame:
    """An image with what was painted on it."""

    image: Path
    truth: NDArray[np.float64]
    """(n, 4): whether a star, x and y of the first pixel being 1, magnitude."""
    zero: float
    """Magnitude of an ADU."""


def call(place: Path, *words: str) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERAPIX_ETC": str(ROOT / "etc")}
    done = subprocess.run(words, cwd=place, check=False, capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr[-800:]}")


def listed(path: Path) -> NDArray[np.float64]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return np.array([[float(row[0] == "100"), *(float(word) for word in row[1:4])] for row in rows])


def paint(place: Path, number: int) -> Frame:
    """Galaxies of Stuff, and as many stars as galaxies down to the limit."""
    name = f"painted{number}"
    if not (place / f"{name}.fits").is_file():
        stuff = ["-FIELD_SIZE", f"{SIDE},{SIDE}", "-PIXEL_SIZE", str(PIXEL), "-SEED_GALAXIES", str(11 + number)]
        stuff += ["-CATALOG_NAME", "g.list,r.list,i.list", "-VERBOSE_TYPE", "QUIET"]
        call(place, sys.executable, "-m", "processing.stuff.command", *stuff)
        draw = np.random.default_rng(40 + number)
        magnitudes = 16.0 + 9.0 * draw.uniform(0.0, 1.0, 2200) ** 0.5
        with (place / "r.list").open("a") as stream:
            for magnitude, x, y in zip(magnitudes, *draw.uniform(1.0, SIDE, (2, len(magnitudes))), strict=True):
                stream.write(f"100 {x:.4f} {y:.4f} {magnitude:.4f}\n")
        sky = ["r.list", "-IMAGE_NAME", f"{name}.fits", "-IMAGE_SIZE", str(SIDE), "-PIXEL_SIZE", str(PIXEL)]
        sky += ["-GAIN", str(GAIN), "-EXPOSURE_TIME", str(TIME), "-MAG_ZEROPOINT", str(ZERO), "-READOUT_NOISE", "5"]
        sky += ["-SEEING_FWHM", str(SEEING), "-BACK_MAG", "20.8", "-STARCOUNT_ZP", "0", "-SEED_MOTION", str(1 + number)]
        sky += ["-ARM_COUNT", "0", "-VERBOSE_TYPE", "QUIET"]
        call(place, sys.executable, "-m", "processing.skymaker.command", *sky)
    return Frame(place / f"{name}.fits", listed(place / f"{name}.list"), ZERO + 2.5 * np.log10(TIME))


def simulated(place: Path, exposure: int, ccd: int) -> Frame:
    """A CCD of the frames that SkyMaker itself painted."""
    target = place / f"sim{exposure}{ccd}.fits"
    with fits.open(SIM / f"exp{exposure}.fits.fz") as hdus:
        header = hdus[ccd].header
        if not target.is_file():
            fits.PrimaryHDU(hdus[ccd].data, header).writeto(target)
        truth = listed(SIM / "truth.list.gz")
        truth[:, 1:3] = WCS(header).all_world2pix(truth[:, 1:3], 1)
        zero = header["PHOT_C"] + header["PHOT_K"] * (header["AIRMASS"] - 1.0) + 2.5 * np.log10(header["EXPTIME"])
        inside = np.all((truth[:, 1:3] > 0.5) & (truth[:, 1:3] < (2112.5, 4644.5)), axis=1)
    return Frame(target, truth[inside], float(zero))


def measured(place: Path, frame: Frame) -> dict[str, NDArray[Any]]:
    """Rows of ours and of the original, both with the model that we made."""
    stem = frame.image.stem
    terapix = [sys.executable, "-m", "processing.sextractor.command"]
    common = [
        frame.image.name, "-c", str(SHARE / "default.sex"), "-FILTER_NAME", str(SHARE / "default.conv"),
        "-STARNNW_NAME", str(SHARE / "default.nnw"), "-CATALOG_TYPE", "FITS_LDAC", "-PIXEL_SCALE", str(PIXEL),
        "-SEEING_FWHM", "0.9", "-MAG_ZEROPOINT", f"{frame.zero:.4f}", "-PSF_NAME", f"{stem}.psf", "-GAIN", str(GAIN),
        "-SATUR_LEVEL", "60000", "-SATUR_KEY", "NONE", "-PHOT_APERTURES", "16", "-VERBOSE_TYPE", "QUIET",
        "-PARAMETERS_NAME",
    ]  # fmt: skip
    for name, columns in (("first", FIRST), ("ours", OURS), ("peer", THEIRS)):
        (place / f"{name}.param").write_text("\n".join(columns))
    if not (place / f"{stem}.psf").is_file():
        call(place, *terapix, *common, "first.param", "-CATALOG_NAME", f"{stem}.cat")
        psfex = [sys.executable, "-m", "processing.psfex.command", f"{stem}.cat", "-WRITE_XML", "N"]
        call(place, *psfex, "-CHECKPLOT_TYPE", "NONE")
    call(place, *terapix, *common, "ours.param", "-CATALOG_NAME", f"{stem}.ours.cat")
    if not (place / f"{stem}.peer.cat").is_file():
        call(place, "source-extractor", *common, "peer.param", "-CATALOG_NAME", f"{stem}.peer.cat")
    return {who: np.array(read_ldac(place / f"{stem}.{who}.cat")[0].sources) for who in ("ours", "peer")}


@dataclass(frozen=True, slots=True)
class Found:
    """A catalogue laid on the truth, all frames together."""

    rows: NDArray[Any]
    truth: NDArray[np.float64]
    source: NDArray[np.int64]
    """(rows,) number of the truth of each row; -1 where there is none."""

    @property
    def known(self) -> NDArray[np.bool_]:
        return self.source >= 0

    def of_truth(self, column: int) -> NDArray[np.float64]:
        """What the truth says of each row that has one."""
        return np.asarray(self.truth[self.source[self.known], column])


def laid(frames: Sequence[Frame], catalogues: Sequence[NDArray[Any]]) -> Found:
    """Match each truth, the brightest first, with the nearest row that is left."""
    sources, truths, begin = [], [], 0
    for frame, rows in zip(frames, catalogues, strict=True):
        tree = cKDTree(np.c_[rows["XWIN_IMAGE"], rows["YWIN_IMAGE"]])
        source = np.full(len(rows), -1)
        for k in np.argsort(frame.truth[:, 3], kind="stable"):
            place = frame.truth[k, 1:3]
            for row in sorted(tree.query_ball_point(place, NEAR), key=lambda j: np.hypot(*(tree.data[j] - place))):
                if source[row] < 0:
                    source[row] = k + begin
                    break
        sources.append(source)
        truths.append(frame.truth)
        begin += len(frame.truth)
    return Found(np.concatenate(catalogues), np.concatenate(truths), np.concatenate(sources))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--place", type=Path, metavar="DIRECTORY")
    chosen = parser.parse_args().place
    with tempfile.TemporaryDirectory(prefix="truth-") as name:
        place = chosen or Path(name)
        place.mkdir(parents=True, exist_ok=True)
        frames = [paint(place, number) for number in range(PAINTED)]
        if SIM.is_dir():
            frames += [simulated(place, 0, 1), simulated(place, 0, 2)]
        catalogues = [measured(place, frame) for frame in frames]
    from truth_pictures import draw  # noqa: PLC0415  brings matplotlib

    draw({who: laid(frames, [each[who] for each in catalogues]) for who in ("ours", "peer")}, len(frames))


if __name__ == "__main__":
    main()
