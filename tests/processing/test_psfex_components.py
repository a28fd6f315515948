"""Models made of the principal components of models."""

from pathlib import Path

import numpy as np
import pytest

from processing import ldac
from processing.psf_model import PsfModel, Variation
from processing.psfex.components import components
from processing.psfex.settings import Settings

from .test_psfex import models_in, stars


def test_components_span_what_the_models_are_made_of() -> None:
    draw = np.random.default_rng(2)
    one, other = draw.normal(size=(2, 9, 9)).astype(np.float32)
    linear = Variation(("X_IMAGE",), (1,), (0.0,), (1.0,), (1,))
    models = [PsfModel(np.stack([one, 0.2 * other]), 1.0, 4.0, linear), PsfModel(one[np.newaxis], 1.0, 4.0)]
    found = components(models, 5)
    assert len(found) == 2
    flat = found.reshape(2, -1)
    assert flat @ flat.T == pytest.approx(np.eye(2), abs=1e-9)
    for image in (one.ravel().astype(float), other.ravel().astype(float)):
        # float32 coefficients
        assert (image @ flat.T) @ flat == pytest.approx(image, abs=1e-4)


def test_models_of_components_have_one_sampling_and_lie_in_their_span(tmp_path: Path) -> None:
    path = tmp_path / "a.cat"
    ldac.write(path, [stars(), stars(seed=4), stars(0)])
    made = models_in(path, Settings(components=3, size=(25, 25), degrees=(1,)))
    assert made[0].model.step == made[1].model.step
    assert made[2].model.empty
    assert made[0].basis is not None
    rows, columns = np.mgrid[:25, :25] - 12
    # outside this circle the model is tapered
    inside = rows**2 + columns**2 < 30
    vectors = made[0].basis[:, inside].T
    for image in made[1].model.images:
        found = np.linalg.lstsq(vectors, image[inside], rcond=None)[0]
        assert vectors @ found == pytest.approx(image[inside], abs=1e-6)
