"""One model of the PSF for all images of a catalogue."""

from pathlib import Path

import numpy as np
import pytest

from processing import ldac
from processing.ldac import Catalogue
from processing.psfex.settings import Settings

from .test_psfex import NOISE, models_in, stars

COMMON = Settings(size=(25, 25), common=True)


def halves() -> list[Catalogue]:
    """The stars of one image on two, the left and the right one."""
    whole = stars(80)
    left = whole.sources["X_IMAGE"] < 1000.0
    return [Catalogue(whole.cards, whole.sources[left]), Catalogue(whole.cards, whole.sources[~left])]


def test_stars_of_two_images_are_fitted_as_if_they_were_on_one(tmp_path: Path) -> None:
    two, one = tmp_path / "two.cat", tmp_path / "one.cat"
    ldac.write(two, halves())
    whole = Catalogue(halves()[0].cards, np.concatenate([each.sources for each in halves()]))
    ldac.write(one, [whole])
    made, expected = models_in(two, COMMON), models_in(one, Settings(size=(25, 25)))[0].model
    assert np.array_equal(made[0].model.images, made[1].model.images)
    assert made[0].model.variation == expected.variation
    # the order of stars is the same, but sums may be taken in another
    assert made[0].model.images == pytest.approx(expected.images, abs=1e-7)
    assert sum(each.model.loaded for each in made) == expected.loaded


def test_each_image_has_its_own_noise(tmp_path: Path) -> None:
    quiet, loud = halves()
    cards = loud.cards.replace(f"= {NOISE:20}", f"= {100 * NOISE:20}")
    assert cards != loud.cards
    for name, catalogues in (("same.cat", [quiet, loud]), ("loud.cat", [quiet, Catalogue(cards, loud.sources)])):
        ldac.write(tmp_path / name, catalogues)
    same, other = (models_in(tmp_path / name, COMMON) for name in ("same.cat", "loud.cat"))
    assert not np.array_equal(same[0].model.images, other[0].model.images)
    # chi2 is told with the noise of the image
    assert other[1].model.chi2 < 0.1 * same[1].model.chi2
    assert other[0].model.chi2 == pytest.approx(same[0].model.chi2, rel=0.2)


def test_an_image_without_stars_has_the_common_model(tmp_path: Path) -> None:
    one, other = halves()
    other.sources["SNR_WIN"] = 3.0
    ldac.write(tmp_path / "a.cat", [one, other])
    made = models_in(tmp_path / "a.cat", COMMON)
    assert np.array_equal(made[0].model.images, made[1].model.images)
    assert (made[1].model.loaded, made[1].model.accepted, made[1].verdict) == (0, 0, "")
    assert len(made[1].residuals.chi2) == 0
