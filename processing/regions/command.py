"""``terapix weightwatcher regions``: masks and flag maps become DS9 regions and MOCs."""

import sys
import time
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.astromatic import Key, Kind, Tool, Values
from processing.errors import BadHeader, BadSetting
from processing.flags import PixelFlag
from processing.reading import Extension, Mosaic
from processing.regions.coverage import ORDER, Coverage, write_moc
from processing.regions.shapes import System
from processing.regions.sky import Sky
from processing.regions.writing import flag_lines, write_regions

_I, _R, _C, _M = "Input", "Regions", "Coverage of the sky", "Miscellaneous"
_MASKED, _GOOD = "MASKED", "GOOD"
_SYSTEMS = tuple(system.value.upper() for system in System if system is not System.PHYSICAL)
TOOL = Tool(
    "regions",
    "default.regions",
    (
        Key("FLAG_NAME", Kind.TEXT, "flag.fits", "flag map, .fits or .fits.fz", _I),
        Key("ZERO_IS_BAD", Kind.SWITCH, "N", "it is a mask as Elixir's, 0 where bad (Y/N)?", _I),
        Key("FLAGS", Kind.TEXT, "", "bits by name or number; none: all but OVERSCAN", _I, many=True),
        Key("REGIONS_NAME", Kind.TEXT, "flag.reg", "file of DS9 regions to write", _R),
        Key("REGIONS_TYPE", Kind.TEXT, "IMAGE", ", ".join(_SYSTEMS), _R, choices=_SYSTEMS),
        Key("MOC_NAME", Kind.TEXT, "", "MOC to write, .fits", _C),
        Key("MOC_TYPE", Kind.TEXT, _MASKED, "cells with MASKED pixels, or GOOD ones", _C, choices=(_MASKED, _GOOD)),
        Key("MOC_ORDER", Kind.WHOLE, str(ORDER), "of the cells, 58.6 degrees / 2**order", _C),
        Key("VERBOSE_TYPE", Kind.TEXT, "NORMAL", "QUIET or NORMAL", _M, choices=("QUIET", "NORMAL")),
    ),
)
USAGE = "weightwatcher regions [-c FILE] [-KEY VALUE]…"


def wanted_bits(texts: Sequence[str]) -> int:
    """Bits that are named; BadSetting where a name means nothing."""
    bits = 0
    for text in texts:
        if text.upper() in PixelFlag.__members__:
            bits |= PixelFlag[text.upper()]
            continue
        try:
            bits |= int(text, 0)
        except ValueError:
            near = get_close_matches(text.upper(), PixelFlag.__members__, n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(PixelFlag.__members__)} was expected"
            raise BadSetting(f"FLAGS = {text}: {hint}") from None
    if not 0 <= bits < 2**31:
        raise BadSetting(f"FLAGS = {bits:#x}: bits of 31 were expected")
    return bits or 2**31 - 1 & ~PixelFlag.OVERSCAN


def run(values: Values) -> str:
    """Do what the settings say; return a line about it."""
    regions, moc = (Path(name) if name else None for name in (values.text("REGIONS_NAME"), values.text("MOC_NAME")))
    if regions is None and moc is None:
        raise BadSetting("nothing to make: REGIONS_NAME or MOC_NAME has to name a file")
    order = values.whole("MOC_ORDER")
    if not 0 <= order <= 19:
        raise BadSetting(f"MOC_ORDER = {order}: 0 to 19 was expected")
    work = _Work(values, Coverage(order) if moc else None)
    told = []
    if regions is not None:
        told.append(f"{write_regions(regions, work.lines())} regions")
    else:
        for _ in work.flags():
            pass
    if moc is not None and work.masked is not None:
        covered = work.masked.moc
        if work.seen is not None:
            covered = work.seen.moc.difference(covered)
        write_moc(moc, covered)
        told.append(f"{covered.sky_fraction * 41252.96:.4f} square degrees")
    return ", ".join(told)


class _Work:
    """One pass over a flag map."""

    def __init__(self, values: Values, masked: Coverage | None) -> None:
        self.mosaic = Mosaic(Path(values.text("FLAG_NAME")))
        self.inverted = values.switch("ZERO_IS_BAD")
        self.bits = wanted_bits(values.texts("FLAGS"))
        self.system = System(values.text("REGIONS_TYPE").lower())
        self.quiet = values.text("VERBOSE_TYPE") == "QUIET"
        self.masked = masked
        self.seen = Coverage(masked.order) if masked is not None and values.text("MOC_TYPE") == _GOOD else None

    def flags(self) -> Iterator[tuple[int, Sky, NDArray[np.integer]]]:
        """Give number, sky and flags of each CCD, the wanted bits of them, and take it into the MOC."""
        total = len(self.mosaic.extensions)
        for index, extension in enumerate(self.mosaic.extensions):
            if extension.bitpix < 0 or extension.bscale != 1.0:
                path = self.mosaic.path
                raise BadHeader(path, "no integer data", hdu=extension.hdu, remedy="flag maps hold integers")
            flags = self.mosaic.read(index)
            if self.inverted:
                flags = np.where(flags == 0, np.uint8(PixelFlag.BAD), np.uint8(0))
            flags &= np.array(self.bits & np.iinfo(flags.dtype).max).astype(flags.dtype)
            sky = Sky(extension.cards)
            inside = _illuminated(extension)
            self._cover(flags, inside, sky)
            yield index + 1, sky, _cut(flags, inside) if self.system.on_the_sky else flags
            if not self.quiet:
                sys.stderr.write(f"image {index + 1} of {total}: {np.count_nonzero(flags)} pixels\n")

    def _cover(self, flags: NDArray[np.integer], inside: Area, sky: Sky) -> None:
        if self.masked is not None:
            self.masked.add(_cut(flags, inside) != 0, sky)
        if self.seen is not None:
            self.seen.add_rectangle(inside.x0, inside.x1, inside.y0, inside.y1, sky)

    def lines(self) -> Iterator[str]:
        """Give the lines of the region file."""
        for tile, sky, flags in self.flags():
            found = int(np.bitwise_or.reduce(flags, axis=None))
            bits = [1 << place for place in range(31) if found >> place & 1]
            yield from flag_lines(flags, bits, tile=tile, system=self.system, sky=sky)


def _illuminated(extension: Extension) -> Area:
    """Part that saw the sky: DATASEC, or all."""
    ny, nx = extension.shape
    inside = Area.parse(extension.values.text("DATASEC"))
    return inside if inside is not None and inside.within((ny, nx)) else Area(0, nx, 0, ny)


def _cut(flags: NDArray[np.integer], inside: Area) -> NDArray[np.integer]:
    """Flags of the part that saw the sky: what lies beyond it on the sky may be seen by the next CCD."""
    seen = np.zeros_like(flags)
    part = slice(inside.y0, inside.y1), slice(inside.x0, inside.x1)
    seen[part] = flags[part]
    return seen


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; 0 where the files were made, 1 where a file hindered it, 2 where the settings did."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def do() -> str:
        begin = time.monotonic()
        values = TOOL.read(arguments)
        told = run(values)
        return "" if values.text("VERBOSE_TYPE") == "QUIET" else f"{told} in {time.monotonic() - begin:.2f} s"

    return TOOL.call(arguments, do, usage=USAGE)
