"""LDAC catalogues and models of the PSF as files."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing import ldac, psf_model
from processing.errors import BadCatalogue, NotFits, Truncated
from processing.ldac import Catalogue
from processing.psf_model import PsfModel, Variation


def a_catalogue() -> Catalogue:
    kind = [("NUMBER", "i4"), ("X_IMAGE", "f4"), ("ALPHA_J2000", "f8"), ("FLAGS", "i2"), ("VIGNET", "f4", (3, 5))]
    rows = np.zeros(4, kind)
    rows["NUMBER"] = np.arange(1, 5)
    rows["ALPHA_J2000"] = 1.0 / 3.0
    rows["VIGNET"] = np.arange(15).reshape(3, 5)
    cards = fits.Header([("OBJECT", "M31"), ("SEXGAIN", 1.5)]).tostring(endcard=False, padding=False)
    return Catalogue(cards, rows, {"X_IMAGE": "pixel"}, {"X_IMAGE": "F11.4"})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "two.cat"
    ldac.write(path, [a_catalogue(), a_catalogue()])
    found = ldac.read(path)
    assert [each.hdu for each in found] == [2, 4]
    assert found[1].cards == a_catalogue().cards
    assert found[1].units == {"X_IMAGE": "pixel"}
    assert found[1].displays == {"X_IMAGE": "F11.4"}
    for name in a_catalogue().sources.dtype.names:
        assert np.array_equal(found[0].sources[name], a_catalogue().sources[name])


def test_another_reader_sees_the_same(tmp_path: Path) -> None:
    path = tmp_path / "one.cat"
    ldac.write(path, [a_catalogue()])
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "LDAC_IMHEAD", "LDAC_OBJECTS"]
        assert hdus[2].data["VIGNET"].shape == (4, 3, 5)
        assert hdus[2].columns["X_IMAGE"].unit == "pixel"
        assert "OBJECT  = 'M31" in str(hdus[1].data[0][0])


def test_bad_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.cat"
    with pytest.raises(NotFits, match="cannot be read"):
        ldac.read(path)
    path.write_text("# 1 NUMBER")
    with pytest.raises(NotFits, match="no FITS file"):
        ldac.read(path)
    ldac.write(path, [a_catalogue()])
    path.write_bytes(path.read_bytes()[:-2880])
    with pytest.raises(Truncated, match=r"bad.cat\[2\]"):
        ldac.read(path)
    fits.HDUList([fits.PrimaryHDU()]).writeto(path, overwrite=True)
    with pytest.raises(BadCatalogue, match="no LDAC_OBJECTS"):
        ldac.read(path)


def a_model() -> PsfModel:
    variation = Variation(("X_IMAGE", "Y_IMAGE"), (1, 1), (1000.5, 2000.0), (2000.0, 4000.0), (2,))
    images = np.random.default_rng(1).normal(size=(6, 5, 7)).astype(np.float32)
    return PsfModel(images, 1.0625, 4.99, variation, 118, 117, 1.03)


def test_terms_stand_in_the_original_s_order() -> None:
    assert a_model().variation.powers == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 2)]
    two = Variation(("A", "B"), (1, 2), (0.0, 0.0), (1.0, 1.0), (1, 2))
    assert two.powers == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]
    assert Variation().powers == [()]


def test_a_model_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.psf"
    psf_model.write(path, [a_model()])
    found = psf_model.read(path)[0]
    assert np.array_equal(found.images, a_model().images)
    assert (found.variation, found.step, found.loaded, found.accepted, found.chi2) == (
        a_model().variation, 1.0625, 118, 117, 1.03,
    )  # fmt: skip


def test_a_model_is_evaluated_at_a_place() -> None:
    model = a_model()
    x, y = 0.25, -0.5
    expected = np.tensordot([1, x, x * x, y, x * y, y * y], model.images, 1)
    # sums in float64 of float32 coefficients: only the last rounding differs
    assert np.allclose(model.at(1000.5 + x * 2000, 2000 + y * 4000), expected, atol=1e-6)


def test_coefficients_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = a_model()
    model.images[2, 1, 1] = np.nan
    psf_model.write(tmp_path / "x.psf", [model])
    with pytest.raises(BadCatalogue, match="no numbers"):
        psf_model.read(tmp_path / "x.psf")
