"""Models of all images of all catalogues, some of which may share a model, a basis, or what makes exposures differ."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from processing.errors import BadCatalogue
from processing.ldac import Catalogue
from processing.psfex.components import components
from processing.psfex.hidden import at_hidden, dependencies, with_hidden
from processing.psfex.model import STEPS, Made, fitted, made_of, model_of, told, without
from processing.psfex.sample import (
    Floats,
    NoStars,
    Sample,
    context_values,
    joined,
    mode_of,
    select,
    variation_of,
    widths_of,
)
from processing.psfex.settings import Settings

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Exposure:
    """A catalogue."""

    path: Path
    """Named in errors."""
    catalogues: Sequence[Catalogue]
    """Of its images."""


@dataclass(frozen=True, slots=True)
class _Part:
    """An image, and what is known of it before its stars are chosen."""

    path: Path
    catalogue: Catalogue
    mode: float | None = None
    """FWHM of stars, where it is not looked for in this image by itself."""
    hidden: Floats | None = None
    """Values of hidden contexts."""


def shared(settings: Settings) -> bool:
    """Tell whether catalogues have a part in each other's models."""
    return bool(settings.components or settings.sequence or settings.hidden)


def models_of_all(exposures: Sequence[Exposure], settings: Settings) -> Sequence[Sequence[Made]]:
    """Make the models of all images of all catalogues, by threads; their number changes no bit.

    Raises
    ------
    BadCatalogue
        Where catalogues that share something have different numbers of images; see also `sample.select`.
    """
    if settings.hidden and (settings.common or len(exposures) < 2):
        settings = replace(settings, hidden=None)
    if shared(settings):
        return _shared(exposures, settings)
    if settings.common:
        return _by_threads(lambda exposure: _common([exposure], settings)[0], exposures, settings)
    return _alone(exposures, [settings] * max(len(exposure.catalogues) for exposure in exposures))


def _by_threads(do: Callable[[_Job], _Result], jobs: Iterable[_Job], settings: Settings) -> list[_Result]:
    with ThreadPoolExecutor(max(settings.threads, 1)) as pool:
        return list(pool.map(do, jobs))


def _alone(exposures: Sequence[Exposure], settings: Sequence[Settings]) -> Sequence[Sequence[Made]]:
    """Make a model of each image by itself; `settings` are those of each extension."""
    jobs = [
        (exposure.path, *pair) for exposure in exposures for pair in zip(exposure.catalogues, settings, strict=False)
    ]
    made = iter(_by_threads(lambda job: model_of(*job), jobs, settings[0]))
    return [[next(made) for _ in exposure.catalogues] for exposure in exposures]


def _shared(exposures: Sequence[Exposure], settings: Settings) -> Sequence[Sequence[Made]]:
    for exposure in exposures:
        if len(exposure.catalogues) != len(exposures[0].catalogues):
            found = f"{len(exposure.catalogues)} images, where {exposures[0].path} has {len(exposures[0].catalogues)}"
            raise BadCatalogue(exposure.path, found, remedy="give catalogues with equal numbers of images")
    chosen = _sampled(exposures, settings)
    made: Sequence[Sequence[Made]] = []
    vectors: list[Floats | None] = [None] * len(chosen)
    if settings.components or settings.hidden or not settings.sequence:
        made = _alone(exposures, chosen)
    if settings.components:
        vectors = _vectors(made, settings)
        if settings.hidden or not (settings.sequence or settings.common):
            made = _again(made, chosen, vectors)
    if not settings.sequence:
        if not settings.common:
            return made
        return _by_threads(lambda each: _common([each], chosen[0], vectors[0])[0], exposures, settings)
    if settings.common:
        return _common(exposures, chosen[0], vectors[0])
    hidden = [_dependencies(exposures, made, settings, number) for number in range(len(chosen))]
    columns = _by_threads(
        lambda number: _together(_parts(exposures, settings, number, hidden[number]), chosen[number], vectors[number]),
        range(len(chosen)),
        settings,
    )
    return list(zip(*columns, strict=True))


def _sampled(exposures: Sequence[Exposure], settings: Settings) -> list[Settings]:
    """Return settings of each extension, with the sampling that all exposures have there, or that all images have."""
    count = len(exposures[0].catalogues)
    together = settings.common or (settings.components > 0 and not settings.components_apart)
    found = []
    for number in [None] if together else range(count):
        modes = [mode for mode in _modes(exposures, settings, number) if mode is not None]
        step = settings.step or min(modes, default=0.0) * STEPS
        found.append(replace(settings, step=step))
    return found * (count if together else 1)


def _modes(exposures: Sequence[Exposure], settings: Settings, number: int | None) -> list[float | None]:
    """Return the FWHM of stars of each exposure, in the extension `number` or in all; None where there is no star."""
    choice = settings.selection
    held = []
    for exposure in exposures:
        images = exposure.catalogues if number is None else exposure.catalogues[number : number + 1]
        held.append(np.concatenate([widths_of(exposure.path, image, settings) for image in images]))
    if not settings.by_seeing:
        held = [np.concatenate(held)] * len(exposures)
    if not choice.automatic:
        return [sum(choice.fwhm) / 2.0 if len(widths) else None for widths in held]
    return [mode_of(widths, choice.variability) if len(widths) else None for widths in held]


def _vectors(made: Sequence[Sequence[Made]], settings: Settings) -> list[Floats | None]:
    """Return principal components of the models, for each extension."""
    columns = list(zip(*made, strict=True))
    groups = columns if settings.components_apart else [[each for column in columns for each in column]]
    found: list[Floats | None] = []
    for group in groups:
        models = [each.model for each in group if not each.model.empty]
        found.append(components(models, settings.components) if models else None)
    return found * (1 if settings.components_apart else len(columns))


def _again(
    made: Sequence[Sequence[Made]], settings: Sequence[Settings], vectors: Sequence[Floats | None]
) -> Sequence[Sequence[Made]]:
    """Make the models of the same stars anew of `vectors`."""
    jobs = [job for row in made for job in zip(row, settings, vectors, strict=True)]
    found = iter(
        _by_threads(lambda job: job[0] if job[0].model.empty else made_of(job[0].sample, *job[1:]), jobs, settings[0])
    )
    return [[next(found) for _ in row] for row in made]


def _dependencies(
    exposures: Sequence[Exposure], made: Sequence[Sequence[Made]], settings: Settings, number: int
) -> Floats | None:
    """Return values of hidden contexts, (exposures, hidden), in the extension `number`."""
    if settings.hidden is None:
        return None
    seen = [row[number : number + 1] if settings.hidden.apart else row for row in made]
    for exposure, row in zip(exposures, seen, strict=True):
        for each in row:
            if each.verdict:
                remedy = "leave the catalogue out, or name no HIDDEN context in PSFVAR_KEYS"
                raise NoStars(exposure.path, each.verdict, remedy=remedy)
    return dependencies([[each.model for each in row] for row in seen], settings.hidden.number)


def _parts(exposures: Sequence[Exposure], settings: Settings, number: int, hidden: Floats | None) -> list[_Part]:
    """Return an extension of all exposures."""
    modes = _modes(exposures, settings, number)
    values = [None] * len(exposures) if hidden is None else list(hidden)
    return [
        _Part(exposure.path, exposure.catalogues[number], mode, value)
        for exposure, mode, value in zip(exposures, modes, values, strict=True)
    ]


def _common(
    exposures: Sequence[Exposure], settings: Settings, vectors: Floats | None = None
) -> Sequence[Sequence[Made]]:
    """Fit one PSF to the stars of all images of all exposures."""
    modes = _modes(exposures, settings, None)
    parts = [
        _Part(exposure.path, catalogue, mode)
        for exposure, mode in zip(exposures, modes, strict=True)
        for catalogue in exposure.catalogues
    ]
    made = iter(_together(parts, settings, vectors))
    return [[next(made) for _ in exposure.catalogues] for exposure in exposures]


def _together(parts: Sequence[_Part], settings: Settings, vectors: Floats | None = None) -> Sequence[Made]:
    """Fit one PSF to the stars of several images, whose ranges of contexts are those of all sources.

    What is told of an image, its stars, chi2 and residuals, is its own. Where it has no star, it still has the model.
    """
    variation = variation_of(
        np.concatenate([context_values(part.path, part.catalogue, settings) for part in parts]), settings
    )
    found: list[Sample | NoStars] = []
    for part in parts:
        try:
            found.append(select(part.path, part.catalogue, settings, part.mode, variation))
        except NoStars as nothing:
            found.append(nothing)
    samples = [each for each in found if isinstance(each, Sample)]
    if not samples:
        return [model_of(part.path, part.catalogue, settings) for part in parts]
    whole = replace(joined(parts[0].path, samples), fwhm=min(each.fwhm for each in samples))
    if settings.hidden:
        values = [part.hidden for part, each in zip(parts, found, strict=True) if isinstance(each, Sample)]
        rows = np.repeat(np.array(values), [len(each.rows) for each in samples], axis=0)
        whole = with_hidden(whole, settings.hidden, rows)
    model, basis = fitted(whole, settings, vectors)
    made = []
    for part, each in zip(parts, found, strict=True):
        own = model if part.hidden is None else at_hidden(model, variation, part.hidden)
        if isinstance(each, Sample):
            made.append(told(own, each, settings, basis))
        else:
            blank = without(part.path, part.catalogue, settings, each)
            made.append(replace(blank, model=replace(own, loaded=0, accepted=0), verdict=""))
    return made
