"""From a catalogue to the models of its images."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from processing.ldac import Catalogue
from processing.psf_model import PsfModel, without_stars
from processing.psfex.centring import centred
from processing.psfex.components import components
from processing.psfex.fitting import fit
from processing.psfex.residuals import Residuals, look, of_none
from processing.psfex.sample import (
    Floats,
    NoStars,
    Sample,
    context_values,
    joined,
    mode_of,
    nothing,
    select,
    variation_of,
    widths_of,
)
from processing.psfex.settings import Settings

_STEPS = 0.5 / 2.35
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


def _told(model: PsfModel, sample: Sample, settings: Settings, basis: Floats) -> Made:
    """Look at each star of an image with its model."""
    if settings.recentred:
        sample = centred(sample, model.images.astype(np.float64), model.step, settings.accuracy)
    seen = look(sample, model, settings.accuracy)
    accepted, loaded = int(np.count_nonzero(seen.accepted)), len(sample.rows)
    return Made(replace(model, loaded=loaded, accepted=accepted, chi2=seen.mean_chi2), sample, seen, basis)


def _fitted(sample: Sample, settings: Settings) -> tuple[PsfModel, Floats]:
    return fit(sample, settings, float(np.float32(settings.step or sample.fwhm * _STEPS)))


def made_of(sample: Sample, settings: Settings) -> Made:
    """Fit the PSF of an image to its stars, and look at each of them with it."""
    model, basis = _fitted(sample, settings)
    return _told(model, sample, settings, basis)


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
        return _without(path, catalogue, settings, told)
    return made_of(sample, settings)


def _without(path: Path, catalogue: Catalogue, settings: Settings, told: NoStars) -> Made:
    sample = nothing(path, catalogue, settings)
    blank = without_stars((settings.size[1], settings.size[0]), sample.variation)
    return Made(blank, sample, of_none(sample.vignettes.shape[1:]), verdict=told.found)


def common_of(path: Path, catalogues: Sequence[Catalogue], settings: Settings) -> Sequence[Made]:
    """Fit one PSF to the stars of all images, whose mode of FWHMs and ranges of contexts are those of all sources.

    What is told of an image, its stars, chi2 and residuals, is its own. Where it has no star, it still has the model.
    """
    widths = np.concatenate([widths_of(path, catalogue, settings) for catalogue in catalogues])
    mode = mode_of(widths, settings.selection.variability) if len(widths) else None
    variation = variation_of(
        np.concatenate([context_values(path, catalogue, settings) for catalogue in catalogues]), settings
    )
    found: list[Sample | NoStars] = []
    for catalogue in catalogues:
        try:
            found.append(select(path, catalogue, settings, mode, variation))
        except NoStars as told:
            found.append(told)
    samples = [each for each in found if isinstance(each, Sample)]
    if not samples:
        return [model_of(path, catalogue, settings) for catalogue in catalogues]
    model, basis = _fitted(joined(path, samples), settings)
    made = []
    for catalogue, each in zip(catalogues, found, strict=True):
        if isinstance(each, Sample):
            made.append(_told(model, each, settings, basis))
        else:
            blank = _without(path, catalogue, settings, each)
            made.append(replace(blank, model=replace(model, loaded=0, accepted=0), verdict=""))
    return made


def of_components(path: Path, catalogues: Sequence[Catalogue], settings: Settings) -> Sequence[Made]:
    """Fit models to all images, then models made of the principal components of these, with one sampling for all."""
    widths = np.concatenate([widths_of(path, catalogue, settings) for catalogue in catalogues])
    step = settings.step or (mode_of(widths, settings.selection.variability) * _STEPS if len(widths) else 0.0)
    chosen = replace(settings, step=step)
    with ThreadPoolExecutor(max(settings.threads, 1)) as pool:
        first = list(pool.map(lambda catalogue: model_of(path, catalogue, chosen), catalogues))
        models = [each.model for each in first if not each.model.empty]
        if not models:
            return first
        vectors = components(models, settings.components)
        return list(pool.map(lambda each: each if each.model.empty else _made_of(each, chosen, vectors), first))


def _made_of(each: Made, settings: Settings, vectors: Floats) -> Made:
    model, basis = fit(each.sample, settings, each.model.step, vectors)
    return _told(model, each.sample, settings, basis)


def models_of(path: Path, catalogues: Sequence[Catalogue], settings: Settings) -> Sequence[Made]:
    """Make the models of all images of a catalogue, by threads; their number changes no bit.

    `path` is only named in errors.
    """
    if settings.common:
        return common_of(path, catalogues, settings)
    if settings.components:
        return of_components(path, catalogues, settings)
    with ThreadPoolExecutor(max(settings.threads, 1)) as pool:
        return list(pool.map(lambda catalogue: model_of(path, catalogue, settings), catalogues))
