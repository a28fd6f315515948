"""World coordinates against astropy's, and the columns that follow from them."""

import warnings

import numpy as np
import pytest
from astropy.coordinates import FK5, SkyCoord
from astropy.io.fits import Header
from astropy.wcs import WCS
from numpy.typing import NDArray

from processing.sextractor.deriving import Place, derive
from processing.sextractor.equinox import north_of, pole_of_j2000, to_b1950, to_j2000
from processing.sextractor.world import World, world_of

BASE = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 0.02, "CRVAL2": 64.0, "CRPIX1": -5220.2, "CRPIX2": 9647.5,
    "CD1_1": 5.1e-5, "CD1_2": 5.3e-7, "CD2_1": -1.2e-6, "CD2_2": -5.2e-5, "RADESYS": "FK5", "EQUINOX": 2000.0,
}  # fmt: skip
X, Y = (grid.ravel() for grid in np.meshgrid(np.linspace(1.0, 2112.0, 7), np.linspace(1.0, 4644.0, 9)))


def header(**more: float | str) -> Header:
    made = Header()
    for key, value in (BASE | more).items():
        made[key.replace("__", "-")] = value
    return made


def both(made: Header) -> tuple[World, WCS]:
    found = world_of(made.tostring(endcard=False))
    assert found is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return found, WCS(made)


PV = {f"PV1_{n}": value for n, value in {0: 1e-5, 1: 1.001, 4: 2e-4, 5: -1e-4, 7: 0.03, 11: 0.01}.items()}


@pytest.mark.parametrize(
    "more",
    [
        {},
        *({"CTYPE1": f"RA---{kind}", "CTYPE2": f"DEC--{kind}"} for kind in ("SIN", "ARC", "STG", "ZEA")),
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", **PV, "PV2_1": 0.999, "PV2_7": -0.02, "PV2_39": 0.5},
        {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", **PV, "PV2_1": 0.999, "PV2_38": 0.7, "PV2_23": 0.2},
        {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 64.0, "CRVAL2": 0.02},
        {"CTYPE1": "RA---AIT", "CTYPE2": "DEC--AIT"},
        {"CRVAL2": 90.0},
        {"LONPOLE": 130.0},
    ],
)
def test_positions_are_those_of_astropy(more: dict[str, float | str]) -> None:
    ours, theirs = both(header(**more))
    found, expected = ours.world(X, Y), theirs.all_pix2world(X, Y, 1)
    for here, there in zip(found, expected, strict=True):
        assert np.abs((here - there + 180.0) % 360.0 - 180.0).max() < 1e-9


def test_tan_with_pv_is_a_tpv_in_disguise() -> None:
    disguised = world_of(header(**PV, PV2_1=0.999).tostring(endcard=False))
    told, _ = both(header(**PV, PV2_1=0.999, CTYPE1="RA---TPV", CTYPE2="DEC--TPV"))
    assert disguised is not None
    assert np.array_equal(disguised.world(X, Y), told.world(X, Y))


def test_old_matrices_are_read() -> None:
    old = header(CDELT1=-5e-5, CDELT2=5.2e-5, CROTA2=30.0)
    for key in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        del old[key]
    ours, theirs = both(old)
    assert np.allclose(ours.world(X, Y), theirs.all_pix2world(X, Y, 1), rtol=0, atol=1e-9)


def test_the_scale_is_that_in_the_middle() -> None:
    ours, theirs = both(header())
    area = np.linalg.det(theirs.pixel_scale_matrix)
    assert ours.scale((4644, 2112)) == pytest.approx(3600.0 * np.sqrt(abs(area)), rel=1e-3)


@pytest.mark.parametrize("missing", [("CTYPE1", "CRPIX1"), ("CD1_1", "CD1_2", "CD2_1", "CD2_2")])
def test_a_header_without_a_system_has_none(missing: tuple[str, ...]) -> None:
    made = header()
    for key in missing:
        del made[key]
    assert world_of(made.tostring(endcard=False)) is None
    assert world_of("") is None


SKY = (np.array([0.3, 132.4, 359.9, 210.0]), np.array([64.0, -30.0, 0.1, 89.0]))


def test_equinoxes() -> None:
    given = SkyCoord(*SKY, unit="deg", frame=FK5(equinox="J1975")).transform_to(FK5(equinox="J2000"))
    found = SkyCoord(*to_j2000(SKY, "FK5", 1975.0), unit="deg", frame="fk5")
    # astropy precesses by the IAU's model of 2006, which differs by 0.3 arcsec a century
    assert given.separation(found).arcsec.max() < 0.08
    there = to_b1950(SKY)
    expected = SkyCoord(*SKY, unit="deg", frame="fk5").transform_to("fk4")
    # astropy puts the epoch at B1950, where the rotation of FK4 differs by 0.2 arcsec
    assert SkyCoord(*there, unit="deg", frame="fk4").separation(expected).arcsec.max() < 0.3
    back = to_j2000(there, "FK4", 1950.0)
    assert SkyCoord(*back, unit="deg").separation(SkyCoord(*SKY, unit="deg")).arcsec.max() < 1e-3


def test_north_turns_as_in_astropy() -> None:
    old = FK5(equinox="J1975")
    here = SkyCoord(*SKY, unit="deg", frame=old)
    up = here.directional_offset_by(np.zeros(4) << here.ra.unit, np.full(4, 1e-3) << here.ra.unit)
    new = FK5(equinox="J2000")
    turned = here.transform_to(new).position_angle(up.transform_to(new)).wrap_at("180d").deg
    # 1e-3: the offset has a length, over which meridians converge
    assert np.allclose(-north_of(SKY, pole_of_j2000(1975.0)), turned, atol=2e-3)


def _source(a: float, b: float, theta: float) -> dict[str, NDArray[np.float64]]:
    turn = np.radians(theta)
    sine, cosine = np.sin(turn), np.cos(turn)
    moments = {
        "X2_IMAGE": a * a * cosine**2 + b * b * sine**2,
        "Y2_IMAGE": a * a * sine**2 + b * b * cosine**2,
        "XY_IMAGE": (a * a - b * b) * sine * cosine,
        "X_IMAGE_DBL": 800.0,
        "Y_IMAGE_DBL": 900.0,
    }
    return {name: np.array([value]) for name, value in moments.items()}


@pytest.mark.parametrize("turn", [0.0, 30.0, 45.0])
def test_shapes_on_the_sky_keep_their_size_whatever_the_image_is_turned_by(turn: float) -> None:
    step, sine, cosine = 5e-5, np.sin(np.radians(turn)), np.cos(np.radians(turn))
    matrix = {"CD1_1": -step * cosine, "CD1_2": step * sine, "CD2_1": step * sine, "CD2_2": step * cosine}
    world, _ = both(header(**matrix, CRPIX1=800.0, CRPIX2=900.0))
    names = ("A_WORLD", "B_WORLD", "THETA_SKY", "CXX_WORLD", "CYY_WORLD", "CXY_WORLD")
    found = derive(_source(3.0, 1.5, 20.0), names, Place(world, 30.0, 0.0))
    assert found["A_WORLD"][0] == pytest.approx(3.0 * step, rel=1e-5)
    assert found["B_WORLD"][0] == pytest.approx(1.5 * step, rel=1e-5)
    # x points west and y north; the frame is turned by `turn`, the source by 20 degrees in it
    assert found["THETA_SKY"][0] == pytest.approx((20.0 - 90.0 + turn + 90.0) % 180.0 - 90.0, abs=0.01)
    size = found["CXX_WORLD"] * found["CYY_WORLD"] - found["CXY_WORLD"] ** 2 / 4.0
    assert size[0] == pytest.approx((3.0 * step * 1.5 * step) ** -2, rel=1e-4)


def test_magnitudes_and_what_has_none() -> None:
    flux, error = np.array([100.0, 0.0, -3.0]), np.array([1.0, 2.0, 3.0])
    place = Place(World("", np.ones(2), np.eye(2), np.zeros(2)), 25.0, 0.2)
    table = {"FLUX_AUTO": flux, "FLUXERR_AUTO": error, "X_IMAGE_DBL": flux, "Y_IMAGE_DBL": flux, "FLUX_MAX": flux}
    found = derive(table, ("MAG_AUTO", "MAGERR_AUTO", "MU_MAX", "ALPHA_J2000", "X_WORLD"), place)
    assert np.allclose(found["MAG_AUTO"], [20.0, 99.0, 99.0])
    assert np.allclose(found["MAGERR_AUTO"], [0.01086, 99.0, 99.0])
    assert found["MU_MAX"][0] == pytest.approx(20.0 + 5.0 * np.log10(0.2))
    assert np.isnan(found["ALPHA_J2000"]).all()
    assert np.array_equal(found["X_WORLD"], flux - 1.0)
    assert found["MAG_AUTO"].dtype == np.float32


@pytest.mark.parametrize(
    "more",
    [
        {}, {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", **PV, "PV2_1": 0.999, "PV2_7": -0.02, "PV2_39": 0.5},
        {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": -64.0, "CRVAL2": 359.99}, {"CTYPE1": "X", "CTYPE2": "Y"},
    ],
)  # fmt: skip
def test_world_coordinates_lead_back_to_their_pixels(more: dict[str, float | str]) -> None:
    world, _ = both(header(**more))
    x, y = world.pixels(*world.world(X, Y), (1056.0, 2322.0))
    # the step of the derivatives limits nothing, rounding of degrees does: 6e-14 of them
    assert np.abs(x - X).max() < 1e-7
    assert np.abs(y - Y).max() < 1e-7


def test_places_far_from_an_image_are_on_none_of_its_pixels() -> None:
    world, _ = both(header())
    x, y = world.pixels(np.array([180.02, 0.02, 0.3]), np.array([-64.0, 40.0, 64.0]), (1056.0, 2322.0))
    assert np.isnan(x).tolist() == np.isnan(y).tolist() == [True, True, False]


TILTED = {
    "NAXIS1": 200, "NAXIS2": 150, "CRPIX1": 90.0, "CRPIX2": 80.0, "CRVAL1": 30.0, "CRVAL2": 10.0, "CD1_1": -2e-4,
    "CD1_2": 1e-5, "CD2_1": 2e-5, "CD2_2": 2e-4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("axes", "frame", "near"),
    [
        (("GLON-TAN", "GLAT-TAN"), "galactic", 1e-5),  # astropy defines it by that of B1950: 0.03 arcseconds
        (("GLAT-TAN", "GLON-TAN"), "galactic", 1e-5),
        (("ELON-ZEA", "ELAT-ZEA"), "barycentricmeanecliptic", 1e-6),  # 4e-8: ICRS is not quite the equator of J2000
        (("SLON-TAN", "SLAT-TAN"), "supergalactic", 1e-4),  # astropy goes by way of the galactic system of B1950
    ],
)
def test_other_systems_are_told_as_right_ascensions(axes: tuple[str, str], frame: str, near: float) -> None:
    made = Header({**TILTED, "CTYPE1": axes[0], "CTYPE2": axes[1]})
    found = world_of(made.tostring())
    assert found is not None
    x, y = np.array([1.0, 120.0]), np.array([140.0, 20.0])
    sky = WCS(made).all_pix2world(x, y, 1)
    longitude, latitude = sky if axes[0][1:4] == "LON" else sky[::-1]
    there = SkyCoord(longitude, latitude, unit="deg", frame=frame).icrs
    mine = SkyCoord(*found.sky(x, y), unit="deg")
    assert mine.separation(there).deg.max() < near
    back = found.pixels(*found.world(x, y), near=(100.0, 75.0))
    assert np.allclose(back, (x, y), atol=1e-6)


def test_a_sip_of_four_letters_more_is_celestial() -> None:
    made = Header({**TILTED, "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"})
    made.update({"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_1_1": -2e-5})
    found = world_of(made.tostring())
    assert found is not None
    assert found.celestial
    x, y = np.array([1.0, 120.0]), np.array([140.0, 20.0])
    assert np.allclose(found.sky(x, y), WCS(made).all_pix2world(x, y, 1), atol=1e-12)
