"""Stars less the model of their PSF."""

from pathlib import Path

import numpy as np
import pytest

from processing import ldac
from processing.psfex.clipping import limit_of
from processing.psfex.residuals import look
from processing.psfex.settings import Settings
from tests.processing.test_psfex import models_in, stars


def test_stars_less_their_models_leave_noise(tmp_path: Path) -> None:
    catalogue = stars()
    # a neighbour beside one star, as bright as 2 % of it
    row = catalogue.sources[7]
    row["VIGNET"] += 0.02 * np.roll(row["VIGNET"].clip(0), 7, axis=1)
    ldac.write(tmp_path / "a.cat", [catalogue])
    made = models_in(tmp_path / "a.cat", Settings())[0]
    found = made.residuals
    assert found.images.shape == found.chi.shape == (60, 45, 45)
    assert not found.accepted[7]
    assert made.model.accepted == np.count_nonzero(found.accepted) >= 55
    assert made.model.chi2 == pytest.approx(found.mean_chi2)
    # the aperture's flux of these is exact; resampling changes it by little
    assert np.abs(found.fluxes[found.accepted] / made.sample.fluxes[found.accepted] - 1.0).max() < 0.02
    assert found.images[0, :3, :3].tolist() == [[0.0] * 3] * 3
    assert (found.chi[:, 0, 0] == 0.0).all()
    # noise of these stars is far below the error of the kernel, which is the same for all
    assert np.median(found.relative) > 0.002
    assert found.relative[found.accepted].max() < 0.02


def test_chi2_is_of_the_pixels_that_the_model_covers(tmp_path: Path) -> None:
    ldac.write(tmp_path / "a.cat", [stars()])
    made = models_in(tmp_path / "a.cat", Settings(degrees=(0,)))[0]
    found = look(made.sample, made.model, 0.01)
    inside = np.count_nonzero(found.chi[0])
    assert found.chi2[0] == pytest.approx(found.chi[0].sum() / (inside - 1), rel=1e-5)
    assert inside < np.pi * (made.model.step * 12) ** 2 + 2.0 * np.pi * made.model.step * 12


def test_the_limit_is_that_of_the_clipped() -> None:
    chance = np.random.default_rng(1)
    narrow = chance.normal(1.0, 0.03, 500)
    assert limit_of(narrow) == pytest.approx(1.0 + 3 * 0.03, abs=0.01)
    wide = np.append(chance.normal(2.0, 0.2, 500), [9.0] * 20)
    assert limit_of(wide) == pytest.approx(2.0 + 3 * 0.2, abs=0.06)
    assert limit_of(np.array([1.0, 1.0])) == 1.0


def test_the_median_of_a_round_is_of_all_that_it_begins_with() -> None:
    chi = np.array([1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 9.0, 30.0])
    # 30 goes in the second round, whose median still knows it, 9 in the third; then the deviation stays
    first = chi[:-1].std(ddof=1)
    assert limit_of(np.append(chi[:-1], chi[-1])) == pytest.approx(1.9 + 3.0 * chi[:-2].std(ddof=1))
    assert np.median(chi[:-1]) + 3.0 * first < 9.0
