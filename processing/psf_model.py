"""Models of the PSF as PSFEx keeps them: images times powers of the place (Bertin 2011, ASPC 442, 435).

A .psf file has an empty primary HDU and a table PSF_DATA an extension.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.cards import CardValues, Entry
from processing.errors import BadCatalogue
from processing.ldac import BinaryTable, table_bytes, tables, write_tables

Images = NDArray[np.float32]
Floats = NDArray[np.float64]
ACROSS = ("X_IMAGE", "XWIN_IMAGE", "XPSF_IMAGE", "XMODEL_IMAGE", "XPEAK_IMAGE")
"""Columns that tell the place of a source along x…"""
ALONG = tuple(name.replace("X", "Y", 1) for name in ACROSS)
"""…and along y."""
_REMEDY = "make the model again with psfex"


@dataclass(frozen=True, slots=True)
class Variation:
    """How the PSF varies: a polynomial of contexts, of some degree in each group of them."""

    names: tuple[str, ...] = ()
    """Columns, or keywords of the header after a colon."""
    groups: tuple[int, ...] = ()
    """Group of each, from 1."""
    zeros: tuple[float, ...] = ()
    """Taken from each context…"""
    scales: tuple[float, ...] = ()
    """…which is then divided by it."""
    degrees: tuple[int, ...] = ()
    """Of each group."""

    @property
    def powers(self) -> list[tuple[int, ...]]:
        """Powers of the contexts in each term, in the original's order: 1, x, x², y, xy, y² for degree 2."""
        terms: list[tuple[int, ...]] = [()]
        left = [list(self.degrees)]
        for group in self.groups:
            terms, left = (
                [
                    (*term, power)
                    for term, rest in zip(terms, left, strict=True)
                    for power in range(rest[group - 1] + 1)
                ],
                [
                    [degree - power * (number == group - 1) for number, degree in enumerate(rest)]
                    for rest in left
                    for power in range(rest[group - 1] + 1)
                ],
            )
        return sorted(terms, key=lambda term: term[::-1])

    def places(self, number: int) -> Floats:
        """Return contexts, (number**contexts, contexts), evenly over their ranges, the first running fastest."""
        axes = len(self.names)
        if not axes:
            return np.zeros((1, 0))
        steps = (np.arange(number) - (number - 1) / 2.0) / number
        grids = np.meshgrid(*[steps] * axes, indexing="ij")
        shares = np.stack([grid.ravel() for grid in grids[::-1]], axis=1)
        contexts: Floats = shares * np.array(self.scales) + np.array(self.zeros)
        return contexts

    def basis(self, contexts: Floats) -> Floats:
        """Return the terms, (n, terms), at `contexts`, (n, contexts), in their own units."""
        scaled = (contexts - np.array(self.zeros)) / np.array(self.scales)
        columns = [np.prod(scaled ** np.array(term), axis=1) for term in self.powers]
        return np.stack(columns, axis=1)


@dataclass(frozen=True, slots=True)
class PsfModel:
    """The PSF of one extension."""

    images: Images = field(repr=False)
    """(terms, ny, nx); the source is at pixel (ny // 2, nx // 2)."""
    step: float
    """Image pixels from one pixel of the model to the next."""
    fwhm: float
    """Image pixels; of the sample, from half-light radii."""
    variation: Variation = field(default_factory=Variation)
    loaded: int = 0
    """Stars taken."""
    accepted: int = 0
    """Stars left after clipping."""
    chi2: float = 0.0
    """Mean reduced chi2 of them."""

    @property
    def empty(self) -> bool:
        """Whether there was no star to make it of: its sampling and all its pixels are 0."""
        return self.step == 0.0

    def at(self, *contexts: float) -> Images:
        """Return the PSF, (ny, nx), at values of its contexts: for most models x and y, the first pixel being 1."""
        image: Images = self.many(np.array([contexts]))[0]
        return image

    def many(self, contexts: Floats) -> Images:
        """Return PSFs, (n, ny, nx), at `contexts`, (n, contexts)."""
        basis = self.variation.basis(contexts)
        flat = basis @ self.images.reshape(len(self.images), -1).astype(np.float64)
        return flat.reshape(-1, *self.images.shape[1:]).astype(np.float32)


def without_stars(shape: tuple[int, int], variation: Variation) -> PsfModel:
    """Return what stands for an image of which no PSF is known, as in the original's files: pixels of 0.

    Parameters
    ----------
    shape : (ny, nx)
    """
    return PsfModel(np.zeros((len(variation.powers), *shape), np.float32), 0.0, 0.0, variation)


def read(path: Path) -> list[PsfModel]:
    """Read the models of all extensions; ask `empty` of those of images without stars.

    Raises
    ------
    BadCatalogue
        Where a keyword is missing, coefficients are no finite numbers, or there is no model; see also `ldac.tables`.
    """
    found = [_model(path, table) for table in tables(path) if "PSF_MASK" in (table.rows.dtype.names or ())]
    if not found:
        raise BadCatalogue(path, "no PSF_DATA", remedy="give a .psf file of psfex")
    return found


def _model(path: Path, table: BinaryTable) -> PsfModel:
    values = CardValues(table.cards)

    def number(keyword: str) -> float:
        value = values.number(keyword)
        if value is None:
            raise BadCatalogue(path, f"no number {keyword}", hdu=table.hdu, remedy=_REMEDY)
        return value

    axes = int(number("POLNAXIS"))
    variation = Variation(
        tuple(values.text(f"POLNAME{k}") for k in range(1, axes + 1)),
        tuple(int(number(f"POLGRP{k}")) for k in range(1, axes + 1)),
        tuple(number(f"POLZERO{k}") for k in range(1, axes + 1)),
        tuple(number(f"POLSCAL{k}") for k in range(1, axes + 1)),
        tuple(int(number(f"POLDEG{k}")) for k in range(1, int(values.number("POLNGRP") or 0) + 1)) if axes else (),
    )
    images = np.asarray(table.rows["PSF_MASK"][0], np.float32)
    if images.ndim == 2:
        images = images[np.newaxis]
    blank = number("PSF_SAMP") == 0.0 and not images.any()
    if images.ndim != 3 or len(images) != len(variation.powers) or (number("PSF_SAMP") <= 0.0 and not blank):
        found = f"PSF_MASK of {images.shape} for {len(variation.powers)} terms"
        raise BadCatalogue(path, found, hdu=table.hdu, remedy=_REMEDY)
    if not np.isfinite(images).all():
        raise BadCatalogue(path, "coefficients that are no numbers", hdu=table.hdu, remedy=_REMEDY)
    told = [int(values.number(word) or 0) for word in ("LOADED", "ACCEPTED")]
    chi2, fwhm = (values.number(word) or 0.0 for word in ("CHI2", "PSF_FWHM"))
    return PsfModel(images, number("PSF_SAMP"), fwhm, variation, told[0], told[1], chi2)


def write(path: Path, models: Sequence[PsfModel]) -> None:
    """Write the models of all extensions, as source-extractor reads them."""
    write_tables(path, [model_bytes(model) for model in models])


def variation_entries(variation: Variation) -> list[Entry]:
    """Return the keywords that tell of contexts and degrees."""
    entries: list[Entry] = [("POLNAXIS", len(variation.names), "contexts")]
    for number, (name, group, zero, scale) in enumerate(
        zip(variation.names, variation.groups, variation.zeros, variation.scales, strict=True), 1
    ):
        entries += [(f"POLGRP{number}", group), (f"POLNAME{number}", name)]
        entries += [(f"POLZERO{number}", float(zero)), (f"POLSCAL{number}", float(scale))]
    entries.append(("POLNGRP", len(variation.degrees), "groups of contexts"))
    entries += [(f"POLDEG{number}", degree) for number, degree in enumerate(variation.degrees, 1)]
    return entries


def model_bytes(model: PsfModel) -> bytes:
    """Return the HDU of one model."""
    entries: list[Entry] = [
        ("LOADED", model.loaded, "stars taken"), ("ACCEPTED", model.accepted, "stars left"),
        ("CHI2", float(model.chi2), "mean reduced chi2"), *variation_entries(model.variation),
    ]  # fmt: skip
    terms, height, width = model.images.shape
    entries += [
        ("PSF_FWHM", float(model.fwhm), "image pixels"), ("PSF_SAMP", float(model.step), "image pixels a sample"),
        ("PSFNAXIS", 3), ("PSFAXIS1", width), ("PSFAXIS2", height), ("PSFAXIS3", terms),
    ]  # fmt: skip
    rows = np.empty(1, np.dtype([("PSF_MASK", ">f4", (terms, height, width))]))
    rows["PSF_MASK"][0] = model.images
    return table_bytes("PSF_DATA", rows, entries)
