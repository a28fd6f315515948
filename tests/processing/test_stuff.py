"""The list maker where no peer is needed: its physics, its formats, what it refuses."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from astropy.cosmology import LambdaCDM
from astropy.table import Table
from scipy.special import gamma, gammaincc

from processing.errors import BadSetting
from processing.stuff import GalaxyType, Settings, Stars, field
from processing.stuff.cosmology import cosmology
from processing.stuff.igm import transmission
from processing.stuff.lensing import lensed, source_area
from processing.stuff.lists import ANGLE, HUBBLE, MAGNITUDE, PIXELS, Format, fixed
from processing.stuff.luminosity import schechter
from processing.stuff.stars import from_catalogue

SMALL = Settings(field_size=(1000.0, 800.0), limits=(16.0, 25.0), seed=5)


@pytest.mark.parametrize(("matter", "dark"), [(0.3, 0.7), (0.3, 0.0), (0.3, 0.9), (1.0, 0.0)])
def test_distances_are_those_of_astropy(matter: float, dark: float) -> None:
    ours, theirs = cosmology(70.0, matter, dark), LambdaCDM(H0=70, Om0=matter, Ode0=dark)
    z = np.array([0.003, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0])
    np.testing.assert_allclose(ours.distance_modulus(z), theirs.distmod(z).value, atol=2e-6)
    np.testing.assert_allclose(ours.arcsec_per_kpc(z), theirs.arcsec_per_kpc_proper(z).value, rtol=1e-6)
    shells = ours.volumes(z) * 4 * np.pi
    np.testing.assert_allclose(shells, np.diff(theirs.comoving_volume(z).value), rtol=1e-5)
    edges = ours.shells(7.0, 1.0)
    np.testing.assert_allclose(np.diff(theirs.comoving_distance(edges).value), 7.0, rtol=3e-4)


@pytest.mark.parametrize("alpha", [-0.54, 0.3])
def test_a_schechter_function_has_the_numbers_of_the_incomplete_gamma_function(alpha: float) -> None:
    function, offset = schechter(alpha), np.linspace(-2, 8, 21)
    expected = gamma(alpha + 1) * gammaincc(alpha + 1, 10 ** (-0.4 * offset))
    np.testing.assert_allclose(function.brighter(offset), expected, rtol=1e-4)
    drawn = function.draw(np.linspace(0, 1, 5), np.full(5, -1.0), np.full(5, 2.0))
    share = (function.brighter(drawn) - function.brighter(np.array(-1.0))) / np.diff(
        function.brighter(np.array([-1.0, 2.0]))
    )
    np.testing.assert_allclose(share, np.linspace(0, 1, 5), atol=1e-6)


def test_hydrogen_between_galaxies_absorbs_as_madau_says() -> None:
    z = np.array([3.0])
    at = transmission(np.array([4800.0, 4900.0, 3600.0]), z)
    assert at[0] == pytest.approx(np.exp(-3.6e-3 * (4800 / 1215.67) ** 3.46))
    assert at[1] == 1.0
    assert at[2] < 0.6
    everywhere = transmission(np.linspace(1000.0, 9000.0, 400)[None], np.linspace(0, 6, 50)[:, None])
    assert everywhere.min() >= 0
    assert everywhere.max() == 1


def test_a_field_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    one, again, other = field(SMALL), field(SMALL), field(SMALL, seed=6)
    for each in dataclasses.fields(one.galaxies):
        np.testing.assert_array_equal(getattr(one.galaxies, each.name), getattr(again.galaxies, each.name))
    assert not np.array_equal(one.galaxies.z[:50], other.galaxies.z[:50])
    stars = dataclasses.replace(SMALL, stars=Stars(seed=9))
    np.testing.assert_array_equal(field(stars).stars.x, field(stars, seed=6).stars.x)


def test_galaxies_keep_to_the_limits_and_to_the_field() -> None:
    galaxies = field(SMALL).galaxies
    assert len(galaxies) > 100
    assert np.abs(galaxies.x).max() <= 0.55 * SMALL.sides[0]
    assert np.all(np.diff(galaxies.z) <= 0)
    round_ones = galaxies.hubble == -6
    assert np.all(galaxies.disc_radius[round_ones] == 0)
    assert np.all(galaxies.bulge_radius[galaxies.hubble == 10] == 0)
    assert galaxies.disc_ratio.min() >= np.cos(np.radians(85))
    assert np.all((galaxies.bulge_fractions >= 0) & (galaxies.bulge_fractions <= 1))


def test_in_its_own_passband_a_nearby_galaxy_has_no_colour() -> None:
    """Observed as the reference is, without hydrogen, limits in the reference passband are those of the list."""
    same = dataclasses.replace(
        SMALL, passbands=("couch/Bj",), standards=("Vega",), photons=(False,), igm=False, limits=(16.0, 24.0)
    )
    magnitudes = field(same).galaxies.magnitudes[0]
    assert magnitudes.max() < 24.0
    assert magnitudes.max() > 23.9


def test_a_lens_makes_images_larger_and_brighter_and_shows_less_sky() -> None:
    lens = dataclasses.replace(SMALL, kappa=0.1, gamma=(0.05, -0.02))
    assert source_area(lens) == pytest.approx(0.81 - 0.0029)
    radius, ratio, angle = (np.array(values) for values in ([1.0, 2.0], [1.0, 0.4], [30.0, -70.0]))
    long, short, turned = lensed(lens, radius, ratio, angle)
    np.testing.assert_allclose(long**2 * short, radius**2 * ratio / source_area(lens))
    shear = np.hypot(0.05, 0.02)
    assert long[0] == pytest.approx(1 / (0.9 - shear))
    assert turned[0] == pytest.approx(np.degrees(0.5 * np.arctan2(-0.02, 0.05)))
    galaxies = field(lens).galaxies
    assert len(galaxies) > 100
    assert galaxies.magnitudes.shape == (3, len(galaxies))


def test_a_cluster_has_its_galaxies_around_its_centre(tmp_path: Path) -> None:
    path = tmp_path / "clusters"
    path.write_text("# x y z richness\n500 400 0.3 200 0.1 1.0 # rich\n")
    sky = field(dataclasses.replace(SMALL, clusters=path, galaxies=False))
    ((_, count),) = sky.clusters
    assert count == len(sky.galaxies) > 100
    assert np.median(sky.galaxies.z) == pytest.approx(0.3, abs=0.002)
    assert np.hypot(sky.galaxies.x, sky.galaxies.y).max() < 1.0 / 0.7 * 1e3 / 4.45 / 3600 * 1.05
    path.write_text("500 400 -1 20\n")
    with pytest.raises(BadSetting, match="clusters:1"):
        field(dataclasses.replace(SMALL, clusters=path))


def test_numbers_are_written_as_c_writes_them() -> None:
    random = np.random.default_rng(1)
    for form, scale in ((PIXELS, 9e4), (MAGNITUDE, 30.0), (ANGLE, 180.0), (HUBBLE, 10.0), (Format(9, 3), 50.0)):
        values = np.concatenate((random.uniform(-scale / 10, scale, 500), [0.0, 1.0, -1.0, 0.96, 9.99996]))
        letters = fixed(values, form)
        assert letters is not None
        written = [bytes(row).decode() for row in letters]
        expected = [form.text % value for value in values]
        assert [(a, b) for a, b in zip(written, expected, strict=True) if a != b and a.strip("-+ 0.")] == []
    assert fixed(np.array([1e9]), PIXELS) is None
    assert fixed(np.array([np.nan]), PIXELS) is None


@pytest.mark.parametrize("form", ["fits", "votable"])
def test_stars_come_from_a_catalogue(form: str, tmp_path: Path) -> None:
    path = tmp_path / "stars"
    table = Table({"RA": [150.0, 150.01, 170.0], "DEC": [2.0, 2.01, 2.0], "G": [15.0, 16.0, 17.0]})
    table.write(path, format=form)
    settings = dataclasses.replace(
        SMALL,
        coordinates="EQUATORIAL",
        centre=(150.0, 2.0),
        field_size=(0.1, 0.1),
        galaxies=False,
        stars=Stars(catalogue=path, columns=("RA", "DEC", "G")),
    )
    sky = field(settings)
    np.testing.assert_array_equal(sky.stars.magnitudes, [[15.0, 16.0]] * 3)
    ra, dec = sky.places(sky.stars.x, sky.stars.y)
    np.testing.assert_allclose((ra, dec), [[150.0, 150.01], [2.0, 2.01]], atol=1e-10)
    with pytest.raises(BadSetting, match="did you mean DEC"):
        from_catalogue(settings, path, ("RA", "DE", "G"))
    with pytest.raises(BadSetting, match="5 names were expected"):
        from_catalogue(settings, path, ("RA", "DEC"))
    with pytest.raises(BadSetting, match="no such file"):
        from_catalogue(settings, tmp_path / "none", ("RA", "DEC", "G"))


def test_drawn_stars_follow_their_counts() -> None:
    stars = field(dataclasses.replace(SMALL, field_size=(4000.0, 4000.0), galaxies=False, stars=Stars(seed=3))).stars
    area = (4000 * 1.1 * 0.2 / 3600) ** 2
    assert abs(len(stars) - 3e4 * area) < 4 * np.sqrt(3e4 * area)
    blue = stars.magnitudes[0] - stars.magnitudes[1]
    assert len(np.unique(np.round(blue, 6))) == 5


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"limits": (26.0, 16.0)}, "MAG_LIMITS"),
        ({"kappa": 0.9, "gamma": (0.2, 0.0)}, "LENS_KAPPA"),
        ({"seds": ("E",)}, "SEDINDEX_DISK = 2: 1 to 1"),
        ({"standards": ("AB", "AB")}, "CALIBSED_OBS"),
        ({"field_size": (0.0, 1.0)}, "FIELD_SIZE"),
        ({"passbands": ("megaprime/G9",)}, "PASSBAND_OBS = megaprime/G9: neither a known name nor a file"),
        ({"reference_standard": "Sirius"}, "CALIBSED_REF = Sirius"),
        ({"seds": ("E", "Sbc", "Scd", "Irr")}, "SED_GALAXIES = Irr"),
        ({"extinction_law": "LMC_Gordon04.ext"}, "did you mean LMC_Gordon03"),
    ],
)
def test_what_has_no_meaning_is_named(change: dict[str, object], told: str) -> None:
    with pytest.raises(BadSetting, match=told):
        field(dataclasses.replace(SMALL, **change))


def test_a_type_of_ones_own_and_a_spectrum_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "flat.sed"
    path.write_text("# flat\n100 1.0\n30000 1.0\n")
    kind = GalaxyType(
        hubble=3.0,
        bulge_fraction=0.5,
        bulge_sed=0,
        disc_sed=0,
        phi_star=0.01,
        m_star=-19.5,
        alpha=-1.0,
        phi_evolution=0.0,
        m_evolution=0.0,
        extinction=0.0,
    )
    galaxies = field(dataclasses.replace(SMALL, seds=(str(path),), types=(kind,), igm=False)).galaxies
    np.testing.assert_allclose(galaxies.bulge_fractions, 0.5)
    colour = galaxies.magnitudes[0] - galaxies.magnitudes[1]
    np.testing.assert_allclose(colour, colour[0], atol=1e-9)
