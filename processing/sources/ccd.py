"""Sources and PSF of one CCD: what a worker process does. Images of stars never leave it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from processing.cards import Entry, text_of
from processing.errors import BadCatalogue, BadSetting
from processing.ldac import Catalogue, catalogue_bytes
from processing.psf_model import PsfModel, Variation
from processing.psfex import settings as psfex
from processing.psfex.model import made_of
from processing.psfex.sample import select
from processing.recipes import PsfSample, SourcesRecipe
from processing.sextractor.exposure import Exposure
from processing.sextractor.extraction import Extraction
from processing.sextractor.image_header import header_cards
from processing.sextractor.lots import first_turn
from processing.sextractor.parameters import wanted
from processing.sextractor.point_spread import NOTHING
from processing.sextractor.psf_choice import point_spread
from processing.sextractor.session import Session
from processing.sextractor.settings import Settings
from processing.sextractor.table_header import rows_of
from processing.sources.shape import Shape, shape_of

COLUMNS: Final = (
    "NUMBER", "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE",
    "ERRTHETAWIN_IMAGE", "ALPHA_J2000", "DELTA_J2000", "A_IMAGE", "B_IMAGE", "THETA_IMAGE", "ELONGATION",
    "FWHM_IMAGE", "FLUX_RADIUS", "FLUX_AUTO", "FLUXERR_AUTO", "MAG_AUTO", "MAGERR_AUTO", "FLUX_MAX", "BACKGROUND",
    "SNR_WIN", "FLAGS", "FLAGS_WEIGHT", "FLAGS_WIN", "IMAFLAGS_ISO", "NIMAFLAGS_ISO",
)  # fmt: skip
"""What SCAMP, PSFEx and the diagnostics of a frame need; FLUX_APER and its error come with the recipe's apertures."""
PSF_COLUMNS: Final = (
    "FLUX_PSF", "FLUXERR_PSF", "MAG_PSF", "MAGERR_PSF", "CHI2_PSF", "SPREAD_MODEL", "SPREADERR_MODEL", "STAR_PROB",
)  # fmt: skip
"""What is measured with the PSF that the CCD's own stars have told."""
_CHANGING: Final = {"SEXDATE", "SEXTIME", "SEXELAPS"}
"""Cards that would make each try another file."""
_STARS_A_TERM: Final = 3
"""Stars that a CCD needs for each term of its polynomial: with 2 and degree 2 the corners run away."""


@dataclass(frozen=True, slots=True)
class CcdWork:
    """A CCD with its maps, and what to do."""

    exposure: Exposure
    recipe: SourcesRecipe
    name: str
    """EXTNAME, or the number of the HDU in words."""


@dataclass(frozen=True, slots=True)
class CcdSources:
    """What came out of a CCD."""

    name: str
    hdus: bytes = field(repr=False)
    """LDAC_IMHEAD and LDAC_OBJECTS."""
    model: PsfModel | None = field(repr=False)
    sources: int
    shape: Shape | None
    """At the centre of the CCD, in pixels of the image."""
    scale: float
    """Arcseconds a pixel."""
    background: float
    """ADU."""
    noise: float
    """Standard deviation of the background, ADU."""
    seconds: float
    warnings: tuple[str, ...] = ()
    verdict: str | None = None
    """Why there is no PSF, or one that varies less than wanted."""


def settings_of(recipe: SourcesRecipe) -> Settings:
    """Return what the extraction of a CCD is asked for; the last column, VIGNET, is of stars only."""
    apertures = len(recipe.apertures)
    return Settings(
        columns=(*COLUMNS, f"FLUX_APER({apertures})", f"FLUXERR_APER({apertures})",
                 f"VIGNET({recipe.psf.vignette},{recipe.psf.vignette})"),
        detect_thresh=(recipe.threshold,),
        analysis_thresh=(recipe.threshold,),
        detect_minarea=recipe.least_area,
        deblend_mincont=recipe.contrast,
        back_size=(recipe.mesh, recipe.mesh),
        phot_apertures=recipe.apertures,
        mag_zeropoint=recipe.zero_point,
        pixel_scale=0.0,
        weight_type=("MAP_WEIGHT", "MAP_WEIGHT"),
    )  # fmt: skip


def psf_settings(sample: PsfSample, degree: int) -> psfex.Settings:
    """Return what the model of a CCD is asked for."""
    selection = psfex.Selection(
        fwhm=sample.fwhm,
        variability=sample.variability,
        snr=sample.signal_to_noise,
        ellipticity=sample.ellipticity,
        image_flags=int(sample.mask),
    )
    return psfex.Settings(selection=selection, size=(sample.size, sample.size), degrees=(degree,))


def find_sources(work: CcdWork) -> CcdSources:
    """Detect and measure the sources of a CCD, and model its PSF.

    Raises
    ------
    FileProblem
        Pixels of the frame or of a map cannot be read.
    """
    settings = settings_of(work.recipe)
    columns = wanted(settings.columns[:-1])
    image = Session(work.exposure, settings, turn=first_turn(), progress=lambda _: None)
    found = image.extraction(columns)
    catalogue = _catalogue(found, settings)
    model, shape, verdict = None, None, None
    try:
        model = _modelled(work, catalogue, image.vignettes)
    except (BadCatalogue, BadSetting, np.linalg.LinAlgError) as problem:
        verdict = problem.found if isinstance(problem, BadCatalogue) else str(problem)
    else:
        rows, width = work.exposure.rows.shape
        centre = {"X_IMAGE": width / 2.0, "Y_IMAGE": rows / 2.0}
        shape = _in_pixels(shape_of(model.at(*(centre[name] for name in model.variation.names))), model.step)
        degree = max(model.variation.degrees, default=0)
        if degree < work.recipe.psf.degree:
            verdict = f"{model.loaded} stars allow degree {degree} of the PSF, {work.recipe.psf.degree} is wanted"
    if work.recipe.psf.photometry:
        told = work.exposure.told
        psf = NOTHING if model is None else point_spread(model, told, where=f"the PSF of {work.name}")
        found = image.extraction((*columns, *wanted(PSF_COLUMNS)), psf=psf)
        catalogue = _catalogue(found, settings)
    image.leave()
    numbers = found.statistics
    return CcdSources(
        work.name, catalogue_bytes(catalogue), model, found.sources, shape, numbers.pixel_scale, numbers.background,
        numbers.rms, numbers.seconds, tuple(map(str, found.warnings)), verdict,
    )  # fmt: skip


def _catalogue(found: Extraction, settings: Settings) -> Catalogue:
    """Sources with the header of their image and what was measured of it."""
    more: list[Entry] = [card for card in header_cards(found, settings) if card[0] not in _CHANGING]
    units = {each.name: each.column.unit for each in found.wanted if each.column.unit}
    displays = {each.name: each.column.display for each in found.wanted}
    return Catalogue(found.cards + text_of(more), rows_of(found.wanted, [found.table]), units, displays)


def _modelled(work: CcdWork, catalogue: Catalogue, cut: Callable[[NDArray[np.int64]], NDArray[np.float32]]) -> PsfModel:
    """The model of the highest degree, up to the recipe's, that the CCD has stars for; NoStars where it has none."""
    wanted_, place = work.recipe.psf, Path(work.exposure.file)
    settings = psf_settings(wanted_, wanted_.degree)
    sample = select(place, catalogue, settings, cut=cut)
    enough = (d for d in range(wanted_.degree, 0, -1) if len(sample.rows) >= _STARS_A_TERM * (d + 1) * (d + 2) // 2)
    if (degree := next(enough, 0)) < wanted_.degree:
        settings = psf_settings(wanted_, degree)
        simpler = replace(sample.variation, degrees=settings.degrees) if degree else Variation()
        contexts = sample.contexts if degree else np.empty((len(sample.rows), 0))
        sample = replace(sample, variation=simpler, contexts=contexts)
    return made_of(sample, settings).model


def _in_pixels(shape: Shape | None, step: float) -> Shape | None:
    return None if shape is None else replace(shape, fwhm=shape.fwhm * step)
