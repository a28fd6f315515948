"""Check-images: what the engine saw of an image, as FITS files that mirror it.

All are float32 but SEGMENTATION, int32 with the NUMBER of the source. -OBJECTS is 0 in every source
of the catalogue; the original's also in detections that CLEAN took away.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import CARD, CardValues, descriptive, text_of
from processing.mosaic import assemble
from processing.sextractor.background import Background
from processing.sextractor.exposure import Exposure
from processing.sextractor.point_sources import Fitted, first_rows
from processing.sextractor.records import Detections, Pixels, Rows, Table
from processing.sextractor.table_header import PRIMARY, filling, header

_MINI = ("MINIBACKGROUND", "MINIBACK_RMS")
_OUTLINE = 30.0
"""Noises of the background by which the outline of an aperture is brighter."""
_SCALED = re.compile(r"CD(\d)_(\d)|CDELT(\d)")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the engine knows of one image when it is done."""

    rows: Rows
    """Measurement image."""
    background: Background
    """Of it."""
    detections: Detections
    filtered: Callable[[int, int], Pixels]
    """Rows of the detection image less its background, filtered."""
    sigma: float
    """Global noise of the background."""
    table: Table
    fitted: Fitted | None = None
    """PSFs that PSFS shows; None: no column asked for any."""
    apertures: tuple[float, ...] = ()
    """Diameters of the circles that APERTURES shows, pixels; ellipses of AUTO where the table has them."""


def planes(kind: str, seen: Seen, *, band: int = 1024) -> Iterator[NDArray[Any]]:
    """Yield the rows of a check-image from the first to the last, band by band."""
    if kind in _MINI:
        yield seen.background.level if kind == "MINIBACKGROUND" else seen.background.sigma
        return
    height = seen.rows.shape[0]
    for first in range(0, height, band):
        yield _band(kind, seen, first, min(first + band, height))


def _band(kind: str, seen: Seen, first: int, end: int) -> NDArray[Any]:  # noqa: C901  a case a kind
    if kind == "SEGMENTATION":
        numbers = first_rows(seen.table, len(seen.detections.objects))[:-1] + 1
        return segmentation(seen.detections, first, end, seen.rows.shape[1], numbers)
    if kind == "BACKGROUND":
        return seen.background.rows(first, end)
    if kind == "BACKGROUND_RMS":
        return seen.background.noise(first, end)
    if kind == "FILTERED":
        return seen.filtered(first, end)
    if kind == "PSFS":
        return _light(seen, first, end)
    values: Pixels = seen.rows.read(first, end)
    if kind == "IDENTICAL":
        return values
    values = values - seen.background.rows(first, end)
    if kind == "-PSFS":
        values -= _light(seen, first, end)
    if kind in {"OBJECTS", "-OBJECTS"}:
        inside = segmentation(seen.detections, first, end, values.shape[1]) > 0
        values[inside if kind == "-OBJECTS" else ~inside] = 0.0
    elif kind == "APERTURES":
        for x, y in _outlines(seen):
            here = (y >= first) & (y < end) & (x >= 0) & (x < values.shape[1])
            values[y[here] - first, x[here]] += np.float32(_OUTLINE * seen.sigma)
    return values


def _light(seen: Seen, first: int, end: int) -> Pixels:
    """Rows of the light of all fitted PSFs."""
    light = np.zeros((end - first, seen.rows.shape[1]), np.float32)
    if seen.fitted is not None:
        seen.fitted.paint(light, first)
    return light


def segmentation(
    detections: Detections, first: int, end: int, width: int, each: NDArray[np.int64] | None = None
) -> NDArray[np.int32]:
    """Return rows of the numbers of the sources, 0 where none is; `each` are other numbers than those from 1 on."""
    if each is None:
        each = np.arange(1, len(detections.objects) + 1)
    numbers = np.repeat(each.astype(np.int32), np.diff(detections.starts))
    rows = np.zeros((end - first, width), np.int32)
    here = (detections.y >= first) & (detections.y < end)
    rows[detections.y[here] - first, detections.x[here]] = numbers[here]
    return rows


def _outlines(seen: Seen) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pixels on the outlines of all apertures, each once an aperture."""
    objects, table = seen.detections.objects, seen.table
    for place in range(len(objects)):
        shapes = [(size / 2.0, size / 2.0, 0.0) for size in seen.apertures]
        if "KRON_RADIUS" in table and table["KRON_RADIUS"][place] > 0:
            radius = float(table["KRON_RADIUS"][place])
            shapes.append((radius * objects["a"][place], radius * objects["b"][place], float(objects["theta"][place])))
        for a, b, theta in shapes:
            turn = np.linspace(0.0, 2.0 * np.pi, max(16, int(8.0 * a)))
            along, across = a * np.cos(turn), b * np.sin(turn)
            sine, cosine = np.sin(np.radians(theta)), np.cos(np.radians(theta))
            x = np.rint(objects["x"][place] + along * cosine - across * sine).astype(np.int64)
            y = np.rint(objects["y"][place] + along * sine + across * cosine).astype(np.int64)
            pixels = np.unique(np.stack([y, x], axis=1), axis=0)
            yield pixels[:, 1], pixels[:, 0]


def write_part(path: Path, kind: str, seen: Seen, exposure: Exposure, *, mesh: tuple[int, int]) -> None:
    """Write a check-image of one image beside the file that `assemble_checks` makes of all.

    Parameters
    ----------
    mesh : width and height of the background's meshes: pixels of the mini-maps
    """
    shape = seen.background.level.shape if kind in _MINI else seen.rows.shape
    told = _coarse(descriptive(exposure.cards), mesh) if kind in _MINI else descriptive(exposure.cards)
    name = exposure.told.text("EXTNAME")
    storage = text_of([
        *([("SIMPLE", True)] if exposure.simple else [("XTENSION", "IMAGE")]),
        ("BITPIX", 32 if kind == "SEGMENTATION" else -32), ("NAXIS", 2), ("NAXIS1", shape[1]), ("NAXIS2", shape[0]),
        *([("EXTEND", True)] if exposure.simple else [("PCOUNT", 0), ("GCOUNT", 1)]),
        *([("EXTNAME", name)] if name and not exposure.simple else []),
    ])  # fmt: skip
    kind_of = np.dtype(">i4" if kind == "SEGMENTATION" else ">f4")
    with _part(path, exposure).open("wb") as stream:
        stream.write(header(storage + told))
        for rows in planes(kind, seen):
            rows.astype(kind_of).tofile(stream)
        stream.write(filling(shape[0] * shape[1] * kind_of.itemsize))


def assemble_checks(path: Path, exposures: Sequence[Exposure]) -> None:
    """Put the parts of one check-image together: a file that mirrors that of the images."""
    parts = [_part(path, exposure) for exposure in exposures]
    assemble(path, b"" if exposures[0].simple else PRIMARY, parts)
    for part in parts:
        part.unlink()


def _part(path: Path, exposure: Exposure) -> Path:
    return path.with_name(f"{path.name}.{exposure.number}.part")


def _coarse(cards: str, mesh: tuple[int, int]) -> str:
    """World coordinates of pixels that are as large as a mesh."""
    told = CardValues(cards)
    kept = []
    for place in range(0, len(cards), CARD):
        card = cards[place : place + CARD]
        keyword = card[:8].rstrip()
        value = told.number(keyword)
        found = _SCALED.fullmatch(keyword)
        if value is not None and found:
            card = text_of([(keyword, value * mesh[int(found[2] or found[3]) - 1])])
        elif value is not None and keyword in {"CRPIX1", "CRPIX2"}:
            card = text_of([(keyword, (value - 0.5) / mesh[int(keyword[-1]) - 1] + 0.5)])
        kept.append(card)
    return "".join(kept)
