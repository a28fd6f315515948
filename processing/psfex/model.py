"""From a catalogue to the models of its images."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from processing.ldac import Catalogue, read
from processing.psf_model import PsfModel, without_stars
from processing.psfex.fitting import fit
from processing.psfex.residuals import Residuals, look, of_none
from processing.psfex.sample import Floats, NoStars, Sample, nothing, select
from processing.psfex.settings import Settings

_STEPS = 0.5 / 2.35
"""Of PSF_SAMPLING 0: pixels of the model, over the FWHM."""


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
    basis: Floats | None = None
    """(k, ny, nx): vectors with which the model was refined; none where it was not."""
    verdict: str = ""
    """Why there is no model, where there is none."""


def made_of(sample: Sample, settings: Settings) -> Made:
    """Fit the PSF of an image to its stars, and look at each of them with it."""
    model, stars, basis = fit(sample, settings, float(np.float32(settings.step or sample.fwhm * _STEPS)))
    seen = look(sample, model, settings.accuracy)
    told = replace(model, accepted=int(np.count_nonzero(seen.accepted)), chi2=seen.mean_chi2)
    return Made(told, stars, sample, seen, basis)


def fit_psf(sample: Sample, settings: Settings) -> PsfModel:
    """Return the PSF of an image from stars in memory; `sample.select` chooses them from a catalogue in memory."""
    return made_of(sample, settings).model


def model_of(path: Path, catalogue: Catalogue, settings: Settings) -> Made:
    """Choose the stars of an image and fit its PSF; where it has none, the model is empty and a verdict says why.

    `path` is only named in errors.
    """
    try:
        sample = select(path, catalogue, settings)
    except NoStars as told:
        sample = nothing(path, catalogue, settings)
        blank = without_stars((settings.size[1], settings.size[0]), sample.variation)
        return Made(blank, sample, sample, of_none(sample.vignettes.shape[1:]), verdict=told.found)
    return made_of(sample, settings)


def models_of(path: Path, settings: Settings) -> Sequence[Made]:
    """Make the models of all images of a catalogue, by threads; their number changes no bit."""
    catalogues = read(path)
    with ThreadPoolExecutor(max(settings.threads, 1)) as pool:
        return list(pool.map(lambda catalogue: model_of(path, catalogue, settings), catalogues))
