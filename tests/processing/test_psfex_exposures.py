"""Models that several catalogues have a part in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from processing import psf_model
from processing.astromatic import files_and_settings
from processing.errors import BadCatalogue
from processing.ldac import Catalogue
from processing.psf_model import PsfModel, Variation
from processing.psfex.command import main, settings_of
from processing.psfex.exposures import Exposure, models_of_all
from processing.psfex.hidden import at_hidden, dependencies
from processing.psfex.keys import TOOL
from processing.psfex.sample import NoStars
from processing.psfex.settings import Hidden, Settings

from .test_psfex import BARE, stars, written

HIDDEN = Hidden(("X_IMAGE", "HIDDEN1"), (1, 2), (1, 1))
SEQUENCE = Settings(contexts=("X_IMAGE",), groups=(1,), degrees=(1,), sequence=True, size=(21, 21))


def wider(factor: float, seed: int = 3) -> Catalogue:
    """The same stars, whose light is spread over a wider core."""
    made = stars(40, seed)
    rows = made.sources
    grid = np.arange(rows["VIGNET"].shape[1]) - rows["VIGNET"].shape[1] // 2
    for row in rows:
        x, y = (row[name] - np.floor(row[name] + 0.5) for name in ("X_IMAGE", "Y_IMAGE"))
        sigma = row["FLUX_RADIUS"] / 1.1774 * factor
        shape = np.exp(-((grid - x) ** 2 + (grid[:, None] - y) ** 2) / 2 / sigma**2)
        row["VIGNET"] = row["FLUX_APER"] * shape / (2 * np.pi * sigma**2)
        row["FLUX_RADIUS"] *= factor
    return made


def exposures(*factors: float) -> list[Exposure]:
    return [Exposure(Path(f"{k}.cat"), [wider(factor, 10 + k)]) for k, factor in enumerate(factors)]


def peaks(settings: Settings, *factors: float) -> list[float]:
    """Peaks of the models in the middle of the field, whatever their sampling."""
    made = models_of_all(exposures(*factors), settings)
    return [float(row[0].model.at(1000.0).max()) for row in made]


def test_a_sequence_has_one_model_and_is_seen_by_each_exposure() -> None:
    made = models_of_all(exposures(1.0, 1.1), SEQUENCE)
    one, other = (row[0].model for row in made)
    assert np.array_equal(one.images, other.images)
    assert one.variation == other.variation
    # the sampling is that of the sharper exposure
    assert one.step == pytest.approx(0.5 / 2.35 * min(row[0].sample.fwhm for row in made))
    alone = [float(np.median(row[0].residuals.chi2)) for row in models_of_all(exposures(1.0), SEQUENCE)]
    assert all(np.median(row[0].residuals.chi2) > 3 * alone[0] for row in made)


def test_a_sequence_is_what_one_catalogue_of_all_its_images_is() -> None:
    apart = exposures(1.0, 1.05)
    joined = [Exposure(Path("a.cat"), [each.catalogues[0] for each in apart])]
    one = models_of_all(apart, replace(SEQUENCE, by_seeing=False))
    other = models_of_all(joined, replace(SEQUENCE, sequence=False, common=True))
    assert np.array_equal(one[0][0].model.images, other[0][0].model.images)


def test_hidden_dependencies_tell_exposures_apart() -> None:
    factors = (1.0, 1.04, 1.09, 1.12)
    truth = peaks(replace(SEQUENCE, sequence=False, step=0.9), *factors)
    hidden = peaks(replace(SEQUENCE, step=0.9, hidden=HIDDEN), *factors)
    blind = peaks(replace(SEQUENCE, step=0.9), *factors)
    # a straight line through four widths of one parameter leaves this much
    assert hidden == pytest.approx(truth, rel=0.01)
    assert np.ptp(blind) == 0.0
    assert np.ptp(truth) > 0.15 * truth[0]


def test_hidden_contexts_are_what_differs_most() -> None:
    draw = np.random.default_rng(1)
    base, first, second = draw.normal(size=(3, 9, 9))
    amounts = np.array([[0.0, 0.1], [1.0, -0.1], [2.5, 0.1], [-1.0, 0.0]])
    models = [[PsfModel((base + a * first + b * second)[np.newaxis].astype(np.float32), 1.0, 4.0)] for a, b in amounts]
    found = dependencies(models, 3)
    assert abs(np.corrcoef(found[:, 0], amounts[:, 0])[0, 1]) > 0.999
    assert np.ptp(found[:, 1]) > 0.1
    assert np.abs(found[:, 2]).max() < 1e-5


def test_a_model_at_hidden_values_is_the_whole_one_there() -> None:
    draw = np.random.default_rng(4)
    names = ("HIDDEN1", "X_IMAGE", "HIDDEN2", "Y_IMAGE")
    whole = Variation(names, (1, 2, 1, 2), (1.0, 500.0, -2.0, 900.0), (2.0, 1000.0, 4.0, 1800.0), (2, 2))
    visible = Variation(("X_IMAGE", "Y_IMAGE"), (1, 1), (500.0, 900.0), (1000.0, 1800.0), (2,))
    model = PsfModel(draw.normal(size=(len(whole.powers), 5, 5)).astype(np.float32), 1.0, 3.0, whole)
    seen = at_hidden(model, visible, np.array([1.4, -3.0]))
    assert seen.images.shape == (6, 5, 5)
    assert seen.at(300.0, 1200.0) == pytest.approx(model.at(1.4, 300.0, -3.0, 1200.0), abs=1e-5)


def test_components_may_be_of_each_extension_by_itself() -> None:
    pairs = [Exposure(Path(f"{k}.cat"), [wider(f, 10 + k), wider(1.3 * f, 20 + k)]) for k, f in enumerate((1.0, 1.1))]
    apart, whole = (
        models_of_all(pairs, replace(SEQUENCE, sequence=False, components=2, components_apart=each))
        for each in (True, False)
    )
    for made, equal in ((apart, False), (whole, True)):
        bases = [each.basis for each in made[0]]
        assert bases[0] is not None
        assert bases[1] is not None
        assert np.array_equal(bases[0], bases[1]) is equal
        assert made[0][0].model.step == made[1][0].model.step
        assert (made[0][0].model.step == made[0][1].model.step) is equal


def test_catalogues_that_share_must_have_as_many_images() -> None:
    one, other = exposures(1.0, 1.1)
    more = Exposure(Path("b.cat"), [*other.catalogues, *other.catalogues])
    with pytest.raises(BadCatalogue, match=r"b.cat: 2 images, where 0.cat has 1"):
        models_of_all([one, more], SEQUENCE)
    assert [len(row) for row in models_of_all([one, more], replace(SEQUENCE, sequence=False))] == [1, 2]


def test_an_exposure_without_stars_has_the_sequence_s_model_but_tells_nothing_hidden() -> None:
    one, other = exposures(1.0, 1.1)
    empty = Exposure(Path("none.cat"), [stars(0)])
    made = models_of_all([one, empty, other], SEQUENCE)
    assert np.array_equal(made[1][0].model.images, made[0][0].model.images)
    assert (made[1][0].model.loaded, made[1][0].verdict) == (0, "")
    with pytest.raises(NoStars, match=r"none.cat: no star among 0 sources"):
        models_of_all([one, empty, other], replace(SEQUENCE, hidden=HIDDEN))


def test_groups_that_are_left_without_hidden_contexts_are_numbered_anew() -> None:
    words = "-PSFVAR_KEYS HIDDEN1,X_IMAGE,HIDDENb,:AIRMASS -PSFVAR_GROUPS 1,2,3,4 -PSFVAR_DEGREES 1,2,1,3"
    settings = settings_of(TOOL.read(files_and_settings(["a.cat", *words.split()])[1]))
    assert (settings.contexts, settings.groups, settings.degrees) == (("X_IMAGE", ":AIRMASS"), (1, 2), (2, 3))
    assert settings.hidden is not None
    assert settings.hidden.number == 2


def test_the_tool_says_where_hidden_contexts_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = written(tmp_path / "a.cat", wider(1.0)), written(tmp_path / "b.cat", wider(1.1))
    words = ["-PSFVAR_KEYS", "X_IMAGE,HIDDEN1", "-PSFVAR_GROUPS", "1,2", "-PSFVAR_DEGREES", "1,1", *BARE]
    for paths, more, told in (
        ([one], ["-STABILITY_TYPE", "SEQUENCE"], "of one catalogue"),
        ([one, other], [], "without STABILITY_TYPE SEQUENCE"),
        ([one, other], ["-STABILITY_TYPE", "SEQUENCE", "-MEF_TYPE", "COMMON"], "with MEF_TYPE COMMON"),
        ([one, other], ["-STABILITY_TYPE", "SEQUENCE"], ""),
    ):
        assert main([*map(str, paths), *words, *more]) == 0
        found = capsys.readouterr().err
        assert (f"have no effect {told}" in found) is bool(told)
    models = [psf_model.read(tmp_path / f"{name}.psf")[0] for name in "ab"]
    assert models[0].variation == models[1].variation
    assert models[0].variation.names == ("X_IMAGE",)
    assert not np.array_equal(models[0].images, models[1].images)
