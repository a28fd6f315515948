"""The model of an image, from its catalogue or from stars in memory."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from processing.ldac import Catalogue
from processing.psf_model import PsfModel, without_stars
from processing.psfex.centring import centred
from processing.psfex.fitting import fit
from processing.psfex.residuals import Residuals, look, of_none
from processing.psfex.sample import (
    Floats,
    NoStars,
    Sample,
    nothing,
    select,
)
from processing.psfex.settings import Settings

STEPS = 0.5 / 2.35
"""Of PSF_SAMPLING 0: pixels of the model, over the FWHM."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of an image."""

    model: PsfModel
    sample: Sample
    """All that were loaded."""
    residuals: Residuals
    """Of all that were loaded."""
    basis: Floats | None = None
    """(k, ny, nx): vectors with which the model was refined; none where it was not."""
    verdict: str = ""
    """Why there is no model, where there is none."""


def told(model: PsfModel, sample: Sample, settings: Settings, basis: Floats) -> Made:
    """Look at each star of an image with its model."""
    if settings.recentred:
        sample = centred(sample, model.images.astype(np.float64), model.step, settings.accuracy)
    seen = look(sample, model, settings.accuracy)
    accepted, loaded = int(np.count_nonzero(seen.accepted)), len(sample.rows)
    return Made(replace(model, loaded=loaded, accepted=accepted, chi2=seen.mean_chi2), sample, seen, basis)


def fitted(sample: Sample, settings: Settings, vectors: Floats | None = None) -> tuple[PsfModel, Floats]:
    """Return the model of stars and the vectors that it was refined with; see `fitting.fit`."""
    return fit(sample, settings, float(np.float32(settings.step or sample.fwhm * STEPS)), vectors)


def made_of(sample: Sample, settings: Settings, vectors: Floats | None = None) -> Made:
    """Fit the PSF of an image to its stars, and look at each of them with it."""
    model, basis = fitted(sample, settings, vectors)
    return told(model, sample, settings, basis)


def fit_psf(sample: Sample, settings: Settings) -> PsfModel:
    """Return the PSF of an image from stars in memory; `sample.select` chooses them from a catalogue in memory."""
    return made_of(sample, settings).model


def model_of(path: Path, catalogue: Catalogue, settings: Settings) -> Made:
    """Choose the stars of an image and fit its PSF; where it has none, the model is empty and a verdict says why.

    `path` is only named in errors.
    """
    try:
        sample = select(path, catalogue, settings)
    except NoStars as found:
        return without(path, catalogue, settings, found)
    return made_of(sample, settings)


def without(path: Path, catalogue: Catalogue, settings: Settings, found: NoStars) -> Made:
    """Return what there is of an image without stars."""
    sample = nothing(path, catalogue, settings)
    blank = without_stars((settings.size[1], settings.size[0]), sample.variation)
    return Made(blank, sample, of_none(sample.vignettes.shape[1:]), verdict=found.found)
