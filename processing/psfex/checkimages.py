"""Check-images: stars, what is left of them, and the model all over the field, as FITS files of small images.

All are float32. Each extension of the catalogue has one in the file, with small images side by side, or as a cube
(CHECKIMAGE_CUBE) where the original makes one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.cards import CardValues, Entry, text_of
from processing.errors import BadSetting
from processing.ldac import Catalogue
from processing.placing import placed
from processing.psf_model import Images
from processing.psfex.diagnostics import Diagnosis
from processing.psfex.field import Field
from processing.psfex.model import Made
from processing.psfex.resampling import resampled
from processing.psfex.sample import column, extent_of
from processing.psfex.settings import Settings
from processing.sextractor.table_header import filling, header

_LISTED = 48
"""Pixels a side of the PSF at a place of a list."""
_ROW = 10
"""Columns of small images are multiples of it."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a catalogue: what is drawn from."""

    path: Path
    """Of the catalogue."""
    catalogue: Catalogue
    made: Made
    seen: Diagnosis
    settings: Settings


def montage(images: Images, columns: int) -> Images:
    """Put small images, (n, ny, nx), side by side, the first at the lower left, in rows of `columns`."""
    number, height, width = images.shape
    lines = max((number - 1) // columns + 1, 1)
    sheet = np.zeros((lines * columns, height, width), np.float32)
    sheet[:number] = images
    return sheet.reshape(lines, columns, height, width).transpose(0, 2, 1, 3).reshape(lines * height, columns * width)


def _columns(number: int) -> int:
    """Return columns for `number` stars, as the original lays them out."""
    side = int(np.sqrt(number))
    return ((side - 1) // _ROW + 1) * _ROW if side else 1


def _stars(images: NDArray[np.floating], image: Image, *, cube: bool) -> Images:
    chosen = images[image.made.residuals.accepted].astype(np.float32)
    return chosen if cube else montage(chosen, _columns(len(chosen)))


def _grid(images: NDArray[np.floating], image: Image, *, cube: bool) -> Images:
    """Return the brightest star in each part of the image; 0 where a part has none."""
    sample, number = image.made.sample, image.settings.snapshots
    height, width = image.seen.shape or extent_of(image.path, image.catalogue, image.settings)
    accepted = np.flatnonzero(image.made.residuals.accepted)
    brightest = accepted[np.argsort(sample.fluxes[accepted], kind="stable")]
    x, y = (column(image.path, image.catalogue, name)[sample.rows[brightest]] for name in image.settings.centre)
    columns, rows = (
        np.clip((number / side * (where + 0.5)).astype(int), 0, number - 1) for where, side in ((x, width), (y, height))
    )
    sheet = np.zeros((number * number, *images.shape[1:]), np.float32)
    sheet[rows * number + columns] = images[brightest]
    return sheet.reshape(number, number, *images.shape[1:]) if cube else montage(sheet, number)


def _places(images: Images, image: Image, *, cube: bool) -> Images:
    across = image.seen.snapshots if image.seen.contexts.shape[1] else 1
    return images.reshape(-1, across, *images.shape[1:]) if cube else montage(images, across)


def _prototypes(image: Image, *, cube: bool) -> Images:
    """Return coefficients; on a sheet, times their terms in the corner where all contexts are highest."""
    model = image.made.model
    if cube:
        return model.images
    zeros, scales = (np.array(each) for each in (model.variation.zeros, model.variation.scales))
    terms = model.variation.basis((zeros + 0.5 * scales)[np.newaxis])[0]
    return montage((model.images * terms[:, np.newaxis, np.newaxis]).astype(np.float32), min(len(terms), _ROW))


def _imres(image: Image, *, cube: bool) -> Images:
    images, step = image.seen.images.astype(np.float64), image.made.model.step
    shape = image.made.sample.vignettes.shape[1:]
    found = resampled(images, (shape[0], shape[1]), np.zeros((len(images), 2)), 1.0 / (step or 1.0))
    return _places(found.astype(np.float32), image, cube=cube)


def _profiles(image: Image) -> Images:
    shape = image.seen.images.shape[1:]
    if image.made.model.empty:
        return image.seen.images
    return image.seen.free.images((shape[0], shape[1]), image.made.model.step)


def _basis(image: Image, *, cube: bool) -> Images:
    """Return vectors; where there is none, a sheet is a row of 0, as in the original, and a cube has no plane."""
    vectors = image.made.basis
    found = np.empty((0, *image.made.model.images.shape[1:])) if vectors is None else vectors
    return found.astype(np.float32) if cube else montage(found.astype(np.float32), max(_columns(len(found)), _ROW))


def _listed(image: Image, *, cube: bool) -> Images:
    """Return PSFs of the image's pixels at the places of a list beside the catalogue.

    As in the original a star's place from the middle of pixel 24 of 48 is that from its own pixel's lower left.
    """
    places, model = listed(image.path), image.made.model
    zeros = np.array(model.variation.zeros, np.float64)
    contexts = np.tile(zeros, (len(places), 1))
    for axis, name in enumerate(image.settings.centre):
        if name in model.variation.names:
            contexts[:, model.variation.names.index(name)] = places[:, axis]
    step = model.step or 1.0
    offsets = (np.floor(places + 0.49999) - places + 0.5) / step
    images = model.many(contexts).astype(np.float64)
    found = resampled(images, (_LISTED, _LISTED), offsets, 1.0 / step).astype(np.float32)
    if cube:
        return found if len(found) else np.zeros((1, _LISTED, _LISTED), np.float32)
    return montage(found, _columns(len(found)))


def listed(catalogue: Path) -> NDArray[np.float64]:
    """Read the places, (n, 2), at which GREAT10 shows the PSF: the first two numbers of each line of a list.

    Raises
    ------
    BadSetting
        Where there is no list beside the catalogue, or a line has no two numbers.
    """
    path = catalogue.with_suffix(".dat")
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as problem:
        raise BadSetting(
            f"CHECKIMAGE_TYPE = GREAT10: {path} cannot be read ({problem.strerror}); places, x and y, were expected"
        ) from problem
    places = []
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if words:
            try:
                places.append((float(words[0]), float(words[1])))
            except (ValueError, IndexError) as problem:
                raise BadSetting(f"{path}:{number}: {line.strip()!r}: x and y were expected") from problem
    return np.array(places, np.float64).reshape(-1, 2)


KINDS: Mapping[str, Callable[[Image, bool], Images]] = {
    "BASIS": lambda image, cube: _basis(image, cube=cube),
    "CHI": lambda image, cube: _stars(image.made.residuals.chi, image, cube=cube),
    "RESIDUALS": lambda image, cube: _stars(image.made.residuals.images, image, cube=cube),
    "RESIDUALS_GRID": lambda image, cube: _grid(image.made.residuals.images, image, cube=cube),
    "SAMPLES": lambda image, cube: _stars(image.made.sample.vignettes, image, cube=cube),
    "SAMPLES_GRID": lambda image, cube: _grid(image.made.sample.vignettes, image, cube=cube),
    "WEIGHTS": lambda image, cube: _stars(image.made.sample.weights(image.settings.accuracy), image, cube=cube),
    "PROTOTYPES": lambda image, cube: _prototypes(image, cube=cube),
    "SNAPSHOTS": lambda image, cube: _places(image.seen.images, image, cube=cube),
    "SNAPSHOTS_IMRES": lambda image, cube: _imres(image, cube=cube),
    "GREAT10": lambda image, cube: _listed(image, cube=cube),
    "MOFFAT": lambda image, _: _places(_profiles(image), image, cube=False),
    "-MOFFAT": lambda image, _: _places(image.seen.images - _profiles(image), image, cube=False),
    "-SYMMETRICAL": lambda image, _: _places(
        image.seen.images - image.seen.images[:, ::-1, ::-1], image, cube=False
    ),
}  # fmt: skip
"""What is drawn of an image, and whether as a cube."""


def write(path: Path, kind: str, field: Field, settings: Settings, *, cube: bool) -> None:
    """Write a check-image of all extensions; it is there complete, or not at all.

    That of a catalogue of one extension is the primary image, as in the original.
    """
    several = len(field.made) > 1
    with placed(path) as stream:
        if several:
            first: list[Entry] = [("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]
            stream.write(header(text_of([*first, ("NEXTEND", len(field.made), "extensions")])))
        for number, (catalogue, made, seen) in enumerate(zip(field.catalogues, field.made, field.seen, strict=True), 1):
            pixels = KINDS[kind](Image(field.path, catalogue, made, seen, settings), cube)
            stream.write(_head(pixels, catalogue, made, number if several else None))
            data = pixels.astype(">f4").tobytes()
            stream.write(data + filling(len(data)))


def _head(pixels: Images, catalogue: Catalogue, made: Made, number: int | None) -> bytes:
    sides = pixels.shape[::-1]
    entries: list[Entry] = [("XTENSION", "IMAGE") if number else ("SIMPLE", True), ("BITPIX", -32)]
    entries += [("NAXIS", len(sides)), *((f"NAXIS{axis}", side) for axis, side in enumerate(sides, 1))]
    if number:
        entries += [("PCOUNT", 0), ("GCOUNT", 1), ("EXTNAME", f"chip{number:02d}")]
    entries += _sky(catalogue, sides)
    entries.append(("PSF_SAMP", float(made.model.step), "image pixels a sample of the model"))
    return header(text_of(entries))


def _sky(catalogue: Catalogue, sides: tuple[int, ...]) -> list[Entry]:
    """Return world coordinates by which a sheet lies on the image that it tells about, as the original has them.

    Images of a cube have those of one that lies on the image; its other axes count from 1.
    """
    told = CardValues(catalogue.cards)
    shape = [told.number(f"NAXIS{axis}") or 0.0 for axis in (1, 2)]
    words = [f"{word}{axis}" for word in ("CRVAL", "CRPIX") for axis in (1, 2)]
    matrix = [f"CD{row}_{column}" for row in (1, 2) for column in (1, 2)]
    words += matrix if told.number("CD1_1") is not None else ["CDELT1", "CDELT2"]
    values = {word: told.number(word) for word in words}
    kinds = [told.text(f"CTYPE{axis}") for axis in (1, 2)]
    if not min(shape) > 0.0 or not all(kinds) or None in values.values():
        return []
    scale = min(shape[0] / sides[0], shape[1] / sides[1])
    found: list[Entry] = [(f"CTYPE{axis}", kind) for axis, kind in enumerate(kinds, 1)]
    for word, value in values.items():
        number = value or 0.0
        if word.startswith("CD"):
            number *= scale
        elif word.startswith("CRPIX"):
            axis = int(word[-1]) - 1
            number = (number - (shape[axis] + 1) / 2.0) / scale + (sides[axis] + 1) / 2.0
        found.append((word, number))
    found += _further(len(sides), by_step="CDELT1" in values)
    for word in ("EQUINOX", "EPOCH", "LONGPOLE", "LATPOLE"):
        given = told.number(word)
        if given is not None:
            found.append((word, given))
    for word in ("RADESYS", "RADECSYS"):
        if told.text(word):
            found.append((word, told.text(word)))
    return found


def _further(axes: int, *, by_step: bool) -> list[Entry]:
    """Return world coordinates of the axes of a cube from the third on: numbers of small images."""
    found: list[Entry] = []
    for axis in range(3, axes + 1):
        found += [(f"CTYPE{axis}", ""), (f"CRVAL{axis}", 1.0), (f"CRPIX{axis}", 1.0)]
        if by_step:
            found.append((f"CDELT{axis}", 1.0))
            continue
        found.append((f"CD{axis}_{axis}", 1.0))
        found += [(f"CD{pair}", 0.0) for other in range(1, axis) for pair in (f"{axis}_{other}", f"{other}_{axis}")]
    return found
