"""Catalogues: ours beside Debian's source-extractor, as whole processes on the same files."""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from figures import Row, command_line, timed
from matching import matched
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from processing.ldac import read as read_ldac
from processing.mosaic import Compression, Mosaic, assemble, hdu_bytes, primary_bytes

ROOT = Path(__file__).resolve().parents[1]
SIM = Path(os.environ.get("TERAPIX_SHARED", ROOT.parent / "shared")) / "data" / "sim"
CCDS = 8
STACK, STACK_STARS = 20_000, 300_000
BANDS = 512
"""Rows of the stack painted at once."""
COLUMNS = (
    "NUMBER", "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE", "ERRTHETAWIN_IMAGE",
    "ALPHA_J2000", "DELTA_J2000", "FLUX_AUTO", "FLUXERR_AUTO", "MAG_AUTO", "MAGERR_AUTO", "FLUX_APER(1)",
    "FLUXERR_APER(1)", "FLUX_RADIUS", "KRON_RADIUS", "FLUX_MAX", "BACKGROUND", "SNR_WIN", "ELONGATION", "A_IMAGE",
    "B_IMAGE", "FLAGS", "IMAFLAGS_ISO", "CLASS_STAR", "VIGNET(45,45)",
)  # fmt: skip
"""What PSFEx and SCAMP ask for, and what the pipeline adds."""
STACK_COLUMNS = tuple(name for name in COLUMNS if not name.startswith(("VIGNET", "IMAFLAGS")))
FILTER = "CONV NORM\n1 2 1\n2 4 2\n1 2 1\n"
NETWORK = Path("/usr/share/source-extractor/default.nnw")


def paint_ccds(place: Path) -> None:
    """Eight CCDs of the simulated exposures as uncompressed 16-bit, with weight and flag maps."""
    frames = [Mosaic(SIM / f"exp{number}.fits.fz") for number in range(3)]
    pairs = [(frame, index) for frame in frames for index in range(len(frame.extensions))]
    pairs = (pairs * 2)[:CCDS]
    chance = np.random.default_rng(20070614)
    images, weights, flags = [], [], []
    for number, (frame, index) in enumerate(pairs):
        cards = frame.extensions[index].header
        pixels = frame.read(index)
        flat = chance.normal(1, 0.01, pixels.shape).astype(np.float32)
        flag = np.zeros(pixels.shape, np.int16)
        flag[:, 700 + 31 * number] = 2
        flag[1000:3000, 1200:1203] = 2
        flat[flag > 0] = 0
        name = f"ccd{number:02d}"
        held = {"header": cards, "name": name, "compression": Compression.NONE}
        images.append(hdu_bytes(np.clip(np.rint(pixels), 0, 65535).astype(np.uint16), **held))
        weights.append(hdu_bytes(flat, **held))
        flags.append(hdu_bytes(flag, **held))
    for name, parts in (("image", images), ("weight", weights), ("flag", flags)):
        assemble(place / f"{name}.fits", primary_bytes({"NEXTEND": CCDS}), parts)


def paint_field(path: Path, shape: tuple[int, int], stars: int, *, seed: int) -> None:
    """Write stars of a Moffat profile on noise, band by band, so that no memory bounds the size."""
    chance = np.random.default_rng(seed)
    x, y = chance.uniform(0, shape[1], stars), chance.uniform(0, shape[0], stars)
    flux = 300.0 * chance.uniform(0, 1, stars) ** (-1 / 0.9)
    flux = np.minimum(flux, 3e6)
    reach = 20
    order = np.argsort(y)
    x, y, flux = x[order], y[order], flux[order]
    cards = {"GAIN": 2.0, "SATURATE": 1e6, "CRPIX1": shape[1] / 2, "CRPIX2": shape[0] / 2, "CRVAL1": 215.0,
             "CRVAL2": 53.0, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": -5.16e-5, "CD2_2": 5.16e-5,
             "CD1_2": 0.0, "CD2_1": 0.0}  # fmt: skip
    head = [f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {-32:>20}", f"{'NAXIS':8}= {2:>20}"]
    head += [f"{f'NAXIS{axis}':8}= {length:>20}" for axis, length in ((1, shape[1]), (2, shape[0]))]
    for key, value in cards.items():
        text = f"'{value}'" if isinstance(value, str) else f"{value!r:>20}"
        head.append(f"{key:8}= {text}")
    block = "".join(card.ljust(80) for card in [*head, "END"])
    with path.open("wb") as stream:
        stream.write(block.ljust(-(-len(block) // 2880) * 2880).encode())
        written = 0
        for first in range(0, shape[0], BANDS):
            end = min(first + BANDS, shape[0])
            band = chance.normal(1000.0, 10.0, (end - first, shape[1])).astype(np.float32)
            low, high = np.searchsorted(y, (first - reach, end + reach))
            for k in range(low, high):
                _star(band, x[k], y[k] - first, flux[k], reach)
            content = band.astype(">f4").tobytes()
            stream.write(content)
            written += len(content)
        stream.write(bytes(-written % 2880))


def _star(band: NDArray[np.float32], x: float, y: float, flux: float, reach: int) -> None:
    """Add a Moffat profile of 4 pixels' FWHM and beta 3, cut where it is far below the noise."""
    reach = min(reach, 6 + int((flux / 300) ** 0.4 * 2))
    x0, x1 = max(int(x) - reach, 0), min(int(x) + reach + 1, band.shape[1])
    y0, y1 = max(int(y) - reach, 0), min(int(y) + reach + 1, band.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    scale = 2.0 / np.sqrt(2 ** (1 / 3.0) - 1)
    dx, dy = np.arange(x0, x1) - x, np.arange(y0, y1) - y
    radii = (dx[None, :] ** 2 + dy[:, None] ** 2) / scale**2
    band[y0:y1, x0:x1] += flux * 2.0 / (np.pi * scale**2) * (1 + radii) ** -3.0


def several(field: Path, path: Path) -> None:
    """Write one field as all CCDs of a camera."""
    mosaic = Mosaic(field)
    part = hdu_bytes(mosaic.read(0), mosaic.extensions[0].header, name="field", compression=Compression.NONE)
    assemble(path, primary_bytes({"NEXTEND": CCDS}), [part] * CCDS)


def settings(place: Path, columns: Sequence[str]) -> list[str]:
    (place / "bench.param").write_text("\n".join(columns) + "\n")
    (place / "bench.conv").write_text(FILTER)
    return [
        "-CATALOG_TYPE", "FITS_LDAC", "-PARAMETERS_NAME", "bench.param", "-FILTER_NAME", "bench.conv",
        "-STARNNW_NAME", str(NETWORK), "-DETECT_THRESH", "1.5", "-ANALYSIS_THRESH", "1.5", "-PIXEL_SCALE", "0",
        "-SEEING_FWHM", "0.8", "-PHOT_APERTURES", "27", "-VERBOSE_TYPE", "QUIET", "-WRITE_XML", "N",
        "-MEMORY_PIXSTACK", "3000000", "-MEMORY_OBJSTACK", "10000",
    ]  # fmt: skip


def row(place: Path, part: str, told: str, argv: Sequence[str], goal: str, *, runs: int) -> Row:
    """Time both on the same files, when every kernel is compiled, and compare what they found."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(place / "bytecode")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its modules compiled, as the peer is
    mine = [sys.executable, "-m", "processing.sextractor.command", *argv, "-CATALOG_NAME", "ours.cat"]
    ours = timed([*mine, "-NTHREADS", "2"], runs=runs + 1, env=env, cwd=place)  # the first run may compile
    peer = None
    if shutil.which("source-extractor"):
        peer = timed(["source-extractor", *argv, "-CATALOG_NAME", "peer.cat"], runs=runs, cwd=place)
    return Row(
        part=part,
        input=f"{told}; {ours.peak_mb:.0f} MB" + (f", peer {peer.peak_mb:.0f} MB" if peer else ""),
        ours=ours.wall,
        ours_cpu=ours.cpu,
        peer="source-extractor 2.25",
        peer_seconds=peer.wall if peer else None,
        peer_cpu=peer.cpu if peer else None,
        agreement=agreement(place) if peer else "the peer is not installed",
        goal=goal,
    )


def agreement(place: Path) -> str:
    """Match by position within half a pixel, CCD by CCD; compare what matters most."""
    counts = np.zeros(3, np.int64)
    aper, auto, places, flags = [], [], [], []
    for ours, theirs in zip(read_ldac(place / "ours.cat"), read_ldac(place / "peer.cat"), strict=True):
        mine, other = ours.sources, theirs.sources
        counts += (len(mine), len(other), 0)
        pairs = matched(mine, other)
        counts[2] += len(pairs)
        a, b = mine[pairs[:, 0]], other[pairs[:, 1]]
        places.append(np.hypot(a["XWIN_IMAGE"] - b["XWIN_IMAGE"], a["YWIN_IMAGE"] - b["YWIN_IMAGE"]))
        flags.append(a["FLAGS"] == b["FLAGS"])
        aper.append(np.abs(a["FLUX_APER"] / b["FLUX_APER"] - 1).ravel())
        auto.append(np.abs(a["MAG_AUTO"] - b["MAG_AUTO"]))
    if not counts[2]:
        return f"{counts[0]} and {counts[1]} sources"
    near = [np.mean(np.concatenate(each) < bound) * 100 for each, bound in ((places, 1e-3), (aper, 1e-4), (auto, 1e-3))]
    return (
        f"{counts[0]} and {counts[1]} sources, {counts[2]} the same; XWIN within 1e-3 {near[0]:.2f} %, "
        f"FLUX_APER within 1e-4 {near[1]:.2f} %, MAG_AUTO within 1e-3 {near[2]:.2f} %, "
        f"FLAGS equal {np.mean(np.concatenate(flags)) * 100:.2f} %"
    )


def measure() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="bench-sextractor-") as name:
        place = Path(name)
        if SIM.is_dir():
            paint_ccds(place)
            argv = ["image.fits", *settings(place, COLUMNS), "-WEIGHT_TYPE", "MAP_WEIGHT"]
            argv += ["-WEIGHT_IMAGE", "weight.fits", "-FLAG_IMAGE", "flag.fits"]
            told = f"{CCDS} CCDs of 2112x4644, {len(COLUMNS)} columns with VIGNET(45,45), weight and flag maps"
            rows.append(row(place, "source extraction", told, argv, "4x faster, 2x fewer CPU seconds", runs=3))
        for part, stars in (("source extraction, crowded field", 60_000), ("source extraction, empty field", 0)):
            paint_field(place / "field.fits", (4644, 2112), stars, seed=12)
            several(place / "field.fits", place / "fields.fits")
            argv = ["fields.fits", *settings(place, STACK_COLUMNS)]
            rows.append(row(place, part, f"{CCDS} CCDs of 2112x4644, {stars} stars in each", argv, "3x faster", runs=3))
        paint_field(place / "stack.fits", (STACK, STACK), STACK_STARS, seed=7)
        argv = ["stack.fits", *settings(place, STACK_COLUMNS)]
        told = f"{STACK}x{STACK}, {STACK_STARS} stars, {len(STACK_COLUMNS)} columns"
        rows.append(row(place, "source extraction, stack", told, argv, "4x faster, under 2 GB", runs=1))
    return rows


if __name__ == "__main__":
    command_line(measure)
