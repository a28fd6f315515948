"""Cosmic rays against the truth of painted CCDs, beside astroscrappy, and on real pixels."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.cosmics import mark_cosmics
from processing.defects.image import Amplifier, CcdImage
from processing.defects.settings import CosmicSettings
from processing.flags import PixelFlag
from processing.kernels import tracks
from processing.skymaker.effects import CosmicRays
from processing.skymaker.rays import rays_of
from tests.support.rays import SCALE, Painted, grown, judged, paint

pytestmark = [pytest.mark.reference, pytest.mark.timeout(200)]

SETTINGS = CosmicSettings()
BAD, COSMIC_RAY = 1, 5
"""Codes of the DQ planes of the DECam Community Pipeline since 2015: 1 bad, 3 saturated, 4 bleed, 5 cosmic ray."""


def found_in(image: CcdImage, flags: NDArray[np.int16]) -> NDArray[np.bool_]:
    flags = flags.copy()
    mark_cosmics(image, flags, SETTINGS)
    return flags & PixelFlag.COSMIC > 0


def scrappy(painted: Painted, **settings: Any) -> NDArray[np.bool_]:
    astroscrappy = pytest.importorskip("astroscrappy")
    first = painted.image.amplifiers[0]
    mask, _ = astroscrappy.detect_cosmics(
        painted.image.pixels, inmask=painted.flags > 0, gain=first.gain, readnoise=first.read_noise,
        satlevel=0.98 * painted.image.saturation, **settings,
    )  # fmt: skip
    return mask


@pytest.mark.parametrize("seeing", [0.5, 0.8])
def test_more_is_found_and_less_is_lost_than_with_astroscrappy(seeing: float) -> None:
    painted = paint(seeing, 31, rate=12.0, rows=700)

    ours = judged(painted, found_in(painted.image, painted.flags))

    # cores beside rays are lost in proportion to the rays, of which there are eight times too many here
    assert ours.lost < 0.0008
    # some 100 hits: a single long and faint worm is 5 %; whole CCDs stand in benchmarks/RESULTS.md
    assert ours.complete > 0.90
    assert ours.pure > 0.93
    width = seeing / SCALE
    fine = {"fsmode": "convolve", "psffwhm": width, "psfsize": 2 * round(width) + 3}
    for settings in ({"sigclip": 4.0, "sigfrac": 0.3, "objlim": 3.0}, {"sigclip": 4.0, "objlim": 4.0, **fine}):
        theirs = judged(painted, scrappy(painted, **settings))
        assert ours.complete > theirs.complete + 0.05, settings
        # two pixels of so few are chance
        assert ours.lost <= theirs.lost + 2.0 / painted.cores.sum(), settings


def test_what_stands_five_times_above_the_noise_is_found_in_deep_and_short_exposures() -> None:
    for seeing, exptime, rate in ((0.7, 468.0, 3.0), (0.7, 30.0, 25.0)):
        painted = paint(seeing, 32, exptime=exptime, rate=rate, rows=1024)
        found = found_in(painted.image, painted.flags)
        bright = painted.truth & (painted.charge > 7 * painted.noise)
        # rays that end in saturated stars or their light are out of reach
        assert found[bright].mean() > 0.92
        # one star of the 8000 pixels of cores in so small a piece, and cores beside too many rays
        assert judged(painted, found).lost < 0.002


def with_rays(pixels: NDArray[np.float32], gain: float, seed: int, seconds: float) -> NDArray[np.float32]:
    """Electrons of rays that hit while the shutter was open."""
    hits = rays_of(
        CosmicRays(), shape=pixels.shape, seconds=seconds, zenith=30.0, random=np.random.default_rng(seed)
    )  # fmt: skip
    charge = np.zeros(pixels.shape, np.float32)
    tracks.add_paths(
        charge, np.zeros(pixels.shape, np.uint8), 32, math.inf, hits.ends, hits.path_x, hits.path_y,
        hits.path_charge, np.zeros(hits.ends.size, np.int64),
    )  # fmt: skip
    return charge


def test_rays_in_frames_of_the_reference_skymaker_are_found(shared_data: Path) -> None:
    with fits.open(shared_data / "sim" / "exp0.fits.fz") as opened:
        pixels = opened[1].data[:1500, 32:2080].astype(np.float32)
    gain, reading = 1.585, 5.0
    charge = with_rays(pixels, gain, 5, 4 * 468.0)
    image = CcdImage(
        np.rint(pixels + charge / gain).astype(np.float32), Area(0, 2048, 0, 1500),
        (Amplifier(0, 2048, gain, reading),), 65000.0, SCALE, "exp0 with rays",
    )  # fmt: skip
    flags = np.where(image.pixels >= 64000, int(PixelFlag.SATURATED), 0).astype(np.int16)
    bare = CcdImage(pixels, image.inside, image.amplifiers, image.saturation, SCALE, "exp0")
    noise = math.sqrt(1836.0 * gain + reading**2)

    found, before = found_in(image, flags), found_in(bare, flags)

    assert found[charge > 7 * noise].mean() > 0.95
    assert before.mean() < 2e-5, "the frame itself has no rays"
    assert grown(charge > 0)[found].mean() > 0.9


def test_the_rays_of_a_real_megacam_frame_are_found(shared_data: Path) -> None:
    with fits.open(shared_data / "mop" / "cutout-1616687p.fits") as opened:
        pixels = opened[0].data.astype(np.float32)
    image = CcdImage(pixels, Area(0, 251, 0, 251), (Amplifier(0, 251, 1.645, 4.0),), 65535.0, SCALE, "1616687p")

    found = found_in(image, np.zeros(pixels.shape, np.int16))

    sky = np.median(pixels)
    noise = 1.4826 * np.median(np.abs(pixels - sky))
    # the two hits that the eye sees, and the bright star between them
    assert found[120, 160]
    assert found[123, 206]
    assert found.sum() < 40
    assert pixels[95, 191] > sky + 2000 * noise
    assert not found[90:101, 186:197].any()


def test_on_decam_cut_outs_little_is_marked_that_the_pipeline_took_for_good(shared_data: Path) -> None:
    planes = sorted((shared_data / "legacypipe").glob("*/images/decam/CP/*/*/*_ood_*.fits"))
    assert len(planes) > 10
    good = marked = rays = agreed = 0
    for plane in planes:
        with fits.open(plane) as dq, fits.open(str(plane).replace("_ood_", "_ooi_")) as opened:
            header = opened[-1].header
            codes, pixels = dq[-1].data, opened[-1].data.astype(np.float32)
            first = Amplifier(0, pixels.shape[1], header["GAINA"], header["RDNOISEA"])
        image = CcdImage(
            pixels, Area(0, pixels.shape[1], 0, pixels.shape[0]), (first,), header["SATURATE"], 0.263, plane.name
        )
        flags = np.where((codes > 0) & (codes != COSMIC_RAY), int(PixelFlag.BAD), 0).astype(np.int16)
        found = found_in(image, flags)
        good += int((codes == 0).sum())
        marked += int(found[codes == 0].sum())
        rays += int((codes == COSMIC_RAY).sum())
        agreed += int(found[codes == COSMIC_RAY].sum())
    # these planes hold the codes 0, 1, 3 and 4: no ray, so that there is no completeness to tell
    assert rays == agreed == 0
    # 250 microns of silicon and 100 s: some 1e-3 of all pixels are hit
    assert marked < 3e-3 * good, (marked, good)
