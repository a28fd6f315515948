"""Choosing stars of a catalogue: a window about the mode of FWHMs, and cuts that are counted one by one."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.cards import CardValues
from processing.errors import BadCatalogue, BadSetting
from processing.ldac import Catalogue, Rows
from processing.psf_model import Variation
from processing.psfex.centroids import recentred
from processing.psfex.settings import Selection, Settings

Floats = NDArray[np.float64]
_BAD = -1e29
"""Pixels of a vignette below it have no value."""
_MARGIN = 1.1
"""Sources a term of the polynomial, at least."""
_SIGMA = 2.35
"""FWHM of a Gaussian over its standard deviation, as the original has it."""


class NoStars(BadCatalogue):
    """No source passes the cuts; says how many each of them took."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Stars of one image."""

    rows: NDArray[np.int64]
    """Of the catalogue, from 0."""
    vignettes: Floats = field(repr=False)
    """(n, ny, nx), 0 where bad."""
    good: NDArray[np.bool_] = field(repr=False)
    """(n, ny, nx), False where a pixel has no value."""
    offsets: Floats
    """(n, 2): x and y from the centre of the middle pixel, pixels."""
    fluxes: Floats
    contexts: Floats
    """(n, contexts)."""
    fwhm: float
    """Mode of twice the half-light radii, pixels."""
    noise: float
    """Standard deviation of the background."""
    gain: float
    """Electrons a unit; 0: infinite."""
    variation: Variation
    cuts: Mapping[str, int]
    """Sources that each cut by itself takes."""
    images: tuple[Floats, Floats] | None = None
    """Noise of the background and electrons a unit of each star, where they are of several images."""

    @property
    def background(self) -> Floats:
        """Standard deviation of the background, of each star."""
        return np.full(len(self.rows), self.noise) if self.images is None else self.images[0]

    def variance(self, accuracy: float) -> Floats:
        """Return the variance of pixels, (n, ny, nx): of background, photons and `accuracy` times the value."""
        variance: Floats = self.background[:, np.newaxis, np.newaxis] ** 2 + (accuracy * self.vignettes) ** 2
        gains = np.full(len(self.rows), self.gain) if self.images is None else self.images[1]
        photons = np.divide(1.0, gains, out=np.zeros(len(gains)), where=gains > 0.0)
        variance += np.maximum(self.vignettes, 0.0) * photons[:, np.newaxis, np.newaxis]
        return variance

    def weights(self, accuracy: float) -> Floats:
        """Return the inverse of `variance`, (n, ny, nx), 0 where a pixel has no value."""
        weights: Floats = self.good / self.variance(accuracy)
        return weights

    def within(self, reach: float) -> NDArray[np.bool_]:
        """Tell which pixels, (n, ny, nx), are nearer to their star than `reach` pixels."""
        height, width = self.vignettes.shape[1:]
        along = np.arange(height) - height // 2 - self.offsets[:, 1, np.newaxis]
        across = np.arange(width) - width // 2 - self.offsets[:, 0, np.newaxis]
        near: NDArray[np.bool_] = (along**2)[:, :, np.newaxis] + (across**2)[:, np.newaxis, :] < reach**2
        return near

    def of(self, kept: NDArray[np.bool_]) -> "Sample":
        """Return the stars that are kept."""
        return replace(
            self,
            rows=self.rows[kept],
            vignettes=self.vignettes[kept],
            good=self.good[kept],
            offsets=self.offsets[kept],
            fluxes=self.fluxes[kept],
            contexts=self.contexts[kept],
            images=None if self.images is None else (self.images[0][kept], self.images[1][kept]),
        )


def joined(path: Path, samples: Sequence[Sample]) -> Sample:
    """Return stars of several images as those of one; their rows are numbered through.

    Raises
    ------
    BadCatalogue
        Where vignettes have different sizes.
    """
    if len({sample.vignettes.shape[1:] for sample in samples}) > 1:
        raise BadCatalogue(path, "vignettes of several sizes", remedy="set MEF_TYPE to INDEPENDENT")
    noises, gains = (
        np.concatenate([np.full(len(sample.rows), value) for sample, value in zip(samples, values, strict=True)])
        for values in ([each.noise for each in samples], [each.gain for each in samples])
    )
    return replace(
        samples[0],
        rows=np.arange(len(noises)),
        vignettes=np.concatenate([each.vignettes for each in samples]),
        good=np.concatenate([each.good for each in samples]),
        offsets=np.concatenate([each.offsets for each in samples]),
        fluxes=np.concatenate([each.fluxes for each in samples]),
        contexts=np.concatenate([each.contexts for each in samples]),
        images=(noises, gains),
    )


def column(path: Path, catalogue: Catalogue, name: str) -> Floats:
    """Return a column, or one element of a vector as ``FLUX_APER(2)``; BadCatalogue where there is none."""
    bare, _, index = name.partition("(")
    if bare not in (catalogue.sources.dtype.names or ()):
        remedy = f"add {bare} to the columns that sextractor writes"
        raise BadCatalogue(path, f"no column {bare}", hdu=catalogue.hdu, remedy=remedy)
    values = np.asarray(catalogue.sources[bare], np.float64)
    if values.ndim == 1:
        return values
    place = int(re.sub(r"\D", "", index) or 1) - 1
    if place >= values.shape[1]:
        found = f"{bare} has {values.shape[1]} elements, not {place + 1}"
        raise BadCatalogue(path, found, hdu=catalogue.hdu, remedy="give another element")
    element: Floats = values[:, place]
    return element


def extent_of(path: Path, catalogue: Catalogue, settings: Settings) -> tuple[int, int]:
    """Return the size, (ny, nx), of an image whose header tells none: so large that it holds its sources."""
    x, y = (column(path, catalogue, name) for name in settings.centre)
    width, height = (int(np.max(side, initial=0.0, where=np.isfinite(side))) + 1 for side in (x, y))
    return height, width


def mode_of(widths: Floats, variability: float) -> float:
    """Return the middle of the narrowest window over a quarter of the sorted widths, or of fewer if that is too wide.

    The window shrinks while it is wider than half the allowed variability.
    """
    ordered = np.sort(widths)
    if len(ordered) < 2:
        return float(ordered[0])
    many = max(len(ordered) // 4, 1)
    while True:
        spans = ordered[many:] - ordered[:-many]
        first = int(spans.argmin())
        middle = float(ordered[first + many] + ordered[first]) / 2.0
        if spans[first] <= 0.5 * variability * middle or many <= 1:
            return middle
        many //= 2


def cuts_of(path: Path, catalogue: Catalogue, choice: Selection) -> dict[str, NDArray[np.bool_]]:
    """Return what each cut leaves, by its name."""
    widths = 2.0 * column(path, catalogue, "FLUX_RADIUS")
    most = (1.0 + choice.ellipticity) / (1.0 - choice.ellipticity)
    left = {
        "faint": column(path, catalogue, "SNR_WIN") > choice.snr,
        "flagged": (column(path, catalogue, "FLAGS").astype(np.int64) & choice.flags) == 0,
        "elongated": column(path, catalogue, "ELONGATION") < most,
        "out of the range of FWHM": (widths >= choice.fwhm[0]) & (widths <= choice.fwhm[1]),
    }
    for name, mask in (("FLAGS_WEIGHT", choice.weight_flags), ("IMAFLAGS_ISO", choice.image_flags)):
        if mask:
            left[name] = (column(path, catalogue, name).astype(np.int64) & mask) == 0
    return left


def _passed(
    path: Path, catalogue: Catalogue, settings: Settings
) -> tuple[dict[str, NDArray[np.bool_]], Floats, Floats]:
    """Return what each cut but that about the mode leaves, with positions and fluxes."""
    left = cuts_of(path, catalogue, settings.selection)
    centres = np.stack([column(path, catalogue, name) for name in settings.centre], axis=1)
    fluxes = column(path, catalogue, settings.flux)
    told = np.isfinite(centres).all(axis=1) & np.isfinite(context_values(path, catalogue, settings)).all(axis=1)
    left["without flux, position or context"] = (fluxes > 0.0) & np.isfinite(fluxes) & told
    return left, centres, fluxes


def widths_of(path: Path, catalogue: Catalogue, settings: Settings) -> Floats:
    """Return twice the half-light radii of sources among which the mode is looked for."""
    left, _, _ = _passed(path, catalogue, settings)
    widths: Floats = 2.0 * column(path, catalogue, "FLUX_RADIUS")[np.logical_and.reduce(list(left.values()))]
    return widths


def select(
    path: Path,
    catalogue: Catalogue,
    settings: Settings,
    mode: float | None = None,
    variation: Variation | None = None,
    cut: Callable[[NDArray[np.int64]], NDArray[np.float32]] | None = None,
) -> Sample:
    """Choose the stars of an image.

    Parameters
    ----------
    mode : FWHM of stars where it is known already, pixels
    variation : of the PSF where it is known already
    cut : gives the vignettes, (n, ny, nx), of rows of the catalogue; None: its column VIGNET has them

    Raises
    ------
    NoStars
        Says what each cut took.
    BadCatalogue
        Where a column or a keyword of the header is missing.
    """
    choice = settings.selection
    if settings.distorted and {"VIGNET_DGEOX", "VIGNET_DGEOY"} <= set(catalogue.sources.dtype.names or ()):
        raise BadSetting("PSF_DGEOCORRECT = Y: maps of differential geometry (VIGNET_DGEOX) are not made use of here")
    left, centres, fluxes = _passed(path, catalogue, settings)
    contexts = context_values(path, catalogue, settings)
    variation = variation or variation_of(contexts, settings)
    contexts = of_variation(contexts, variation, settings)
    widths = 2.0 * column(path, catalogue, "FLUX_RADIUS")
    kept = np.logical_and.reduce(list(left.values()))
    if not kept.any():
        raise _no_stars(path, catalogue, left)
    fwhm = mode if mode is not None else mode_of(widths[kept], choice.variability)
    if not choice.automatic:
        fwhm = sum(choice.fwhm) / 2.0
    else:
        wide = np.sqrt(1.0 + choice.variability)
        left["no stellar FWHM"] = (widths >= fwhm / wide) & (widths <= fwhm * wide)
        kept &= left["no stellar FWHM"]
    rows = np.flatnonzero(kept)
    raw = _vignettes(path, catalogue.sources, catalogue.hdu, rows) if cut is None else cut(rows).astype(np.float64)
    good = has_value(raw)
    if choice.bad_pixels is not None:
        few = np.count_nonzero(~good, axis=(1, 2)) <= choice.bad_pixels
        left["bad pixels"] = np.isin(np.arange(len(kept)), rows[few]) | ~kept
        rows, raw, good = rows[few], raw[few], good[few]
    if not len(rows):
        raise _no_stars(path, catalogue, left)
    vignettes = np.where(good, raw, 0.0)
    values = CardValues(catalogue.cards)
    noise, gain = values.number("SEXBKDEV"), values.number("SEXGAIN")
    if noise is None or noise <= 0.0:
        raise BadCatalogue(
            path, "no SEXBKDEV above 0 in the image's header", hdu=catalogue.hdu, remedy="take FITS_LDAC of sextractor"
        )
    offsets = centres[rows] - np.floor(centres[rows] + 0.49999)
    offsets = recentred(vignettes, offsets, widths[rows] / _SIGMA, good)
    cuts = {name: int(np.count_nonzero(~passed)) for name, passed in left.items()}
    return Sample(
        rows, vignettes, good, offsets, fluxes[rows], contexts[rows], fwhm, noise, gain or 0.0, variation, cuts
    )  # fmt: skip


def has_value(pixels: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell which pixels of vignettes have a value."""
    told: NDArray[np.bool_] = np.isfinite(pixels) & (pixels > _BAD)
    return told


def nothing(path: Path, catalogue: Catalogue, settings: Settings) -> Sample:
    """Return the sample of an image without stars."""
    contexts = context_values(path, catalogue, settings)
    variation = variation_of(contexts, settings)
    contexts = of_variation(contexts, variation, settings)
    rows = np.empty(0, np.int64)
    vignettes = _vignettes(path, catalogue.sources, catalogue.hdu, rows)
    values = CardValues(catalogue.cards)
    noise, gain = values.number("SEXBKDEV") or 0.0, values.number("SEXGAIN") or 0.0
    good, pairs, none = np.empty(vignettes.shape, np.bool_), np.empty((0, 2)), np.empty(0)
    return Sample(rows, vignettes, good, pairs, none, contexts[:0], 0.0, noise, gain, variation, {})


def _no_stars(path: Path, catalogue: Catalogue, left: Mapping[str, NDArray[np.bool_]]) -> NoStars:
    told = ", ".join(f"{name} {np.count_nonzero(~passed)}" for name, passed in left.items() if not passed.all())
    found = f"no star among {len(catalogue.sources)} sources ({told or 'the catalogue is empty'})"
    return NoStars(path, found, hdu=catalogue.hdu, remedy="loosen the SAMPLE_ settings or look at the image")


def _vignettes(path: Path, sources: Rows, hdu: int, rows: NDArray[np.int64]) -> Floats:
    if "VIGNET" not in (sources.dtype.names or ()) or sources.dtype["VIGNET"].ndim != 2:
        raise BadCatalogue(
            path, "no column VIGNET of images", hdu=hdu, remedy="add VIGNET(45,45) to sextractor's columns"
        )
    return np.asarray(sources["VIGNET"][rows], np.float64)


def context_values(path: Path, catalogue: Catalogue, settings: Settings) -> Floats:
    """Return contexts of all sources, (n, contexts): columns, or a keyword's value."""
    names = settings.contexts if any(settings.degrees) else ()
    columns = [context_of(path, catalogue, name) for name in names]
    return np.stack(columns, axis=1) if columns else np.empty((len(catalogue.sources), 0))


def context_of(path: Path, catalogue: Catalogue, name: str) -> Floats:
    """Return a context of all sources: a column, or the value of a keyword, whose name begins with a colon."""
    if not name.startswith(":"):
        return column(path, catalogue, name)
    value = CardValues(catalogue.cards).number(name[1:])
    if value is None:
        found, remedy = f"no number {name[1:]} in the image's header", "name another keyword in PSFVAR_KEYS"
        raise BadCatalogue(path, found, hdu=catalogue.hdu, remedy=remedy)
    return np.full(len(catalogue.sources), value)


def variation_of(contexts: Floats, settings: Settings) -> Variation:
    """Return how the PSF varies; contexts, (n, contexts), are scaled to the range of all sources, stars or not.

    Degrees are lower, and contexts fewer, where sources are too few for them.
    """
    if not contexts.size:
        return Variation()
    whole = _scaled(contexts, settings)
    return whole if settings.hidden else _lowered(whole, len(contexts))


def _lowered(whole: Variation, sources: int) -> Variation:
    """Lower the degree of the last group until there are a tenth more sources than terms, as the original does.

    It counts all sources of the catalogue, not only stars. A group of degree 0 goes.
    """
    found = whole
    while found.degrees and len(found.powers) * _MARGIN + 0.499 > sources:
        degrees = (*found.degrees[:-1], found.degrees[-1] - 1)
        if degrees[-1]:
            found = replace(found, degrees=degrees)
            continue
        kept = [place for place, group in enumerate(found.groups) if group != len(degrees)]
        zeros, scales = (tuple(values[place] for place in kept) for values in (found.zeros, found.scales))
        names, groups = tuple(found.names[place] for place in kept), tuple(found.groups[place] for place in kept)
        found = Variation(names, groups, zeros, scales, degrees[:-1])
    return found


def of_variation(contexts: Floats, variation: Variation, settings: Settings) -> Floats:
    """Return the contexts, (n, contexts), that a variation follows of those of the settings."""
    return contexts[:, [settings.contexts.index(name) for name in variation.names]] if contexts.size else contexts


def _scaled(contexts: Floats, settings: Settings) -> Variation:
    told = np.isfinite(contexts)
    low = np.where(told, contexts, np.inf).min(axis=0)
    high = np.where(told, contexts, -np.inf).max(axis=0)
    scales = tuple(float(scale) for scale in np.where(high > low, high - low, 1.0))
    # a context that no source has
    low, high = np.where(high >= low, (low, high), 0.0)
    zeros = tuple(float(value) for value in (low + high) / 2.0)
    return Variation(settings.contexts, settings.groups, zeros, scales, settings.degrees)
