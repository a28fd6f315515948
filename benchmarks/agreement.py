"""Agreement of our catalogues with source-extractor's, column by column: makes docs/algorithms/agreement.md.

``python benchmarks/agreement.py`` runs both on simulated and real images and draws the ten sources that agree least.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matching import matched
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from processing.ldac import read as read_ldac
from processing.mosaic import Compression, Mosaic, assemble, hdu_bytes, primary_bytes

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TERAPIX_SHARED", ROOT.parent / "shared")) / "data"
PAGE = ROOT / "docs" / "algorithms" / "agreement.md"
HALF, ZOOM = 20, 2
"""Half of a picture's side in pixels of the image, and how much larger they are drawn."""
WORST = 10
CROWDED_OR_BLENDED = 3
COLUMNS = (
    "X_IMAGE", "Y_IMAGE", "A_IMAGE", "B_IMAGE", "THETA_IMAGE", "ERRA_IMAGE", "ISOAREA_IMAGE", "ISOAREAF_IMAGE",
    "FLUX_MAX",
    "MAG_ISO", "MAGERR_ISO", "MAG_ISOCOR", "MAG_APER", "MAGERR_APER", "MAG_AUTO", "MAGERR_AUTO", "KRON_RADIUS",
    "FLUX_RADIUS", "XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "AWIN_IMAGE", "FLUX_WIN", "SNR_WIN", "FWHM_IMAGE",
    "BACKGROUND", "CLASS_STAR", "MAG_PETRO", "PETRO_RADIUS", "FLAGS", "FLAGS_WIN",
)  # fmt: skip
RELATIVE = frozenset(
    {"FLUX_MAX", "FLUX_WIN", "SNR_WIN", "ERRA_IMAGE", "ERRAWIN_IMAGE", "MAGERR_ISO", "MAGERR_APER", "MAGERR_AUTO"}
)
"""Compared by their ratio."""


@dataclass(frozen=True, slots=True)
class Case:
    """An image that both measure."""

    name: str
    told: str
    path: Path
    settings: tuple[str, ...] = ()


def cases(place: Path) -> list[Case]:
    """The images that are there, compressed ones unpacked into `place`."""
    found = []
    for number in range(3):
        path = DATA / "sim" / f"exp{number}.fits.fz"
        if path.exists():
            found.append(Case(f"sim {number}", "two simulated MegaCam CCDs", unpacked(path, place)))
    told = "a frame of our own painter, 36 CCDs with all effects of the detectors, its flat as the weights"
    frame, flat = painted(place)
    weight = ("-WEIGHT_TYPE", "MAP_WEIGHT", "-WEIGHT_IMAGE", str(flat))
    found.append(Case("camera", told, frame, weight))
    ntt = DATA / "sextractor_tests" / "galaxies.fits"
    weight = ("-WEIGHT_TYPE", "MAP_WEIGHT", "-WEIGHT_IMAGE", str(ntt.with_suffix("")) + ".weight.fits")
    others = (
        Case("NTT", "NTT/EMMI, 1024 x 1024", ntt),
        Case("NTT, weights", "the same with its weight map", ntt, weight),
        Case("CFHTLS g", "a stack of the CFHTLS Wide, 440 x 440", DATA / "humvi" / "CFHTLS-test_g.fits"),
        Case("CFHTLS i", "the same field in i", DATA / "humvi" / "CFHTLS-test_i.fits"),
        Case("sep", "256 x 256", DATA / "sep_image" / "image.fits"),
    )
    return found + [case for case in others if case.path.exists()]


def unpacked(path: Path, place: Path) -> Path:
    """Put the CCDs of a compressed file uncompressed into one in `place`, which both read."""
    mosaic = Mosaic(path)
    parts = (
        hdu_bytes(mosaic.read(index), each.header, name=each.name, compression=Compression.NONE)
        for index, each in enumerate(mosaic.extensions)
    )
    plain = place / f"{path.name.partition('.fits')[0]}.fits"
    assemble(plain, primary_bytes(mosaic.primary_cards), parts)
    return plain


def painted(place: Path) -> tuple[Path, Path]:
    """Paint a frame of MegaCam; return it and its flat field, uncompressed."""
    argv = ["--instrument", "megacam", "--pointing", "215,53", "--seed", "2003", "--directory", str(place / "camera")]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "processing.skymaker.command", *argv], check=True, env=env)
    frame, flat = (next((place / "camera").rglob(pattern)) for pattern in ("*p.fits.fz", "*flat*.fits*"))
    return unpacked(frame, place), unpacked(flat, place)


def measured(case: Case, place: Path) -> tuple[NDArray[Any], NDArray[Any], int, int]:
    """Sources that both found, row by row, of all extensions behind each other, and how many each found."""
    (place / "a.param").write_text("\n".join(("EXT_NUMBER", *COLUMNS)) + "\n")
    (place / "a.conv").write_text("CONV NORM\n1 2 1\n2 4 2\n1 2 1\n")
    argv = [
        str(case.path), "-CATALOG_TYPE", "FITS_LDAC", "-PARAMETERS_NAME", "a.param", "-FILTER_NAME", "a.conv",
        "-STARNNW_NAME", "/usr/share/source-extractor/default.nnw", "-PHOT_APERTURES", "10", "-GAIN", "1.6",
        "-PIXEL_SCALE", "0.186", "-SEEING_FWHM", "0.8", "-SATUR_LEVEL", "60000", "-VERBOSE_TYPE", "QUIET",
        "-MEMORY_OBJSTACK", "10000", "-MEMORY_PIXSTACK", "3000000", *case.settings,
    ]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ours = [sys.executable, "-m", "processing.sextractor.command", *argv, "-CATALOG_NAME", "ours.cat"]
    subprocess.run(ours, check=True, cwd=place, env=env)
    theirs = ["source-extractor", *argv, "-CATALOG_NAME", "theirs.cat"]
    subprocess.run(theirs, check=True, cwd=place, stderr=subprocess.DEVNULL)
    mine, other = ([each.sources for each in read_ldac(place / f"{who}.cat")] for who in ("ours", "theirs"))
    same = [matched(a, b) for a, b in zip(mine, other, strict=True)]
    first = np.concatenate([a[pairs[:, 0]] for a, pairs in zip(mine, same, strict=True)])
    second = np.concatenate([b[pairs[:, 1]] for b, pairs in zip(other, same, strict=True)])
    return first, second, sum(map(len, mine)), sum(map(len, other))


def differences(name: str, ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
    """Ours less theirs, or their ratio less 1."""
    a, b = ours[name].astype(np.float64), theirs[name].astype(np.float64)
    a, b = a.reshape(len(a), -1)[:, 0], b.reshape(len(b), -1)[:, 0]
    if name in RELATIVE:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(a == b, 0.0, a / b - 1.0)
    return a - b


def table(ours: NDArray[Any], theirs: NDArray[Any]) -> list[str]:
    """Lines of a case: every column with its median, scatter and worst difference, of sources that stand alone."""
    lines = ["| column | equal | median | scatter | within 99 % | worst |", "|---|---|---|---|---|---|"]
    for name in COLUMNS:
        found = differences(name, ours, theirs)
        size = np.abs(found)
        equal = f"{np.mean(found == 0.0) * 100:.1f} %"
        scatter = 1.4826 * np.median(np.abs(found - np.median(found)))
        told = name + (" (relative)" if name in RELATIVE else "")
        numbers = (np.median(found), scatter, np.percentile(size, 99), size.max())
        lines.append(f"| {told} | {equal} | " + " | ".join(f"{number:.1e}" for number in numbers) + " |")
    return lines


def draw(case: Case, ours: NDArray[Any], theirs: NDArray[Any], path: Path) -> str:
    """Draw the sources whose MAG_AUTO agrees least beside each other; return what is seen."""
    order = np.argsort(-np.abs(differences("MAG_AUTO", ours, theirs)))[:WORST]
    mosaic = Mosaic(case.path)
    strip = np.full((2 * HALF + 1, WORST * (2 * HALF + 3)), 255, np.uint8)
    for place, k in enumerate(order):
        pixels = mosaic.read(max(int(theirs["EXT_NUMBER"][k]) - 1, 0)).astype(np.float32)
        level, noise = float(np.median(pixels)), float(1.4826 * np.median(np.abs(pixels - np.median(pixels))))
        padded = np.pad(pixels, HALF, constant_values=level)
        x, y = round(float(theirs["X_IMAGE"][k])) - 1, round(float(theirs["Y_IMAGE"][k])) - 1
        cut = padded[y : y + 2 * HALF + 1, x : x + 2 * HALF + 1]
        grey = np.clip((np.arcsinh((cut - level) / max(noise, 1e-9) / 2) + 0.5) * 60, 0, 255)
        begin = place * (2 * HALF + 3)
        strip[:, begin : begin + 2 * HALF + 1] = 255 - grey[::-1].astype(np.uint8)
    image = Image.fromarray(strip)
    image.resize((image.width * ZOOM, image.height * ZOOM), Image.Resampling.NEAREST).save(path, optimize=True)
    return ", ".join(f"{differences('MAG_AUTO', ours, theirs)[k]:+.4f}" for k in order)


def report(found: Sequence[str]) -> str:
    head = (
        "# Agreement with source-extractor\n\n"
        "Made by `python benchmarks/agreement.py`: both read the same file with the same settings (GAIN 1.6,\n"
        "3 x 3 filter, DETECT_THRESH 1.5). Sources are matched within half a pixel; columns are compared for those\n"
        "that are neither crowded nor blended for the original (FLAGS & 3 = 0).\n"
        "Differences are ours less theirs; magnitudes in mag, places in pixels, ratios less 1 where it says relative.\n"
        "Pictures show the ten sources whose MAG_AUTO agrees least, with their differences.\n"
    )
    return head + "".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    if not shutil.which("source-extractor"):
        raise SystemExit("source-extractor is not installed")
    sections = []
    with tempfile.TemporaryDirectory(prefix="agreement-") as name:
        place = Path(name)
        for case in cases(place):
            a, b, ours, theirs = measured(case, place)
            alone = (b["FLAGS"] & CROWDED_OR_BLENDED) == 0
            picture = PAGE.with_name(f"agreement-{case.name.replace(', ', '-').replace(' ', '-').lower()}.png")
            told = draw(case, a[alone], b[alone], picture)
            lines = [
                f"\n## {case.name}\n",
                f"{case.told}: {ours} sources, the original {theirs}, {len(a)} the same,",
                f"{int(alone.sum())} of them alone.\n",
                *table(a[alone], b[alone]),
                f"\n![The ten sources that agree least]({picture.name})\n",
                f"MAG_AUTO, ours less theirs: {told}",
            ]
            sections.append("\n".join(lines) + "\n")
            sys.stderr.write(f"{case.name}: {ours} and {theirs} sources, {len(a)} the same\n")
    PAGE.write_text(report(sections))


if __name__ == "__main__":
    main()
