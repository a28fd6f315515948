"""What was found on a frame, as DS9 regions and as a MOC: small files beside the maps, to look at, edit and hand on."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.settings import OutlineSettings
from processing.flags import PixelFlag
from processing.provenance import software
from processing.reading import Extension
from processing.regions.sky import Sky

if TYPE_CHECKING:
    from processing.regions.coverage import Coverage

BLOCK = 8
"""Pixels of the blocks in which the MOC sees a mask: 1.5 arcsec of MegaCam, less than the smallest of its cells."""


@dataclass(frozen=True, slots=True)
class CcdOutlines:
    """What a worker hands back of one CCD."""

    lines: str = ""
    """Of the region file."""
    blocks: NDArray[np.bool_] | None = None
    """(rows, columns) of blocks, from the first pixel on: where a wanted flag is; None: not asked for."""


def outlines_of(flags: NDArray[np.int16], inside: Area, number: int, settings: OutlineSettings) -> CcdOutlines:
    """Outline the wanted flags of a CCD whose image in the frame is `number`, from 1."""
    from processing.regions.writing import flag_lines  # noqa: PLC0415  brings the compiler

    part = np.s_[inside.y0 : inside.y1, inside.x0 : inside.x1]
    wanted = np.zeros_like(flags)
    np.bitwise_and(flags[part], np.int16(settings.bits), out=wanted[part])
    lines = ""
    if settings.regions:
        there = int(np.bitwise_or.reduce(wanted, axis=None))
        bits = [int(bit) for bit in PixelFlag if bit & there]
        lines = "".join(flag_lines(wanted, bits, tile=number))
    return CcdOutlines(lines, _blocks(wanted) if settings.moc else None)


def _blocks(wanted: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Which blocks have a flag."""
    ny, nx = wanted.shape
    rows = np.zeros((-(-ny // BLOCK), nx), wanted.dtype)
    found = np.zeros((rows.shape[0], -(-nx // BLOCK)), wanted.dtype)
    for k in range(BLOCK):  # strides of whole rows: 8 times as quick as reduceat
        rows[: wanted[k::BLOCK].shape[0]] |= wanted[k::BLOCK]
    for k in range(BLOCK):
        found[:, : rows[:, k::BLOCK].shape[1]] |= rows[:, k::BLOCK]
    there: NDArray[np.bool_] = found != 0
    return there


class Outlines:
    """Both files of a frame, CCD after CCD."""

    def __init__(self, settings: OutlineSettings) -> None:
        self._settings = settings
        self._lines: list[str] = []
        self._coverage: Coverage | None = None
        self.notes: list[str] = []
        """Why there is no MOC."""

    def add(self, extension: Extension, made: CcdOutlines) -> None:
        """Take in a CCD, in the order of the frame."""
        self._lines.append(made.lines)
        if made.blocks is None or self.notes:
            return
        sky = Sky(extension.cards)
        if sky.wcs is None:
            self.notes.append(f"{extension.name or extension.hdu}: no usable coordinates, and so the frame has no MOC")
            return
        if self._coverage is None:
            from processing.regions.coverage import Coverage  # noqa: PLC0415  slow to import

            self._coverage = Coverage(self._settings.order)
        self._coverage.add(made.blocks, sky, block=BLOCK)

    def files(self, notes: Sequence[str], work: Path) -> dict[str, tuple[str, bytes]]:
        """Return ending and content of each file, by kind; `notes` are told in the region file, `work` is a scratch."""
        made = {}
        if self._settings.regions:
            head = "".join(f"# {line}\n" for line in ("Region file format: DS9 version 4.1", software(), *notes))
            made["regions"] = (".reg", (head + "".join(self._lines)).encode("ascii"))
        if self._coverage is not None and not self.notes:
            from processing.regions.coverage import write_moc  # noqa: PLC0415  slow to import

            with tempfile.TemporaryDirectory(dir=work) as place:
                write_moc(Path(place) / "moc.fits", self._coverage.moc)
                made["moc"] = (".moc.fits", (Path(place) / "moc.fits").read_bytes())
        return made
