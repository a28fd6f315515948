"""Refined models of the PSF beside those of Debian's psfex 3.21, from catalogues of painted stars."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing import ldac, psf_model
from processing.ldac import Catalogue
from processing.psf_model import PsfModel
from processing.psfex.basis import gauss_laguerre
from processing.psfex.command import main

pytestmark = pytest.mark.reference

SIDE, NOISE, GAIN, OVER = 35, 10.0, 1.6, 5
WIDTH, HEIGHT = 2112, 4644
QUIET = ["-CHECKPLOT_TYPE", "NONE", "-CHECKPLOT_DEV", "NULL", "-CHECKIMAGE_TYPE", "NONE", "-WRITE_XML", "N"]


def painted(number: int = 60, seed: int = 5, fwhm: float = 2.4, bright: tuple[float, float] = (4.0, 5.5)) -> Catalogue:
    """Moffat stars that get wider along x, integrated over pixels, with the noise of background and photons."""
    draw = np.random.default_rng(seed)
    names = ("X_IMAGE", "Y_IMAGE", "FLUX_RADIUS", "SNR_WIN", "FLUX_APER", "FLUXERR_APER", "ELONGATION")
    rows = np.zeros(number, [*((name, "f4") for name in names), ("FLAGS", "i2"), ("VIGNET", "f4", (SIDE, SIDE))])
    rows["X_IMAGE"], rows["Y_IMAGE"] = draw.uniform(30, WIDTH - 30, number), draw.uniform(30, HEIGHT - 30, number)
    rows["FLUX_APER"] = 10 ** draw.uniform(*bright, number)
    rows["FLUXERR_APER"], rows["SNR_WIN"], rows["ELONGATION"] = 100.0, 200.0, 1.02
    grid = (np.arange(SIDE * OVER) - (SIDE * OVER - 1) / 2) / OVER
    for row in rows:
        width = fwhm * (1 + 0.1 * (row["X_IMAGE"] / WIDTH - 0.5))
        alpha = width / 2 / np.sqrt(2 ** (1 / 3) - 1)
        x, y = (row[name] - np.floor(row[name] + 0.5) for name in ("X_IMAGE", "Y_IMAGE"))
        fine = (1 + ((grid - x) ** 2 + (1.05 * (grid[:, None] - y)) ** 2) / alpha**2) ** -3.0
        star = row["FLUX_APER"] * 2 / np.pi / alpha**2 * fine.reshape(SIDE, OVER, SIDE, OVER).mean(axis=(1, 3))
        row["VIGNET"] = star + draw.normal(0, 1, star.shape) * np.sqrt(NOISE**2 + star / GAIN)
        row["FLUX_RADIUS"] = width / 2 * 1.05
    image = [("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2), ("NAXIS1", WIDTH), ("NAXIS2", HEIGHT)]
    cards = fits.Header([*image, ("SEXBKDEV", NOISE), ("SEXGAIN", GAIN), ("SEXSATLV", 65000.0)])
    return Catalogue(cards.tostring(endcard=False, padding=False), rows)


Both = Callable[[Sequence[Catalogue], Sequence[str]], tuple[list[PsfModel], list[PsfModel]]]


@pytest.fixture
def both(program: Callable[[str, str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Both:
    """Return models of our tool and of the peer."""
    tool = program("psfex", "psfex")

    def make(catalogues: Sequence[Catalogue], words: Sequence[str]) -> tuple[list[PsfModel], list[PsfModel]]:
        ldac.write(tmp_path / "stars.cat", catalogues)
        fits.PrimaryHDU(gauss_laguerre((25, 25), 1.0, 5)).writeto(tmp_path / "basis.fits", overwrite=True)
        command = [tool, "stars.cat", *QUIET, *words, "-PSF_SUFFIX", ".peer", "-HOMOKERNEL_SUFFIX", ".peer.fits"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        monkeypatch.chdir(tmp_path)
        assert main(["stars.cat", "-VERBOSE_TYPE", "QUIET", *QUIET, *words]) == 0
        return psf_model.read(tmp_path / "stars.psf"), psf_model.read(tmp_path / "stars.peer")

    return make


def apart(ours: PsfModel, peer: PsfModel) -> float:
    """Return the largest difference of pixels all over the image, over the peak."""
    at = np.array([(x, y) for x in (50.0, 1056.0, 2050.0) for y in (50.0, 2322.0, 4600.0)])
    at = at[:, : len(peer.variation.names)]
    theirs = peer.many(at)
    return float(np.abs(ours.many(at) - theirs).max() / theirs.max())


@pytest.mark.parametrize(
    "words",
    [
        "-PSFVAR_DEGREES 1",
        "-BASIS_NUMBER 5",
        "-BASIS_TYPE PIXEL -PSF_SAMPLING 0.8",
        "-BASIS_TYPE PIXEL -BASIS_NUMBER 30 -PSFVAR_DEGREES 0",
        "-BASIS_TYPE PIXEL -BASIS_NUMBER 15 -PSF_SIZE 41,41 -PSF_SAMPLING 0.9 -PSFVAR_DEGREES 1",
        "-BASIS_TYPE GAUSS-LAGUERRE -BASIS_NUMBER 7 -BASIS_SCALE 0.8",
        "-BASIS_TYPE FILE -PSFVAR_DEGREES 1",
    ],
)
def test_undersampled_stars_are_super_resolved_as_by_the_peer(both: Both, words: str) -> None:
    (ours,), (peer,) = both([painted()], words.split())
    assert (ours.loaded, ours.step, ours.fwhm) == (
        peer.loaded,
        pytest.approx(peer.step, rel=1e-6),
        pytest.approx(peer.fwhm, rel=1e-3),
    )
    # found 1e-4; one clipped star more or less would move pixels by 3e-3 of the peak
    assert apart(ours, peer) < 1e-3
    assert abs(ours.accepted - peer.accepted) <= 1
    assert ours.chi2 == pytest.approx(peer.chi2, rel=0.02)


def test_the_peer_s_stars_are_clipped_where_many_do_not_fit(both: Both) -> None:
    # a constant model of stars that vary: their chi is as broad as it is high, and clipping goes on for many rounds
    ours, peer = both([painted(40 + 10 * k, k, 4.4, (4.0, 5.7)) for k in range(4)], ["-PSFVAR_DEGREES", "0"])
    for one, other in zip(ours, peer, strict=True):
        assert one.accepted == other.accepted
        assert one.chi2 == pytest.approx(other.chi2, rel=1e-3)
        assert apart(one, other) < 3e-4


@pytest.mark.parametrize("words", ["-PSFVAR_DEGREES 2", "-PSFVAR_DEGREES 0 -PSF_SIZE 31,21 -HOMOBASIS_NUMBER 5"])
def test_kernels_of_homogenisation_are_the_peer_s(both: Both, tmp_path: Path, words: str) -> None:
    wanted = ["-HOMOBASIS_TYPE", "GAUSS-LAGUERRE", "-HOMOBASIS_NUMBER", "3", "-HOMOPSF_PARAMS", "6.0,3.0"]
    catalogues = [painted(60, 1, 4.4, (4.0, 5.0)), painted(60, 2, 4.4, (4.0, 5.0))]
    both(catalogues, [*wanted, *words.split()])
    with fits.open(tmp_path / "stars.homo.fits") as one, fits.open(tmp_path / "stars.peer.fits") as other:
        assert [hdu.name for hdu in one] == [hdu.name for hdu in other]
        for mine, theirs in zip(one[1:], other[1:], strict=True):
            assert mine.data.shape == theirs.data.shape
            # found 2e-5, from the models; the kernels of the same model are the same to 3e-7
            assert np.abs(mine.data - theirs.data).max() < 1e-3 * theirs.data.max()
            for keyword in ("POLNAXIS", "POLNGRP", "PSF_FWHM", "PSF_BETA"):
                assert mine.header[keyword] == theirs.header[keyword]


def test_one_model_of_all_images_is_the_peer_s(both: Both) -> None:
    catalogues = [painted(40 + 5 * k, k, 4.2 + 0.2 * k, (4.0, 5.5)) for k in range(3)]
    ours, peer = both(catalogues, ["-MEF_TYPE", "COMMON", "-PSFVAR_DEGREES", "1"])
    for one, other in zip(ours, peer, strict=True):
        assert one.fwhm == pytest.approx(other.fwhm, rel=1e-6)
        assert one.variation.zeros == pytest.approx(other.variation.zeros, rel=1e-9)
        # found 1e-5
        assert apart(one, other) < 3e-4


@pytest.mark.parametrize(("fwhm", "kind"), [(4.4, "NONE"), (2.4, "NONE"), (2.4, "PIXEL_AUTO")])
def test_stars_are_recentred_as_by_the_peer(both: Both, fwhm: float, kind: str) -> None:
    words = ["-PSF_RECENTER", "Y", "-PSFVAR_DEGREES", "1", "-BASIS_TYPE", kind]
    (ours,), (peer,) = both([painted(60, 3, fwhm, (4.2, 5.5))], words)
    # found 5e-5
    assert apart(ours, peer) < 3e-4
    # stars at the limit: that of models that are not refined, of sharp stars, is where many are
    assert abs(ours.accepted - peer.accepted) <= 2


@pytest.mark.parametrize("kind", ["NONE", "PIXEL"])
def test_pixels_without_value_count_as_by_the_peer(both: Both, kind: str) -> None:
    catalogue = painted(60, 16, 4.4)
    vignettes = catalogue.sources["VIGNET"]
    vignettes[np.random.default_rng(2).random(vignettes.shape) < 0.01] = -1e30
    (ours,), (peer,) = both([catalogue], ["-BASIS_TYPE", kind, "-BASIS_NUMBER", "12", "-PSFVAR_DEGREES", "1"])
    # found 1e-4; where centroids took them for 0 it was 0.2
    assert apart(ours, peer) < 1e-3
    assert ours.accepted == peer.accepted
    assert ours.chi2 == pytest.approx(peer.chi2, rel=1e-3)


@pytest.mark.parametrize(
    ("number", "words"), [(8, "-PSFVAR_DEGREES 3"), (5, ""), (4, "-PSFVAR_GROUPS 1,2 -PSFVAR_DEGREES 1,2")]
)
def test_degrees_are_lowered_for_few_sources_as_by_the_peer(both: Both, number: int, words: str) -> None:
    (ours,), (peer,) = both([painted(number, number, 4.4)], words.split())
    assert (ours.variation.names, ours.variation.degrees) == (peer.variation.names, peer.variation.degrees)
    assert apart(ours, peer) < 1e-3


@pytest.mark.parametrize("kind", ["PCA_COMMON", "PCA_INDEPENDENT"])
def test_one_model_of_all_images_is_made_of_components_as_by_the_peer(both: Both, kind: str) -> None:
    catalogues = [painted(40 + 5 * k, k, 4.2 + 0.1 * k, (4.0, 5.0)) for k in range(3)]
    words = ["-MEF_TYPE", "COMMON", "-NEWBASIS_TYPE", kind, "-NEWBASIS_NUMBER", "3"]
    ours, peer = both(catalogues, words)
    assert max(apart(one, other) for one, other in zip(ours, peer, strict=True)) < 1e-3


def test_models_of_principal_components_are_the_peer_s(both: Both) -> None:
    catalogues = [painted(40, k, 4.2 + 0.2 * k, (4.5, 5.5)) for k in range(3)]
    ours, peer = both(catalogues, ["-NEWBASIS_TYPE", "PCA_COMMON", "-NEWBASIS_NUMBER", "3", "-PSFVAR_DEGREES", "1"])
    for one, other in zip(ours, peer, strict=True):
        assert one.step == pytest.approx(other.step, rel=1e-6)
        # found 3e-6; a clipped star more or less would move pixels by 2e-3
        assert apart(one, other) < 3e-3
    assert min(apart(one, other) for one, other in zip(ours, peer, strict=True)) < 1e-4


HIDDEN = ["-PSFVAR_KEYS", "X_IMAGE,HIDDEN1", "-PSFVAR_GROUPS", "1,2", "-PSFVAR_DEGREES", "1,1"]


@pytest.mark.parametrize(
    "words",
    [
        ["-NEWBASIS_TYPE", "PCA_COMMON", "-NEWBASIS_NUMBER", "4"],
        ["-NEWBASIS_TYPE", "PCA_INDEPENDENT", "-NEWBASIS_NUMBER", "4"],
        ["-STABILITY_TYPE", "SEQUENCE"],
        ["-STABILITY_TYPE", "SEQUENCE", "-MEF_TYPE", "COMMON", "-SAMPLEVAR_TYPE", "NONE"],
        HIDDEN,
        [*HIDDEN, "-STABILITY_TYPE", "SEQUENCE"],
        [*HIDDEN, "-STABILITY_TYPE", "SEQUENCE", "-HIDDENMEF_TYPE", "INDEPENDENT"],
    ],
    ids=lambda words: " ".join(words[-2:]) + (" hidden" if "HIDDEN1" in words[1] else ""),
)
def test_models_that_several_catalogues_share_are_the_peer_s(
    program: Callable[[str, str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    tool, names = program("psfex", "psfex"), ["a", "b", "c", "d"]
    for seed, name in enumerate(names):
        widths = 4.2 + 0.15 * seed, 4.6 + 0.1 * seed
        ldac.write(tmp_path / f"{name}.cat", [painted(50, 10 * seed + k, w, (4.5, 5.5)) for k, w in enumerate(widths)])
    common = [*(f"{name}.cat" for name in names), "-PSFVAR_DEGREES", "1", "-BASIS_TYPE", "NONE", *QUIET, *words]
    subprocess.run([tool, *common, "-PSF_SUFFIX", ".peer"], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    assert main([*common, "-VERBOSE_TYPE", "QUIET"]) == 0
    differences = []
    for name in names:
        for one, other in zip(psf_model.read(Path(f"{name}.psf")), psf_model.read(Path(f"{name}.peer")), strict=True):
            assert one.step == pytest.approx(other.step, rel=1e-6)
            assert one.fwhm == pytest.approx(other.fwhm, rel=1e-6)
            assert (one.variation.names, one.variation.degrees) == (other.variation.names, other.variation.degrees)
            assert one.variation.scales == pytest.approx(other.variation.scales, rel=1e-9)
            differences.append(apart(one, other))
    # found 3e-5; a star at the limit of clipping moves one of eight by some 1e-3
    assert sorted(differences)[-2] < 3e-4
    assert max(differences) < 3e-3
