"""Noise and header of an image, from files of the user."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.astromatic import Values
from processing.errors import BadSetting, FileProblem, ShapeMismatch
from processing.reading import Mosaic, read_pixels
from processing.skymaker.lists import Sources

Images = NDArray[np.float32]
Floats = NDArray[np.float64]


def noise_map(values: Values, shape: tuple[int, int]) -> Images:
    """Rms of the read noise in electrons.

    Returns
    -------
    rms : (1, 1) float32 without a map; else (ny, nx), no number where a pixel is bad

    Raises
    ------
    ShapeMismatch
        If the map has another size than the image.
    """
    kind = values.text("WEIGHT_TYPE")
    if kind == "NONE":
        return np.full((1, 1), values.number("READOUT_NOISE"), np.float32)
    path = Path(values.text("WEIGHT_IMAGE"))
    try:
        mosaic = Mosaic(path)
        extension = next(each for each in mosaic.extensions)
    except (OSError, StopIteration) as problem:
        raise FileProblem(path, "cannot be read", remedy="give a weight map in WEIGHT_IMAGE") from problem
    found = np.asarray(read_pixels(path, extension), np.float32)
    if found.shape != shape:
        raise ShapeMismatch(path, f"{found.shape[::-1]} pixels", remedy=f"IMAGE_SIZE is {shape[::-1]}")
    bound = values.numbers("WEIGHT_THRESH")
    limit = bound[0] if bound else (0.0 if kind == "MAP_WEIGHT" else np.inf)
    factor = np.float32(values.number("WEIGHT_FACTOR"))
    bad = found <= limit if kind == "MAP_WEIGHT" else found >= limit
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "MAP_WEIGHT":
            found = (factor / np.sqrt(np.abs(found))).astype(np.float32)
        elif kind == "MAP_RMS":
            found *= factor
        else:
            found = (factor * np.sqrt(np.abs(found))).astype(np.float32)
    found[bad | ~np.isfinite(found)] = np.nan
    return np.ascontiguousarray(found)


def least_noise(values: Values, rms: Images | None) -> float:
    """Read noise in electrons of the pixels to which GAIN belongs: the best ones; 0 where all have that gain.

    With WEIGHT_GAIN, a pixel that has more noise than the best is one that fewer exposures have seen: its photons
    are fewer in proportion to 1 / rms**2, and their noise is larger.
    """
    if rms is None or rms.size == 1 or not values.switch("WEIGHT_GAIN"):
        return 0.0
    good = rms[np.isfinite(rms) & (rms > 0)]
    return float(good.min()) if good.size else 0.0


def header_of(values: Values) -> Any:
    """Header that the user gives: an astropy Header, or None.

    Raises
    ------
    FileProblem
        If the file cannot be read or holds no cards.
    """
    name = values.text("IMAGE_HEADER")
    if name.upper() == "INTERNAL":
        return None
    from astropy.io import fits  # noqa: PLC0415  only headers from files need it, and it is slow to import

    path = Path(name)
    try:
        start = path.read_bytes()[:2880]
        if start.startswith(b"SIMPLE") and b"\n" not in start:
            return fits.getheader(path)
        lines = path.read_text(encoding="latin-1").splitlines()
    except OSError as problem:
        raise FileProblem(path, f"cannot be read ({problem})", remedy="give header cards in IMAGE_HEADER") from problem
    cards = []
    for line in lines:
        if line.strip() == "END":
            break
        if line.strip():
            cards.append(line[:80].ljust(80))
    header = fits.Header.fromstring("".join(cards))
    if not header:
        raise FileProblem(path, "no header cards", remedy="give lines like 'CRVAL1  = 12.5'")
    return header


def to_pixels(sources: Sources, header: Any) -> Sources:
    """Sources with positions in pixels from 1 for such in degrees.

    Angles of the list run from east over north, as seen on the sky; they become angles in the image.
    """
    from astropy.wcs import WCS  # noqa: PLC0415  slow to import

    if "CTYPE1" not in header:
        raise BadSetting("LISTCOORD_TYPE = WORLD: the header of IMAGE_HEADER has no CTYPE1; give one with a WCS")
    header = header.copy()
    if any(f"PV1_{k}" in header for k in range(5, 40)):
        for axis in (1, 2):
            header[f"CTYPE{axis}"] = header[f"CTYPE{axis}"].replace("TAN", "TPV")
    wcs = WCS(header)
    here = np.stack([sources.x, sources.y], axis=1)
    pixels = wcs.wcs_world2pix(here, 1)
    step = 1.0 / 3600.0
    eastward = here + np.stack([step / np.cos(np.radians(sources.y)), np.zeros(len(sources))], axis=1)
    northward = here + np.array([0.0, step])
    east, north = (wcs.wcs_world2pix(there, 1) - pixels for there in (eastward, northward))

    def turn(angle: Floats) -> Floats:
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turned: Floats = np.degrees(np.arctan2(c * east[:, 1] + s * north[:, 1], c * east[:, 0] + s * north[:, 0]))
        return turned

    return sources.at(pixels[:, 0], pixels[:, 1]).turned(turn)
