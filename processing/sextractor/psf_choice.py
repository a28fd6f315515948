"""Which model of the PSF holds for an image, and what it says there."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from processing.cards import CardValues
from processing.errors import BadSetting
from processing.psf_model import PsfModel, read
from processing.sextractor import apertures, classifier, isophotal, windows
from processing.sextractor.point_spread import NARROW, NOTHING, PointSpread, widened
from processing.sextractor.settings import Settings


def point_spread(model: PsfModel, told: CardValues, *, where: str) -> PointSpread:
    """Return a model as it holds for an image with the header `told`; `NOTHING` where it was made of no star.

    Raises
    ------
    BadSetting
        The model follows what is no number of each source, or a keyword that the header does not have, or tells no
        width.
    """
    if model.empty:
        return NOTHING
    if not model.fwhm > 0.0:
        raise BadSetting(f"PSF_NAME = {where}: PSF_FWHM = {model.fwhm:g}; make the model again with psfex")
    variation, images = model.variation, model.images.astype(np.float64)
    terms = np.array(variation.powers, np.int64).reshape(len(images), -1)
    kept: list[int] = []
    for axis, name in enumerate(variation.names):
        if not name.startswith(":"):
            _known(name, where)
            kept.append(axis)
            continue
        value = told.number(name[1:])
        if value is None:
            raise BadSetting(f"PSF_NAME = {where}: its PSF follows {name[1:]}, which the image's header does not have")
        scaled = (value - variation.zeros[axis]) / variation.scales[axis]
        images = images * (scaled ** terms[:, axis])[:, None, None]
    left = [tuple(int(power) for power in term) for term in terms[:, kept]]
    powers = sorted(set(left), key=left.index)
    images = np.stack([sum(image for image, term in zip(images, left, strict=True) if term == one) for one in powers])
    zeros, scales = (tuple(values[axis] for axis in kept) for values in (variation.zeros, variation.scales))
    names = tuple(variation.names[axis] for axis in kept)
    wider = widened(images, model.fwhm / NARROW / model.step)
    return PointSpread(images, wider, model.step, model.fwhm, names, zeros, scales, tuple(powers))


@lru_cache(maxsize=1)
def _followed() -> frozenset[str]:
    """Columns that a PSF may follow: measured before it is fitted, one number a source."""
    before = (*isophotal.GROUPS, *apertures.GROUPS, *windows.GROUPS, *classifier.GROUPS)
    given = [each.gives(Settings()).items() for each in before]
    return frozenset(name for columns in given for name, (_, cell) in columns if cell == ())


def _known(name: str, where: str) -> None:
    if name not in _followed():
        raise BadSetting(
            f"PSF_NAME = {where}: its PSF follows {name}, which is no number measured of each source before the PSF; "
            "make the model with PSFVAR_KEYS X_IMAGE,Y_IMAGE"
        )


def chosen(names: Sequence[str], number: int, told: CardValues) -> PointSpread:
    """Return the PSF of image `number` of a file, from 1: a .psf file has one model for all, or one for each.

    Of two files the first one holds; the second one is without effect, as in the original.

    Raises
    ------
    BadSetting
        There is no such file, or it has too few models.
    BadCatalogue
        The file cannot be read.
    """
    if len(names) not in {1, 2}:
        raise BadSetting(f"PSF_NAME = {','.join(names)}: one file for the measured image was expected")
    path = Path(names[0])
    if not path.is_file():
        raise BadSetting(f"PSF_NAME = {path}: no such file; make one with psfex, or take the columns of the PSF out")
    models = _models(path, path.stat().st_mtime_ns)
    if len(models) == 1:
        return point_spread(models[0], told, where=str(path))
    if number > len(models):
        raise BadSetting(f"PSF_NAME = {path}: {len(models)} models, but the file has an image {number}")
    return point_spread(models[number - 1], told, where=f"{path}[{number}]")


@lru_cache(maxsize=2)
def _models(path: Path, _: int) -> list[PsfModel]:
    return read(path)
