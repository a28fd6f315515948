"""Our fields against lists of the original Stuff 2.1.0, and our tables of spectra against GalSim and speclite.

The lists of the original were made for a field of 8192 x 8192 pixels: their coordinates reach from
-409.6 to 8601.6, 1.1 times that. Their name gives 0.179 square degrees, hence pixels of 0.186 arcsec,
and the numbers of their galaxies agree. The reference magnitude, reckoned from what they tell, ends
at 26.0 for every type; the 2048 pixels, 0.2 arcsec and limit of 28 of the configuration beside them
are not what they were made with.

Throughput, the Im spectrum below 1900 Angstrom, the dust law and B_J of etc/spectra were reckoned from the
colours and limits of these lists, and the Im spectrum below 900 Angstrom was set with their numbers in view:
docs/algorithms/stuff.md says which agreement is by construction.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2, ks_2samp

from processing.stuff import Galaxies, Settings, field, spectra
from processing.stuff.command import TOOL, settings_of
from processing.stuff.galaxies import Drawn, Population

pytestmark = pytest.mark.reference
FIELDS = 24
"""Fields drawn; their mean has a fifth of the noise of the one that the original drew."""
LEAST = 0.01
"""Probability below which two samples are taken for different."""
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def lists(shared_data: Path) -> dict[str, Floats]:
    place = shared_data / "reference" / "stuff"
    return {band: np.loadtxt(place / f"default_0.179deg2_{band}.list.gz") for band in "gri"}


@pytest.fixture(scope="module")
def settings(shared_data: Path) -> Settings:
    configuration = shared_data / "reference" / "stuff" / "stuff.conf"
    changed = ["-FIELD_SIZE", "8192,8192", "-PIXEL_SIZE", "0.186", "-MAG_LIMITS", "16,26"]
    return settings_of(TOOL.read(["-c", str(configuration), *changed, "-SEED_GALAXIES", "1"]))


@pytest.fixture(scope="module")
def ours(settings: Settings) -> Galaxies:
    return Galaxies.joined([field(settings, seed=seed).galaxies for seed in range(1, FIELDS + 1)])


def quantities(ours: Galaxies, lists: dict[str, Floats]) -> Iterator[tuple[str, Floats, Floats]]:
    """Each quantity with the digits of the lists."""
    g, r, i = (lists[band] for band in "gri")
    magnitudes = np.round(ours.magnitudes, 4)
    yield "redshift", np.round(ours.z, 5), g[:, 11]
    yield "g-r", magnitudes[0] - magnitudes[1], g[:, 3] - r[:, 3]
    yield "r-i", magnitudes[1] - magnitudes[2], r[:, 3] - i[:, 3]
    for number, band in enumerate("gri"):
        yield band, magnitudes[number], lists[band][:, 3]
        yield f"bulge fraction in {band}", np.round(ours.bulge_fractions[number], 3), lists[band][:, 4]
    for name, column in (("bulge_radius", 5), ("disc_radius", 8)):
        radius = np.round(getattr(ours, name), 3)
        yield name, radius[radius > 0], g[g[:, column] > 0, column]
    for name, column in (("bulge_ratio", 6), ("disc_ratio", 9)):
        yield name, np.round(getattr(ours, name), 3), g[:, column]
    yield "angle", np.round(ours.disc_angle, 2), g[:, 10]


def test_the_lists_cover_the_field_that_their_name_tells(lists: dict[str, Floats], ours: Galaxies) -> None:
    for column in (1, 2):
        assert lists["g"][:, column].min() == pytest.approx(-409.6, abs=0.5)
        assert lists["g"][:, column].max() == pytest.approx(8601.6, abs=0.5)
    found, expected = len(lists["g"]), len(ours) / FIELDS
    assert abs(found - expected) < 3 * np.sqrt(expected * (1 + 1 / FIELDS))


@pytest.mark.parametrize("band", [0, 1, 2])
def test_counts_by_half_magnitudes_agree_within_poisson(band: int, lists: dict[str, Floats], ours: Galaxies) -> None:
    edges = np.arange(14.0, 28.5, 0.5)
    found = np.histogram(lists["gri"[band]][:, 3], edges)[0]
    expected = np.histogram(ours.magnitudes[band], edges)[0] / FIELDS
    filled = expected > 5
    squares = (found - expected)[filled] ** 2 / (expected[filled] * (1 + 1 / FIELDS))
    assert chi2.sf(squares.sum(), filled.sum()) > LEAST, squares.round(1)


def test_every_quantity_is_distributed_as_in_the_lists(lists: dict[str, Floats], ours: Galaxies) -> None:
    chances = {name: float(ks_2samp(mine, theirs).pvalue) for name, mine, theirs in quantities(ours, lists)}
    assert {name: chance for name, chance in chances.items() if chance <= LEAST} == {}


@pytest.mark.parametrize("hubble", [-6, -2, 2, 4, 6, 10])
def test_every_type_has_its_numbers_redshifts_and_sizes(hubble: int, lists: dict[str, Floats], ours: Galaxies) -> None:
    mine, theirs = ours.taken(ours.hubble == hubble), {b: each[each[:, 12] == hubble] for b, each in lists.items()}
    expected = len(mine) / FIELDS
    assert abs(len(theirs["g"]) - expected) < 3.5 * np.sqrt(expected * (1 + 1 / FIELDS))
    chances = {
        name: float(ks_2samp(ours_, theirs_).pvalue)
        for name, ours_, theirs_ in quantities(mine, theirs)
        if len(ours_) and not name.startswith("bulge fraction")
    }
    assert {name: chance for name, chance in chances.items() if chance <= LEAST} == {}


@pytest.mark.parametrize(("number", "hubble", "most"), [(0, -6, 0.004), (1, -2, 0.004), (5, 10, 0.002), (2, 2, 0.01)])
def test_a_galaxy_of_the_lists_has_the_colours_that_its_type_redshift_and_inclination_ask_for(
    number: int, hubble: float, most: float, lists: dict[str, Floats], settings: Settings
) -> None:
    chosen = lists["g"][:, 12] == hubble
    z, cosine = lists["g"][chosen, 11], lists["g"][chosen, 9]
    population = Population(settings)
    dust = -settings.types[number].extinction * np.log10(cosine)
    drawn = Drawn(np.full(len(z), number), z, np.zeros(len(z)))
    light = [population.light(drawn, dust, band)[0] for band in range(3)]
    seen = [lists[band][chosen, 3] for band in "gri"]
    for first in (0, 1):
        off = np.abs(seen[first] - seen[first + 1] - (light[first] - light[first + 1]))
        assert np.median(off) < most
        assert np.quantile(off, 0.9) < 4 * most


def test_published_spectra_and_extinction_are_another_choice(settings: Settings, lists: dict[str, Floats]) -> None:
    """What the original does under its own names differs from the publications by this much in colour."""
    published = dataclasses.replace(
        settings, seds=("E", "Sbc", "Scd", "Im_CWW"), extinction_law="LMC_Gordon03_published"
    )
    galaxies = Galaxies.joined([field(published, seed=seed).galaxies for seed in range(1, 5)])
    off = {
        name: float(ks_2samp(mine, theirs).statistic)
        for name, mine, theirs in quantities(galaxies, lists)
        if name in {"g-r", "r-i", "redshift", "disc_radius"}
    }
    assert off["redshift"] < 0.06
    assert off["disc_radius"] < 0.06
    assert 0.03 < max(off["g-r"], off["r-i"]) < 0.2


@pytest.mark.parametrize(("column", "name"), [("E", "E"), ("Sbc", "Sbc"), ("Scd", "Scd"), ("Im_CWW", "Im")])
def test_galaxy_spectra_are_those_of_galsim(column: str, name: str) -> None:
    galsim = pytest.importorskip("galsim")
    path = Path(galsim.meta_data.share_dir) / "SEDs" / f"CWW_{name}_ext.sed"
    wavelength, power = np.loadtxt(path, unpack=True)
    inside = (wavelength > 100) & (wavelength < 22050)
    ours = spectra.galaxy(column).at(wavelength)
    scale = np.interp(5500.0, wavelength, power)
    np.testing.assert_allclose(ours[inside], power[inside] / scale, rtol=1e-5)
    mended = spectra.galaxy("Im")
    if name == "Im":
        red = inside & (wavelength >= 1900)
        np.testing.assert_allclose(mended.at(wavelength)[red], power[red] / scale, rtol=1e-5)


def test_vega_is_that_of_galsim() -> None:
    galsim = pytest.importorskip("galsim")
    wavelength, power = np.loadtxt(Path(galsim.meta_data.share_dir) / "SEDs" / "vega.txt", unpack=True, usecols=(0, 1))
    for name in ("g", "r", "i", "z_2015"):
        band = spectra.passband(f"megaprime/{name}")
        fine = np.arange(band.wavelength[0], band.wavelength[-1], 0.5)
        response = band.at(fine) * fine
        theirs, ours = np.interp(fine, wavelength * 10, power), spectra.standard("Vega").at(fine)
        assert -2.5 * np.log10((ours @ response) / (theirs @ response)) == pytest.approx(0, abs=5e-4)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("u", "ustar"), ("u_2015", "u"), ("g_2015", "g"), ("r_2015", "r"), ("i_2015", "i"), ("z_2015", "z")],
)
def test_passbands_are_those_of_speclite(ours: str, theirs: str) -> None:
    """Colours of four spectra against a flat one, at two redshifts, to a millimagnitude."""
    filters = pytest.importorskip("speclite.filters")
    reference = filters.load_filter(f"cfht_megacam-{theirs}")
    band = spectra.passband(f"megaprime/{ours}")
    fine = np.arange(2500.0, 11500.0, 1.0)
    mine, other = band.at(fine), np.interp(fine, reference.wavelength, reference.response, left=0, right=0)
    for name in spectra.GALAXIES:
        for z in (0.0, 0.4):
            light = spectra.galaxy(name).at(fine / (1 + z)) * fine
            flat = fine**-2.0 * fine
            found = -2.5 * np.log10((light @ mine) / (flat @ mine))
            expected = -2.5 * np.log10((light @ other) / (flat @ other))
            assert found == pytest.approx(expected, abs=1e-3)
