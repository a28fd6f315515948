"""Effects of the camera, one by one: what each promises of geometry, charge and numbers."""

import math
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, EarthLocation, SkyCoord, get_body
from astropy.io import fits
from astropy.time import Time
from astropy.utils import iers
from astropy.wcs import WCS

from processing.errors import BadSetting
from processing.skymaker.defects import Flaw, defects, mask_of, masked_parts
from processing.skymaker.distortion import (
    bend_of,
    linear_pixels,
    project,
    pv_terms,
    refracted,
    wcs_of,
)
from processing.skymaker.effects import FULL, Distortion, Effects, Refraction, effects_of, names
from processing.skymaker.exposures import LATITUDE, LONGITUDE, exposure_of
from processing.skymaker.frame import sky_level
from processing.skymaker.moon import moon_of, moonlight
from processing.skymaker.rays import rays_of
from processing.skymaker.trails import Crosser, path_on, trails_of
from processing.tangent_plane import from_plane, to_plane
from terapix.instruments import load_instrument

MEGACAM = load_instrument("megacam")
EXPOSURE = exposure_of(0, 7)


def around(ccd, count=400, seed=1):
    """Sky coordinates that fall on a CCD by its header, and their pixels by astropy."""
    random = np.random.default_rng(seed)
    x, y = random.uniform(32, 2080, count), random.uniform(0, 4612, count)
    cards = wcs_of(ccd, EXPOSURE)
    wcs = WCS(fits.Header(cards | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}))
    return (*wcs.wcs_pix2world(x, y, 0), x, y)


@pytest.mark.parametrize("index", [0, 4, 13, 22, 35])
def test_without_distortion_pixels_are_those_of_the_header(index):
    ccd = MEGACAM.ccds[index]
    ra, dec, x, y = around(ccd)

    assert np.allclose(linear_pixels(ccd, EXPOSURE, ra, dec), [x, y], atol=1e-6)
    assert np.array_equal(
        project(MEGACAM, ccd, EXPOSURE, ra, dec, distortion=Distortion(on=False)), linear_pixels(ccd, EXPOSURE, ra, dec)
    )


@pytest.mark.parametrize("index", [4, 22])
def test_flipped_and_upright_ccds_show_the_sky_where_their_header_says(index):
    ccd = MEGACAM.ccds[index]
    header, exposure = wcs_of(ccd, EXPOSURE), EXPOSURE
    east = linear_pixels(ccd, exposure, np.array([exposure.ra, exposure.ra + 0.01]), np.full(2, exposure.dec))
    north = linear_pixels(ccd, exposure, np.full(2, exposure.ra), np.array([exposure.dec, exposure.dec + 0.01]))

    assert (east[0, 1] > east[0, 0]) == (header["CD1_1"] > 0) == ccd.flipped
    assert (north[1, 1] < north[1, 0]) == (header["CD2_2"] < 0) == ccd.flipped


@pytest.mark.parametrize("index", [0, 13, 35])
def test_the_distortion_is_the_third_order_less_its_linear_part(index):
    ccd = MEGACAM.ccds[index]
    bend = bend_of(MEGACAM, ccd, -0.017)
    y, x = np.mgrid[0:4612:7j, 32:2080:7j]
    off = np.stack(bend.at(x.ravel(), y.ravel()))
    sense = -1.0 if ccd.flipped else 1.0
    far = np.stack(
        [
            ccd.column + 1024 - MEGACAM.mosaic_width / 2 + sense * (x.ravel() - 1055.5),
            ccd.row + 2306 - MEGACAM.mosaic_height / 2 + sense * (y.ravel() - 2305.5),
        ]
    )
    degrees = far * MEGACAM.pixel_scale / 3600
    whole = sense * far * -0.017 * (degrees**2).sum(axis=0)
    terms = np.stack([np.ones(x.size), x.ravel(), y.ravel()])
    rest = whole - off
    linear = np.linalg.lstsq(terms.T, rest.T, rcond=None)[0]

    assert np.allclose(rest.T, terms.T @ linear, atol=1e-6)
    assert 0.2 < np.abs(off).max() < 12.0


@pytest.mark.parametrize("index", [0, 13, 35])
def test_pv_terms_describe_the_distortion_to_a_hundredth_of_a_pixel(index):
    ccd = MEGACAM.ccds[index]
    ra, dec, *_ = around(ccd)
    cards = wcs_of(ccd, EXPOSURE) | pv_terms(MEGACAM, ccd, FULL.distortion)
    header = fits.Header(cards | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"})
    told = WCS(header).all_world2pix(ra, dec, 0)

    assert np.allclose(told, project(MEGACAM, ccd, EXPOSURE, ra, dec, distortion=FULL.distortion), atol=0.01)


def test_refraction_is_that_of_a_plane_atmosphere():
    refraction = Refraction()
    exposure = replace(EXPOSURE, mjd=EXPOSURE.mjd + 0.12)
    xi, eta = np.array([0.0, 0.5, -0.3]), np.array([0.0, 0.4, 0.5])
    ra, dec = from_plane(exposure.ra, exposure.dec, xi, eta)
    seen = np.stack(to_plane(exposure.ra, exposure.dec, *refracted(refraction, exposure, ra, dec)))

    site = EarthLocation.from_geodetic(LONGITUDE, LATITUDE, 4204)
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
        frame = AltAz(obstime=Time(exposure.mjd, format="mjd"), location=site)
        true = SkyCoord(ra, dec, unit="deg").transform_to(frame)
        lift = 36.0 * np.tan(np.pi / 2 - true.alt.rad) / 3600
        lifted = SkyCoord(AltAz(az=true.az, alt=true.alt + lift * u.deg, obstime=frame.obstime, location=site))
        back = lifted.transform_to("icrs")
    plane = np.stack(to_plane(exposure.ra, exposure.dec, back.ra.deg, back.dec.deg))
    expected = plane - plane[:, :1]
    # second order of the field and precession since 2000 leave 20 mas
    assert np.allclose(seen * 3600, expected * 3600, atol=0.03)
    assert 0.05 < np.abs(seen - np.stack([xi, eta])).max() * 3600 < 1.0


def test_blue_light_is_lifted_more():
    low = replace(EXPOSURE, mjd=EXPOSURE.mjd + 0.12, band=exposure_of(1, 7).band)
    ra, dec = np.full(2, low.ra), np.full(2, low.dec)
    seen = np.stack(to_plane(low.ra, low.dec, *refracted(Refraction(), low, ra, dec, np.array([0.0, -1.0]))))
    away = np.hypot(*(seen[:, 1] - seen[:, 0])) * 3600

    assert away == pytest.approx(0.05 * math.sqrt(low.airmass**2 - 1), rel=1e-3)


def test_the_moon_is_where_astropy_has_it():
    site = EarthLocation.from_geodetic(LONGITUDE, LATITUDE, 4204)
    for day in (0.0, 5.3, 11.1, 19.7, 26.2):
        exposure = replace(EXPOSURE, mjd=EXPOSURE.mjd + day)
        moon = moon_of(exposure)
        time = Time(exposure.mjd, format="mjd")
        with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("iers_degraded_accuracy", "ignore"):
            body, sun = get_body("moon", time, site), get_body("sun", time, site)
            seen = body.transform_to(AltAz(obstime=time, location=site))
            apart = body.separation(SkyCoord(exposure.ra, exposure.dec, unit="deg"), origin_mismatch="ignore").deg
            lit = (1 - math.cos(body.separation(sun, origin_mismatch="ignore").rad)) / 2
        assert moon.altitude == pytest.approx(seen.alt.deg, abs=1.5)
        assert moon.distance == pytest.approx(apart, abs=1.5)
        assert moon.lit == pytest.approx(lit, abs=0.03)


def test_a_full_moon_brightens_blue_light_more_and_none_below_the_horizon():
    full = next(
        exposure for exposure in (replace(EXPOSURE, mjd=EXPOSURE.mjd + day) for day in range(30))
        if moon_of(exposure).lit > 0.97 and moon_of(exposure).altitude > 20
    )  # fmt: skip
    blue = replace(full, band=exposure_of(1, 7).band)

    # a full moon 40 degrees away and more brightens the sky in V by 1.5 to 4 magnitudes
    assert 2.0 < moonlight(full) < 40.0
    assert moonlight(blue) > 1.5 * moonlight(full)
    assert sky_level(MEGACAM, full) == pytest.approx(sky_level(MEGACAM, full, FULL.plain()) * (1 + moonlight(full)))
    down = next(
        replace(EXPOSURE, mjd=EXPOSURE.mjd + d)
        for d in range(30)
        if not moon_of(replace(EXPOSURE, mjd=EXPOSURE.mjd + d)).up
    )
    assert moonlight(down) == 0.0


@pytest.mark.parametrize("thickness", [15.0, 40.0])
def test_muons_are_as_long_as_silicon_is_thick(thickness):
    settings = replace(FULL.cosmic_rays, thickness=thickness, worms=0.0, rate=100.0)
    rays = rays_of(settings, shape=(4612, 2048), seconds=120.0, zenith=0.0, random=np.random.default_rng(1))

    area = 4612 * 2048 * (13.5e-4) ** 2
    assert rays.x.size == pytest.approx(100.0 * area * 2, abs=4 * math.sqrt(100.0 * area * 2))
    # intensity as cos^2 on a level plane: the density of cos(theta) is 4 cos^3, its mean tangent 3 pi / 8 … of 1.178
    slope = rays.length * 13.5 / thickness
    assert np.median(slope) == pytest.approx(math.sqrt(1 / math.sqrt(0.5) - 1), rel=0.05)
    path = np.hypot(thickness, rays.length * 13.5)
    assert 72 < np.median(rays.charge / path) < 85
    assert rays.path_charge.sum() == pytest.approx(rays.charge.sum())
    assert rays.ends[-1] == rays.path_x.size


def test_a_tilted_ccd_has_longer_tracks_and_worms_are_crooked():
    def hits(zenith, worms):
        settings = replace(FULL.cosmic_rays, worms=worms, rate=50.0)
        return rays_of(settings, shape=(2000, 2000), seconds=60.0, zenith=zenith, random=np.random.default_rng(2))

    assert hits(60.0, 0.0).length.mean() > 1.3 * hits(0.0, 0.0).length.mean()
    worms = hits(0.0, 1.0)
    assert worms.worm.all()
    first, last = worms.ends - np.diff(worms.ends, prepend=0), worms.ends - 1
    chord = np.hypot(worms.path_x[last] - worms.path_x[first], worms.path_y[last] - worms.path_y[first])
    assert np.median(chord / worms.length) < 0.95
    assert np.median(worms.length) > 8


def test_trails_are_one_straight_line_on_the_sky_over_all_ccds():
    busy = replace(FULL, trails=replace(FULL.trails, satellites=3.0, aeroplanes=0.0))
    found = trails_of(busy.trails, EXPOSURE, MEGACAM, seed=3)
    assert len(found) > 3
    crossed = []
    for trail in found:
        lines, ccds = [], 0
        for ccd in MEGACAM.ccds:
            x, y, _ = path_on(trail, MEGACAM, ccd, EXPOSURE, busy)
            on = (x >= 0) & (x < 2048) & (y >= 0) & (y < 4612)
            if not on.any():
                continue
            ccds += 1
            # back to the sky by the polynomial of the truth: linear position of a pixel, then the header
            bend = bend_of(MEGACAM, ccd, busy.distortion.third)
            off = bend.at(x[on] + 32, y[on])
            header = wcs_of(ccd, EXPOSURE) | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
            ra, dec = WCS(fits.Header(header)).wcs_pix2world(x[on] + 32 + off[0], y[on] + off[1], 0)
            lines.append(np.stack(to_plane(EXPOSURE.ra, EXPOSURE.dec, ra, dec)))
        crossed.append(ccds)
        if lines:
            points = np.concatenate(lines, axis=1)
            angle = math.radians(trail.angle)
            across = (points[0] - trail.xi) * math.cos(angle) - (points[1] - trail.eta) * math.sin(angle)
            assert np.abs(across).max() * 3600 < 1e-3
    assert max(crossed) >= 5


def test_aeroplanes_have_two_lamps_and_equal_seeds_equal_trails():
    settings = replace(FULL.trails, satellites=0.0, aeroplanes=1.0)
    found = trails_of(settings, EXPOSURE, MEGACAM, seed=3)

    assert found == trails_of(settings, EXPOSURE, MEGACAM, seed=3)
    assert found != trails_of(settings, EXPOSURE, MEGACAM, seed=4)
    assert {trail.kind for trail in found} == {Crosser.AEROPLANE}
    assert len(found) % 2 == 0
    assert trails_of(replace(settings, on=False), EXPOSURE, MEGACAM, seed=3) == ()


def test_defects_are_always_the_same_and_the_mask_knows_most():
    every = [bad for ccd in MEGACAM.ccds for bad in defects(MEGACAM, ccd, FULL.defects)]
    hot = [bad for bad in every if bad.flaw is Flaw.HOT]

    assert every == [bad for ccd in MEGACAM.ccds for bad in defects(MEGACAM, ccd, FULL.defects)]
    assert all(bad.masked for bad in every if bad.flaw is Flaw.DEAD)
    assert 0 < sum(not bad.masked for bad in hot) < len(hot)
    mask = mask_of(MEGACAM, MEGACAM.ccds[3], FULL.defects)
    assert all(not mask[b.y0 : b.y1, b.x0 : b.x1].any() for b in masked_parts(MEGACAM, MEGACAM.ccds[3], FULL.defects))
    assert mask_of(MEGACAM, MEGACAM.ccds[3], FULL.plain().defects)[:4612, 32:2080].all()


def test_effects_are_switched_and_set_by_name():
    changed = FULL.switched("trails=off, cosmic_rays.rate=3, noise.reading=off")

    assert not changed.trails.on
    assert changed.cosmic_rays.rate == 3.0
    assert not changed.noise.reading
    assert changed.ghosts == FULL.ghosts
    plain = FULL.plain()
    assert {name for name in names() if getattr(plain, name).on} == {"noise", "bias"}
    assert effects_of({"fringes": {"on": False}}, where="x") == FULL.switched("fringes=off")
    assert isinstance(FULL, Effects)


@pytest.mark.parametrize(
    ("orders", "told"),
    [
        ("trials=off", "did you mean trails"),
        ("trails", "NAME=on"),
        ("trails.satelites=3", "did you mean satellites"),
        ("cosmic_rays.rate=many", "found 'many'"),
        ("cosmic_rays.rate=-1", "greater than or equal to 0"),
        ("noise=perhaps", "found 'perhaps'"),
    ],
)
def test_orders_that_cannot_be_followed_are_told(orders, told):
    with pytest.raises(BadSetting, match="--effects") as problem:
        FULL.switched(orders)
    assert told in str(problem.value)


def test_a_wrong_effect_in_an_instruments_file_is_told():
    with pytest.raises(BadSetting, match=r"my\.toml: painting\.effects\.trails\.speed"):
        effects_of({"trails": {"speed": 3}}, where="my.toml")
