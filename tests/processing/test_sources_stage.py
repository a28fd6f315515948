"""The sources stage from files to files: sources and PSF are those of the stars that were put there."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from processing import ldac, psf_model
from processing.errors import FileProblem
from processing.provenance import digest_of
from processing.recipes import PsfSample, SourcesRecipe, WeightRecipe
from processing.sextractor.exposure import Names, of_files
from processing.sextractor.session import Session
from processing.sextractor.table_header import PRIMARY
from processing.sources import CataloguedFrame, catalogue_frame
from processing.sources.ccd import PSF_COLUMNS, CcdSources, CcdWork, find_sources, settings_of
from tests.support.mosaics import make_mosaics
from tests.support.starfields import FLUX, SCALE, SIGMA, StarField, make_star_field

RECIPE, WEIGHTS = SourcesRecipe(mesh=64), WeightRecipe()
FWHM = 2.3548 * SIGMA * SCALE
"""Arcseconds."""


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> StarField:
    return make_star_field(tmp_path_factory.mktemp("stars"))


def catalogue(field: StarField, place: Path, **options: Any) -> CataloguedFrame:
    given = {"weight": field.weight, "flag": field.flag, "recipe": RECIPE, "weights": WEIGHTS, "workers": 1}
    return catalogue_frame(field.frame, into=place / "products", scratch=place / "scratch", **{**given, **options})


@pytest.fixture(scope="module")
def made(field: StarField, tmp_path_factory: pytest.TempPathFactory) -> CataloguedFrame:
    return catalogue(field, tmp_path_factory.mktemp("made"), provenance={"frame": "md5:aa", "generation": "1"})


def test_the_catalogue_has_the_stars_of_each_ccd_and_no_images_of_them(field: StarField, made: CataloguedFrame) -> None:
    kinds = {product.kind: product for product in made.products}
    assert {kind: product.path.name for kind, product in kinds.items()} == {
        "catalogue": "979412p.ldac", "psf": "979412p.psf"
    }  # fmt: skip
    for product in made.products:
        assert (product.size, f"md5:{product.md5}") == (product.path.stat().st_size, digest_of(product.path))
    for read, places in zip(ldac.read(kinds["catalogue"].path), field.places, strict=True):
        assert "VIGNET" not in (read.sources.dtype.names or ())
        assert len(read.sources) == len(places)
        for x, y in places:
            found = np.hypot(read.sources["XWIN_IMAGE"] - x, read.sources["YWIN_IMAGE"] - y)
            assert found.min() < 0.05, "a star with a signal of 600 noises is known to a hundredth of a pixel"
        flux = read.sources["FLUX_APER"][:, 1].astype(np.float64)  # 16 pixels hold all of a star
        np.testing.assert_allclose(flux, FLUX, rtol=0.03)  # neighbours are 25 pixels away; noise is 0.3 %


def test_the_psf_of_a_ccd_is_fitted_to_its_sources(field: StarField, made: CataloguedFrame) -> None:
    tables = [each.sources for each in ldac.read(made.products[0].path)]
    for sources in tables[:2]:
        # a model of 100 stars with a signal of 600 noises, less what lies beyond its 25 samples
        np.testing.assert_allclose(sources["FLUX_PSF"], FLUX, rtol=0.03)
        np.testing.assert_allclose(sources["MAG_PSF"], 30.0 - 2.5 * np.log10(FLUX), atol=0.03)
        assert np.abs(sources["SPREAD_MODEL"]).max() < 2e-3
        assert sources["STAR_PROB"].min() > 0.5
    assert len({each.dtype for each in tables}) == 1, "CCDs without a PSF have the same columns"


def found_on(field: StarField, ccd: int, recipe: SourcesRecipe) -> CcdSources:
    names = Names(str(field.frame), weights=(str(field.weight),), flags=(str(field.flag),))
    exposures = of_files(names, settings_of(recipe))
    return find_sources(CcdWork(exposures[ccd], recipe, "ccd"))


def sources_of(found: CcdSources, path: Path) -> Any:
    path.write_bytes(PRIMARY + found.hdus)
    return ldac.read(path)[0].sources


def test_without_photometry_or_without_a_psf_the_other_columns_are_the_same(field: StarField, tmp_path: Path) -> None:
    plain = RECIPE.model_copy(update={"psf": PsfSample(photometry=False)})
    no_star = RECIPE.model_copy(update={"psf": PsfSample(signal_to_noise=1e9)})
    with_psf = RECIPE
    columns = set(settings_of(RECIPE).columns)
    assert {"MAG_AUTO", "VIGNET(35,35)"} <= columns
    found = {name: found_on(field, 0, each) for name, each in (("no", plain), ("none", no_star), ("yes", with_psf))}
    tables = {name: sources_of(each, tmp_path / f"{name}.ldac") for name, each in found.items()}
    names = tables["no"].dtype.names
    assert not set(names) & set(PSF_COLUMNS)
    assert set(tables["yes"].dtype.names) == set(tables["none"].dtype.names) == {*names, *PSF_COLUMNS}
    for name in names:
        for other in ("yes", "none"):
            assert np.array_equal(tables["no"][name], tables[other][name], equal_nan=True), name
    assert found["none"].model is None
    assert "no star among" in str(found["none"].verdict)
    assert not tables["none"]["FLUX_PSF"].any()
    assert set(tables["none"]["MAG_PSF"]) == {99.0}
    assert np.isnan(tables["none"]["STAR_PROB"]).all()
    assert found["none"].warnings == found["yes"].warnings, "the verdict says it"


def test_images_are_cut_of_stars_only(field: StarField, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a CCD's sources would be 5 MB a thousand."""
    cut: list[tuple[int, ...]] = []
    vignettes = Session.vignettes

    def counted(image: Session, rows: Any) -> Any:
        made = vignettes(image, rows)
        cut.append(made.shape)
        assert "VIGNET" not in image.base
        return made

    monkeypatch.setattr(Session, "vignettes", counted)
    few = RECIPE.model_copy(update={"psf": PsfSample(fwhm=(4.0, 4.1))})
    found = found_on(field, 0, few)
    assert found.model is not None
    assert cut == [(found.model.loaded, 35, 35)]
    assert found.model.loaded < found.sources


def test_the_psf_is_that_of_the_stars_and_a_ccd_without_any_gets_a_verdict(made: CataloguedFrame) -> None:
    models = psf_model.read(made.products[1].path)
    assert [model.accepted > 0 for model in models] == [True, True, False]
    assert [model.variation.degrees for model in models] == [(2,), (2,), ()]
    assert not models[2].images.any()

    by_ccd = made.summary["by_ccd"]
    assert by_ccd["name"] == ["ccd00", "ccd01", "ccd02"]
    assert made.summary["sources"] == sum(by_ccd["sources"]) == 200
    assert made.summary["stars"] == sum(by_ccd["stars"]) > 150
    assert by_ccd["fwhm"][:2] == pytest.approx([FWHM, FWHM], rel=0.03), "pixels widen a star of 4 pixels by 2 %"
    assert max(by_ccd["ellipticity"][:2]) < 0.01
    assert by_ccd["fwhm"][2] is by_ccd["angle"][2] is by_ccd["chi2"][2] is None
    assert all(-90.0 <= angle <= 90.0 for angle in by_ccd["angle"][:2])
    assert all(0.5 < chi2 < 2.0 for chi2 in by_ccd["chi2"][:2]), "noise and photons are all that there is"
    assert "no star" in made.summary["verdicts"]["ccd02"]
    assert set(made.summary["verdicts"]) == {"ccd02"}
    assert made.summary["seeing"] == pytest.approx(FWHM, rel=0.03)
    assert made.summary["background"] == pytest.approx(800, abs=1)


def test_products_tell_what_they_were_made_of(made: CataloguedFrame) -> None:
    for product in made.products:
        assert product.provenance["recipe"] == RECIPE.digest_with(WEIGHTS)
        assert product.provenance["frame"] == "979412p.fits.fz md5:aa"
        assert product.provenance["weight"].startswith("979412p_weight.fits.fz md5:")
        with fits.open(product.path) as opened:
            told = "".join(str(opened[0].header["HISTORY"]).split("\n"))
        assert "terapix: weight: 979412p_weight.fits.fz md5:" in told


def test_the_same_bytes_come_of_any_number_of_workers(field: StarField, made: CataloguedFrame, tmp_path: Path) -> None:
    again = catalogue(field, tmp_path, workers=2, provenance={"frame": "md5:aa", "generation": "1"})
    assert [product.md5 for product in again.products] == [product.md5 for product in made.products]


@pytest.mark.parametrize("step", ["sources.half", "sources.written", "sources.renamed"])
def test_who_is_killed_leaves_nothing_half_and_is_retaken(
    step: str, field: StarField, made: CataloguedFrame, tmp_path: Path
) -> None:
    died = tmp_path / "died"
    died.mkdir()
    call = (
        "from pathlib import Path; import sys; from tests.processing.test_sources_stage import catalogue;"
        "from tests.support.starfields import StarField; paths = [Path(each) for each in sys.argv[2:]];"
        "catalogue(StarField(*paths, places=[]), Path(sys.argv[1]), provenance={'frame': 'md5:aa', 'generation': '1'})"
    )
    files = [str(path) for path in (field.frame, field.weight, field.flag)]
    killed = subprocess.run(
        [sys.executable, "-c", call, str(tmp_path), *files],
        env={**os.environ, "TERAPIX_DIE_AT": step, "TERAPIX_DIE_ONCE": str(died)}, check=False, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == -9, killed.stderr.decode()
    left = sorted(path.name for path in (tmp_path / "products").glob("*"))
    assert left == (["979412p.ldac", "979412p.psf"] if step == "sources.renamed" else [])

    again = catalogue(field, tmp_path, provenance={"frame": "md5:aa", "generation": "1"})

    assert [product.md5 for product in again.products] == [product.md5 for product in made.products]
    assert list((tmp_path / "scratch").iterdir()) == [], "the killed one's directory is gone too"


def test_maps_of_another_frame_are_refused_by_name(field: StarField, tmp_path: Path) -> None:
    other = make_mosaics(tmp_path / "other")
    with pytest.raises(FileProblem, match=r"08Am03.*90 x 100"):
        catalogue(field, tmp_path, weight=other.flat)
    assert not (tmp_path / "products").exists()


def test_few_stars_make_a_simpler_psf_and_the_summary_says_so(tmp_path: Path) -> None:
    few = make_star_field(tmp_path / "few", stars=(9,))
    summary = catalogue(few, tmp_path).summary
    assert summary["verdicts"]["ccd00"] == "9 stars allow degree 1 of the PSF, 2 is wanted"
    assert summary["seeing"] == pytest.approx(FWHM, rel=0.03)


def test_another_recipe_of_the_weights_is_another_recipe_of_the_sources() -> None:
    digests = {RECIPE.digest_with(WEIGHTS), SourcesRecipe(mesh=32).digest_with(WEIGHTS)}
    assert len(digests | {RECIPE.digest_with(WeightRecipe(weight_step=0.01))}) == 3
