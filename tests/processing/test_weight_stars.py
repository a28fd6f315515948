"""Bright stars of a reference catalogue in the weight stage: their haloes are marked, whoever saturates or not."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from processing.cards import CardValues
from processing.flags import PixelFlag
from processing.mosaic import Mosaic
from processing.provenance import digest_of
from processing.recipes import WeightRecipe
from processing.weightwatcher import WeighedFrame, weigh_frame
from tests.support.sky_with_defects import SHAPE, Painted, paint

OFF = {name: {"on": False} for name in ("cosmics", "trails", "dead", "hot", "edges")}
RECIPE = WeightRecipe.model_validate(OFF)
SCALE = 5.14e-5
"""Degrees a pixel of the painted CCDs."""


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Painted:
    return paint(tmp_path_factory.mktemp("painted"), photometry={"PHOT_C": 26.0, "EXPTIME": 100.0})


def weigh(painted: Painted, place: Path, *catalogues: Path) -> WeighedFrame:
    return weigh_frame(
        painted.frame, flat=painted.flat, mask=painted.mask, star_catalogues=catalogues,
        into=place / "products", scratch=place / "scratch", recipe=RECIPE, workers=1,
    )  # fmt: skip


def catalogue(painted: Painted, path: Path, x: float, y: float, magnitude: float) -> Path:
    """A gzipped table with a star at a pixel, from 0, of the first CCD, and one on the other side of the sky."""
    header = fits.Header.fromstring(Mosaic(painted.frame).extensions[0].cards)
    ra, dec = WCS(header).wcs_pix2world(x, y, 0)
    text = f"field,ra_deg,dec_deg,vt_mag\nours,{ra:.7f},{dec:.7f},{magnitude}\nother,{ra - 180:.7f},{-dec:.7f},1.0\n"
    with gzip.open(path, "wt") as stream:
        stream.write(text)
    return path


def halo(made: WeighedFrame, ccd: int) -> np.ndarray:
    flags = Mosaic(made.products[1].path).read(ccd)
    return flags & int(PixelFlag.HALO) != 0


def test_a_star_of_a_catalogue_has_its_halo_where_the_sky_says_and_cores_have_none(
    painted: Painted, tmp_path: Path
) -> None:
    path = catalogue(painted, tmp_path / "stars.csv.gz", 420.0, 610.0, 9.0)
    made = weigh(painted, tmp_path, path)
    rows, columns = np.indices(SHAPE)
    away = np.hypot(columns - 420.0, rows - 610.0)
    marked = halo(made, 0)
    radius = float(away[marked].max())
    inside = (columns >= 30) & (columns < 1070) & (rows < 1140)

    # 9 mag at 16 mag a square arcsec at 1 arcmin: half of the noise of the sky (about 26 ADU) is met at this distance
    light = 10 ** (-0.4 * (9.0 - 26.0)) * 100.0
    expected = 60 / (3600 * SCALE) * (light * 10 ** (-0.4 * 16.0) * (3600 * SCALE) ** 2 / 13.0) ** 0.5
    assert radius == pytest.approx(expected, rel=0.1), "the noise is measured"
    assert (marked == ((away <= radius + 1e-6) & inside)).all()
    assert made.products[0].provenance["stars"] == f"stars.csv.gz {digest_of(path)}"
    history = fits.Header.fromstring(Mosaic(made.products[1].path).primary_cards)["HISTORY"]
    assert "stars.csv.gz" in "".join(history)


def test_haloes_cross_the_edges_of_ccds(painted: Painted, tmp_path: Path) -> None:
    path = catalogue(painted, tmp_path / "stars.csv.gz", 1100.0, 610.0, 7.0)
    made = weigh(painted, tmp_path, path)

    assert halo(made, 0).any()


@pytest.mark.parametrize("why", ["no star near", "no zero point"])
def test_saturated_cores_tell_where_the_catalogue_cannot(painted: Painted, tmp_path: Path, why: str) -> None:
    frame = painted
    if why == "no zero point":
        frame = paint(tmp_path / "painted")
        path = catalogue(frame, tmp_path / "stars.csv.gz", 420.0, 610.0, 9.0)
    else:
        path = tmp_path / "stars.csv"
        path.write_text("ra,dec,mag\n34.9,-52.5,3.0\n")
    told = weigh(frame, tmp_path / "told", path)
    without = weigh(frame, tmp_path / "without")

    assert told.summary["counts"] == without.summary["counts"]
    assert told.summary["counts"]["HALO"][1] > 0
    assert any("saturated cores" in note for note in told.summary["notes"])
    assert CardValues(Mosaic(told.products[0].path).extensions[0].cards).text("PRODTYPE") == "WEIGHT"
