"""PSFs of points from models of PSFEx."""

from pathlib import Path

import numpy as np
import pytest

from processing import psf_model
from processing.errors import BadCatalogue, BadHeader, FileProblem
from processing.psf_model import PsfModel, Variation, without_stars
from processing.skymaker.psf_files import psf_from


def profile(sigma: float) -> np.ndarray:
    grid = np.arange(31) - 15
    return np.exp(-(grid**2 + grid[:, None] ** 2) / 2 / sigma**2) / (2 * np.pi * sigma**2)


def model(names: tuple[str, ...] = ("Y_IMAGE", "XWIN_IMAGE")) -> PsfModel:
    """As many groups as contexts; wider with the second context, which is x."""
    images = np.stack([profile(3.0), np.zeros((31, 31)), profile(3.1) - profile(2.9)]).astype(np.float32)
    return PsfModel(images, 0.5, 3.5, Variation(names, (1, 2), (500.0, 1000.0), (1000.0, 2000.0), (1, 1)))


def test_a_model_varies_as_its_contexts_do(tmp_path: Path) -> None:
    path = tmp_path / "a.psf"
    one = model()
    # terms of two groups of degree 1: 1, y, x, xy
    four = PsfModel(np.concatenate([one.images, one.images[1:2]]), one.step, one.fwhm, one.variation)
    psf_model.write(path, [four])
    psf = psf_from(path)
    assert psf.oversampling == 3
    middle, right, top = psf.at(999.0, 499.0), psf.at(1999.0, 499.0), psf.at(999.0, 999.0)
    assert np.array_equal(middle, top)
    # half a range to the right the profile is as wide as half the difference makes it
    assert right.max() / middle.max() == pytest.approx(9.0 * (1 / 3.0**2 + 0.5 / 3.1**2 - 0.5 / 2.9**2), rel=0.02)


def test_a_model_that_cannot_be_painted_is_named(tmp_path: Path) -> None:
    path, image = tmp_path / "a.psf", profile(3.0).astype(np.float32)
    psf_model.write(path, [without_stars((31, 31), Variation())])
    with pytest.raises(FileProblem, match=r"a.psf: a model of an image without stars"):
        psf_from(path)
    flux = Variation(("FLUX_AUTO",), (1,), (0.0,), (1.0,), (1,))
    psf_model.write(path, [PsfModel(np.stack([image, image]), 0.5, 3.5, flux)])
    with pytest.raises(BadHeader, match="varies with FLUX_AUTO"):
        psf_from(path)
    psf_model.write(path, [PsfModel(np.full((1, 31, 31), np.nan, np.float32), 0.5, 3.5)])
    with pytest.raises(BadCatalogue, match="no numbers"):
        psf_from(path)
