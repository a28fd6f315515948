"""Sources that are images from files (code 300)."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.astromatic import Values
from processing.errors import BadSetting, FileProblem
from processing.kernels.render import add_stamps, turn_image
from processing.reading import Mosaic, read_pixels
from processing.skymaker.lists import RASTER, Sources
from processing.skymaker.psf import Psf
from processing.skymaker.psf_files import Centre, centre_of
from processing.skymaker.render import Painter
from processing.skymaker.scene import Scene

Images = NDArray[np.float32]
Floats = NDArray[np.float64]


def paint_rasters(light: Images, sources: Sources, moved: Scene, psf: Psf, values: Values) -> None:
    """Add the raster images of a list: turned, scaled to their width, seen through the PSF, with the list's light.

    Parameters
    ----------
    light : (ny, nx) float32 electrons, changed in place
    sources : Sources
        Of which those of code 300 are taken.
    moved : Scene
        The same sources with their positions in `light`.

    Raises
    ------
    FileProblem
        If a file is not there or holds no light.
    """
    chosen = np.flatnonzero(sources.code == RASTER)
    if not chosen.size:
        return
    painter = Painter(psf, (light.shape[0], light.shape[1]), faint=1e-30, threads=1)
    steps = values.whole("MICROSCAN_NSTEP")
    electrons = values.number("EXPOSURE_TIME") * values.number("GAIN") / steps**2
    for k in chosen:
        number, width, ratio, angle = sources.rest[k, :4]
        image = _read(values.text("RASTER_PATTERN"), int(number))
        flux = 10.0 ** (0.4 * (values.number("MAG_ZEROPOINT") - sources.mag[k])) * electrons
        scale = width / values.number("PIXEL_SIZE") / image.shape[1]
        centre = centre_of(image, Centre(values.text("RASTERCENTER_TYPE")))
        _paint(light, image, centre, (moved.x[k], moved.y[k]), scale, ratio, math.radians(angle), flux, painter)


def _read(pattern: str, number: int) -> Floats:
    try:
        path = Path(pattern % number)
    except (TypeError, ValueError):
        raise BadSetting(f"RASTER_PATTERN = {pattern}: a name with one %d was expected") from None
    try:
        image = np.asarray(read_pixels(path, Mosaic(path).extensions[0]), np.float64)
    except (OSError, IndexError) as problem:
        raise FileProblem(path, "cannot be read", remedy="put the image there or change RASTER_PATTERN") from problem
    if image.ndim != 2 or not np.isfinite(image).all() or image.sum() == 0.0:
        raise FileProblem(path, "no image with light", remedy="two axes and finite numbers were expected")
    return image


def _paint(
    light: Images,
    image: Floats,
    centre: tuple[float, float],
    place: tuple[float, float],
    scale: float,
    ratio: float,
    angle: float,
    flux: float,
    painter: Painter,
) -> None:
    """Turn and scale one image, convolve it with the PSF, and add it."""
    reach = scale * math.hypot(*image.shape) * max(1.0, ratio) / 2.0
    side = painter.side_for(reach)
    left, bottom = math.floor(place[0] + 0.5) - side // 2, math.floor(place[1] + 0.5) - side // 2
    stamp = np.zeros((side, side))
    finer = max(math.ceil(2.0 / scale), 1) if scale < 1.0 else 2
    turn_image(image, centre[1], centre[0], place[0] - left, place[1] - bottom, scale, ratio, angle, finer, stamp)
    total = stamp.sum()
    if total == 0.0:
        return
    mixture = painter.mixture(np.array([place[0]]), np.array([place[1]]))[0]
    transfer = np.tensordot(mixture, painter.transfer(side, side), axes=1)
    seen = np.fft.irfft2(np.fft.rfft2(stamp * (flux / total)) * transfer, (side, side)).astype(np.float32)
    add_stamps(light, seen[np.newaxis], np.array([left]), np.array([bottom]), 0, light.shape[0])
