"""Several images of one file beside Debian's source-extractor, which takes them one behind the other."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from scipy.spatial import cKDTree

from processing import ldac
from processing.sextractor.command import main
from tests.processing.test_sextractor_tool import crowd

pytestmark = pytest.mark.reference

IMAGES = 4
COLUMNS = ("X_IMAGE", "Y_IMAGE", "FLUX_AUTO", "FLUX_ISO", "ISOAREAF_IMAGE", "FLAGS", "VIGNET(15,15)")
SHARE = Path("/usr/share/source-extractor")


def test_images_draw_random_numbers_one_behind_the_other_on_any_number_of_threads(
    program: Callable[[str, str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(crowd(seed)) for seed in range(IMAGES))]
    fits.HDUList(hdus).writeto("mosaic.fits")
    Path("m.param").write_text("\n".join(COLUMNS))
    words = [
        "mosaic.fits", "-PARAMETERS_NAME", "m.param", "-FILTER_NAME", str(SHARE / "default.conv"), "-GAIN", "2.0",
        "-CATALOG_TYPE", "FITS_LDAC", "-VERBOSE_TYPE", "QUIET", "-PIXEL_SCALE", "0.2", "-CATALOG_NAME",
    ]  # fmt: skip
    tool = program("source-extractor", "source-extractor")
    subprocess.run([tool, *words, "peer.cat"], check=True, capture_output=True)
    for threads in ("1", "3"):
        assert main([*words, "ours.cat", "-NTHREADS", threads]) == 0
        catalogues = [ldac.read(tmp_path / name) for name in ("ours.cat", "peer.cat")]
        assert len(catalogues[0]) == len(catalogues[1]) == IMAGES
        for mine, peer in zip(*catalogues, strict=True):
            ours, theirs = mine.sources, peer.sources
            assert len(ours) == len(theirs)
            assert np.count_nonzero(theirs["FLAGS"] & 2) > 10
            places = [np.c_[each["X_IMAGE"], each["Y_IMAGE"]] for each in (ours, theirs)]
            far, near = cKDTree(places[0]).query(places[1])
            assert far.max() < 2e-5  # single precision
            for name in ("ISOAREAF_IMAGE", "FLUX_ISO", "VIGNET"):
                assert np.allclose(ours[name][near], theirs[name], rtol=2e-6, atol=0.0), name
            for name in ("FLUX_AUTO", "FLAGS"):  # found 0 and 1 of 55: a neighbour's share is a tenth exactly
                assert np.count_nonzero(~np.isclose(ours[name][near], theirs[name], rtol=2e-6)) <= 1, name
