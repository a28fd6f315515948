"""From a catalogue to the models of its images."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from processing.errors import BadSetting
from processing.ldac import Catalogue, read
from processing.psf_model import PsfModel
from processing.psfex.fitting import fit
from processing.psfex.residuals import Residuals, look
from processing.psfex.sample import Sample, select
from processing.psfex.settings import Settings

_STEPS = 0.5 / 2.35
"""Of PSF_SAMPLING 0: pixels of the model, over the FWHM."""


_NARROW = 3.0
"""Pixels. Stars below it are undersampled, and PIXEL_AUTO fits them with a basis of pixels."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of an image."""

    model: PsfModel
    stars: Sample
    """Those left."""
    sample: Sample
    """All that were loaded."""
    residuals: Residuals
    """Of all that were loaded."""


def model_of(path: Path, catalogue: Catalogue, settings: Settings) -> Made:
    """Choose the stars of an image and fit its PSF."""
    sample = select(path, catalogue, settings)
    if settings.super_resolved and sample.fwhm < _NARROW:
        raise BadSetting(
            f"{path}[{catalogue.hdu}]: stars have an FWHM of {sample.fwhm:.2f} pixels, for which PIXEL_AUTO takes a "
            "basis of pixels that is not made here; set BASIS_TYPE to NONE, or take the original"
        )
    step = settings.step or sample.fwhm * _STEPS
    model, stars = fit(sample, settings, float(np.float32(step)))
    seen = look(sample, model, settings.accuracy)
    told = replace(model, accepted=int(np.count_nonzero(seen.accepted)), chi2=seen.mean_chi2)
    return Made(told, stars, sample, seen)


def models_of(path: Path, settings: Settings) -> Sequence[Made]:
    """Make the models of all images of a catalogue, by threads; their number changes no bit."""
    catalogues = read(path)
    with ThreadPoolExecutor(max(settings.threads, 1)) as pool:
        return list(pool.map(lambda catalogue: model_of(path, catalogue, settings), catalogues))
