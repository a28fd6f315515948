"""One image with the maps that belong to it, checked, before anything is measured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import CardValues, HeaderLike, descriptive
from processing.errors import BadSetting, NotFits, ShapeMismatch
from processing.sextractor.extraction import Caution, Warned
from processing.sextractor.images import ArrayRows, FitsRows, Images, images, matched, with_head
from processing.sextractor.records import Rows
from processing.sextractor.settings import Settings


@dataclass(frozen=True, slots=True)
class Exposure:
    """One image and its maps."""

    rows: Rows
    """That is measured."""
    cards: str = field(repr=False)
    """Of its header."""
    detection: Rows | None = None
    """In which sources are detected; None: in the same."""
    weights: tuple[Rows | None, Rows | None] = (None, None)
    """Of the detection and of the measurement image."""
    flags: tuple[Rows, ...] = ()
    number: int = 1
    """In its file, from 1."""
    count: int = 1
    file: str = "array"
    simple: bool = True
    """Whether it is a primary HDU."""
    cautions: tuple[Caution, ...] = ()

    @property
    def told(self) -> CardValues:
        return CardValues(self.cards)

    def leave(self) -> None:
        """Let go of pixels that were read from files: nobody looks at them any more."""
        for rows in (self.rows, self.detection, *self.weights, *self.flags):
            if isinstance(rows, FitsRows):
                rows.leave()


def of_array(
    pixels: NDArray[Any], *, weight: NDArray[Any] | None, flags: Sequence[NDArray[Any]], header: HeaderLike
) -> Exposure:
    """Return an image in memory; ShapeMismatch where a map has another size."""
    rows = ArrayRows(pixels)
    for name, other in (("weight map", weight), *(("flag map", each) for each in flags)):
        if other is not None and other.shape != pixels.shape:
            remedy = f"the image has {pixels.shape}; give the map of that image"
            raise ShapeMismatch("array", f"{name} of shape {other.shape}", remedy=remedy)
    maps = None if weight is None else ArrayRows(weight)
    kept = tuple(ArrayRows(each, kind="i4") for each in flags)
    return Exposure(rows, descriptive(header), weights=(maps, maps), flags=kept)


@dataclass(frozen=True, slots=True)
class Names:
    """Files of one call."""

    image: str
    detection: str = ""
    """Empty: that of the measurement."""
    weights: tuple[str, ...] = ()
    """One for both, or of the detection and of the measurement image."""
    flags: tuple[str, ...] = ()
    head_suffix: str = ".head"


def of_files(names: Names, settings: Settings) -> list[Exposure]:
    """Return all images of a file with their maps.

    Raises
    ------
    FileProblem
        A file cannot be read, or a map has another size or fewer images than needed; names file, HDU and sizes.
    """
    measured = _opened(names.image, "IMAGE")
    detected = _opened(names.detection, "DETECTION") if names.detection else None
    if detected is not None and len(detected.extensions) != len(measured.extensions):
        found = f"{len(measured.extensions)} images, but {len(detected.extensions)} in {detected.path}"
        raise ShapeMismatch(measured.path, found, remedy="both files need as many images")
    weights = _weights(names, settings)
    flags = [_opened(name, "FLAG_IMAGE") for name in names.flags]
    return list(_exposures(names, settings, measured, detected, weights, flags))


def _opened(name: str, key: str) -> Images:
    """Images of a file that a key or an argument names."""
    try:
        return images(name)
    except OSError as problem:
        raise NotFits(name, f"cannot be read ({problem.strerror or problem})", remedy=f"{key} names it") from problem


def _weights(names: Names, settings: Settings) -> tuple[Images | None, Images | None]:
    """Files of the weights of both images; None where the setting asks for none."""
    wanted = [kind.startswith("MAP") for kind in settings.weight_type]
    if any(wanted) and not names.weights:
        raise BadSetting(f"WEIGHT_TYPE = {','.join(settings.weight_type)}: WEIGHT_IMAGE names no map")
    first, second = (names.weights[0], names.weights[-1]) if any(wanted) else ("", "")
    opened = {name: _opened(name, "WEIGHT_IMAGE") for name, use in ((first, wanted[0]), (second, wanted[1])) if use}
    return opened[first] if wanted[0] else None, opened[second] if wanted[1] else None


def _exposures(
    names: Names,
    settings: Settings,
    measured: Images,
    detected: Images | None,
    weights: tuple[Images | None, Images | None],
    flags: Sequence[Images],
) -> Iterator[Exposure]:
    count = len(measured.extensions)
    for index, extension in enumerate(measured.extensions):
        rows = measured.rows(index, unsigned=settings.fits_unsigned)
        cards = with_head(extension.cards, measured.path, names.head_suffix, index)
        cautions = [
            Caution(Warned.NO_PIXELS, f"HDU {hdu} of {measured.path.name} is no image of two dimensions: passed over")
            for hdu in (measured.passed_over if index == 0 else ())
        ]
        maps = [None if file is None else _needed(rows, file, index) for file in weights]
        if weights[0] is weights[1]:  # one map for both is unpacked once
            maps[0] = maps[1]
        found = [matched(rows, file, index, "flag map") for file in flags]
        for file, one in zip(flags, found, strict=True):
            if one is None:
                told = f"{file.path} has {len(file.extensions)} images for {count}: its flags are 0 here"
                cautions.append(Caution(Warned.FEWER_FLAGS, told))
        yield Exposure(
            rows,
            cards,
            detection=None if detected is None else _detection(rows, detected, index, settings),
            weights=(maps[0], maps[1]),
            flags=tuple(_no_flags(rows) if one is None else one for one in found),
            number=index + 1,
            count=count,
            file=measured.path.name,
            simple=extension.hdu == 0,
            cautions=tuple(cautions),
        )


def _needed(rows: FitsRows, file: Images, index: int) -> Rows:
    found = matched(rows, file, index, "weight map")
    if found is None:
        told = f"{len(file.extensions)} images, but {rows.path}[{rows.extension.hdu}] is image {index + 1}"
        raise ShapeMismatch(file.path, told, remedy="give a weight map with as many images, or WEIGHT_TYPE NONE")
    return found


def _detection(rows: FitsRows, file: Images, index: int, settings: Settings) -> Rows:
    found = file.rows(index, unsigned=settings.fits_unsigned)
    if found.shape != rows.shape:
        sizes = f"a detection image of {found.shape[1]} x {found.shape[0]} pixels"
        remedy = f"{rows.path}[{rows.extension.hdu}] has {rows.shape[1]} x {rows.shape[0]}; both need one size"
        raise ShapeMismatch(found.path, sizes, hdu=found.extension.hdu, remedy=remedy)
    return found


def _no_flags(rows: FitsRows) -> Rows:
    return ArrayRows(np.broadcast_to(np.zeros(1, np.int32), rows.shape), kind="i4")
