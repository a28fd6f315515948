"""Changes of pixels, which are made only where they were asked for: 16 bits, tile compression and back."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from processing.missfits.findings import Finding
from processing.missfits.hdus import Hdu


class Pixels(StrEnum):
    """What is done to pixels."""

    NONE = "NONE"  #: not a byte is touched
    TOBITPIX16 = "TOBITPIX16"  #: rounded to integers of 16 bits
    COMPRESS = "COMPRESS"  #: RICE, where the original does nothing
    RICE = "RICE"  #: integers in Rice code, floats deflated
    GZIP = "GZIP"  #: all deflated
    UNCOMPRESS = "UNCOMPRESS"  #: images as they were before fpack or RICE and GZIP

    def name_of(self, path: Path) -> Path:
        """Name of a file whose pixels were changed: compressed ones end in .fz."""
        if self in {Pixels.COMPRESS, Pixels.RICE, Pixels.GZIP} and path.suffix != ".fz":
            return path.with_name(f"{path.name}.fz")
        return path.with_suffix("") if self is Pixels.UNCOMPRESS and path.suffix == ".fz" else path


def processed(hdus: Iterable[Hdu], *, kind: Pixels, zero: float, findings: list[Finding]) -> Iterator[Hdu]:
    """Give HDUs with their pixels changed; what was lost is added to `findings`."""
    if kind is Pixels.NONE:
        yield from hdus
    elif kind is Pixels.TOBITPIX16:
        from processing.missfits.sixteen import sixteen  # noqa: PLC0415  brings numpy, which most calls need not

        for hdu in hdus:
            yield from sixteen(hdu, zero, findings)
    else:
        from processing.missfits import packing  # noqa: PLC0415  brings the compiler

        yield from (
            packing.unpacked(hdus) if kind is Pixels.UNCOMPRESS else packing.packed(hdus, gzip=kind is Pixels.GZIP)
        )
