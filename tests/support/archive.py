"""A small archive for tests: the stand-in over a directory of tiny MegaCam files.

    async def test_something(served_archive):
        served_archive.offer("979412p")
        served_archive.faults.add(Dropped(after=1000))
        settings = ... registry=served_archive.registry ...

The fixture is found by tests whose folder's conftest.py imports it.
"""

import functools
import io
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from snooppix.standin.faults import Faults
from snooppix.standin.inventory import ending
from snooppix.standin.server import StandIn
from snooppix.standin.site import Access
from snooppix.standin.uploads import Uploads
from terapix.clock import Clock, SystemClock

ELIXIR = {
    "OBJECT": "UrsaMajII_4",
    "PI_NAME": "Marla Geha",
    "RUNID": "08AC14",
    "QRUNID": "08AQ05",
    "CRUNID": "08Am03",
    "OBSTYPE": "OBJECT",
    "EXPTYPE": "OBJECT",
    "INSTRUME": "MegaPrime",
    "INSTMODE": "Normal",
    "DETECTOR": "MegaCam",
    "RASTER": "FULL",
    "TELESCOP": "CFHT 3.6m",
    "ORIGIN": "CFHT",
    "FILTER": "r.MP9601",
    "EXPTIME": 468.332,
    "DATE-OBS": "2008-03-30",
    "UTC-OBS": "6:15:39.35",
    "MJD-OBS": 54555.2608722,
    "AIRMASS": 1.388,
    "TELALT": 46.09,
    "RELHUMID": 77.29,
    "TEMPERAT": -3.5,
    "PIXSCAL1": 0.185,
    "OBJRADEC": "FK5",
    "OBJRA": "8:49:43.20",
    "OBJDEC": "63:34:30.0",
    "RA_DEG": 132.43,
    "DEC_DEG": 63.575,
    "EQUINOX": 2000.0,
    "RADECSYS": "FK5",
    "REL_DATE": "2009-08-31T00:00:00",
}
"""Keywords of the real raw frame 979412o."""

PROCESSED = {
    "IMRED_IF": "979412o",
    "IMRED_OP": "MASK_BP + OVERSCAN + BIAS + FLAT-FIELD",
    "IMRED_MK": "2003A.mask.0.36.01",
    "IMRED_OV": "1DYMODEL_OVERSCAN",
    "IMRED_BS": "08Am03.bias.0.36.00",
    "IMRED_FF": "08Am03.flat.r.36.02",
    "DATEPROC": "2008-08-04T22:44:54",
    "EL_SYS": "2.0",
    "PHOT_C": 26.045,
    "PHOT_K": -0.1,
}
"""Keywords that Elixir adds, of the real 979412p."""

CALIBRATION = {"OBJECT": "Flats", "PI_NAME": "QSO Team", "RUNID": "08AQ99", "EXPTYPE": "FLAT", "OBSTYPE": "FLAT"}
MASK = {"OBJECT": "Bad Pixels Map", "RUNID": "00", "EXPTYPE": "MASK", "OBSTYPE": "MASK"}

Keywords = tuple[tuple[str, str | float | None], ...]


def small_fits(
    name: str, *, ccds: int = 36, shape: tuple[int, int] = (16, 32), seed: int = 1, **keywords: str | float | None
) -> bytes:
    """Make the bytes of a tiny mosaic with the keywords of a real one.

    Parameters
    ----------
    name : str
        ``979412p``, ``979412o``, ``08Am03.flat.r.36.02``: decides which keywords there are.
    ccds : int
        Number of extensions.
    shape : (ny, nx)
        Pixels of each, 16 bit, uncompressed.
    seed : int
        Another seed gives other pixels.
    keywords
        Put in place of those of the primary header; ``_`` stands for ``-``; None takes one out.
    """
    return _small_fits(name, ccds, shape, seed, tuple(sorted(keywords.items())))


@functools.lru_cache(maxsize=64)
def _small_fits(name: str, ccds: int, shape: tuple[int, int], seed: int, keywords: Keywords) -> bytes:
    given: dict[str, str | float | None] = dict(ELIXIR)
    if ".mask." in name:
        given |= MASK
    elif "." in name:
        given |= CALIBRATION
    elif name.endswith("p"):
        given |= PROCESSED
    if name[:-1].isdigit():
        given["EXPNUM"] = int(name[:-1])
    given |= {key.replace("_", "-") if key.replace("_", "-") in ELIXIR else key: text for key, text in keywords}
    kept = {key: text for key, text in given.items() if text is not None}
    primary = fits.PrimaryHDU()
    primary.header["NEXTEND"] = ccds
    primary.header["FILENAME"] = name
    primary.header.update(kept)
    pixels = np.random.default_rng(seed).integers(200, 400, (ccds, *shape)).astype(np.int16)
    hdus = fits.HDUList([primary])
    for index in range(ccds):
        image = fits.ImageHDU(pixels[index], name=f"ccd{index:02d}")
        image.header["EXTVER"] = index
        image.header.update({key: kept[key] for key in ("RUNID", "FILTER", "CRUNID") if key in kept})
        image.header.update(_wcs(index))
        hdus.append(image)
    file = io.BytesIO()
    hdus.writeto(file, checksum=True)
    return file.getvalue()


def _wcs(index: int) -> Mapping[str, str | float]:
    return {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 132.43,
        "CRVAL2": 63.575,
        "CRPIX1": -7300.4 + 2100.0 * (index % 9),
        "CRPIX2": 9635.9 - 4660.0 * (index // 9),
        "CD1_1": 5.12e-5,
        "CD1_2": 6.4e-7,
        "CD2_1": -6.4e-7,
        "CD2_2": 5.12e-5,
    }


class ServedArchive:
    """A stand-in and its directory."""

    def __init__(self, directory: Path, *, clock: Clock, access: Access | None = None) -> None:
        self.directory = directory
        self.faults = Faults()
        self.standin = StandIn(directory, faults=self.faults, clock=clock, access=access)

    @property
    def address(self) -> str:
        """Root of the services."""
        assert self.standin.address is not None
        return self.standin.address

    @property
    def uploads(self) -> Uploads:
        """Transactions that are open, and the bounds of their segments."""
        assert self.standin.site is not None
        return self.standin.site.uploads

    @property
    def registry(self) -> str:
        """What `archive.registry` of the settings must say."""
        return self.standin.registry

    def offer(self, name: str, *, content: bytes | None = None, seed: int = 1, **keywords: str | float | None) -> Path:
        """Put a file there, or another one under its name; tiny FITS unless the content is given."""
        file = name if ending(name) else f"{name}.fits.fz"
        path = self.directory / file
        new = path.with_name(f".{file}.new")
        new.write_bytes(small_fits(name, seed=seed, **keywords) if content is None else content)
        new.replace(path)
        return path

    def withdraw(self, name: str) -> None:
        """Take a file away."""
        (self.directory / (name if ending(name) else f"{name}.fits.fz")).unlink()

    def uri(self, name: str) -> str:
        """URI under which a file is listed."""
        return f"cadc:CFHT/{name if ending(name) else f'{name}.fits.fz'}"


@pytest.fixture
async def served_archive(tmp_path: Path) -> AsyncIterator[ServedArchive]:
    """A stand-in archive on loopback, over a directory that is empty at first."""
    directory = tmp_path / "archive"
    directory.mkdir()
    archive = ServedArchive(directory, clock=SystemClock())
    await archive.standin.start("127.0.0.1", 0)
    yield archive
    await archive.standin.close()
