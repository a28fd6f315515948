"""Haloes, spikes and ghosts of bright stars, and the catalogues that they come from."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from processing.areas import Area
from processing.cards import CardValues
from processing.defects.background import Background
from processing.defects.image import Amplifier, CcdImage
from processing.defects.saturation import Cores
from processing.defects.settings import StarSettings
from processing.defects.star_catalogue import read_stars, stars_on, zero_point
from processing.defects.stars import StarsOnCcd, axis_on, mark_stars, reach
from processing.errors import BadCatalogue, BadHeader
from processing.flags import PixelFlag
from processing.weightwatcher.inputs import unzipped
from terapix.instruments import BrightStars, Ghost, load_instrument
from tests.support.bright_light import judged, paint

SHAPE, NOISE, SCALE = (400, 500), 10.0, 0.2
OPTICS = BrightStars(
    spike_angles=(0.0, 90.0, 180.0, 270.0), ghosts=(Ghost(share=2e-3, radius=20.0, hole=0.4, offset=-1.0),)
)


def sky():
    pixels = np.random.default_rng(1).normal(500.0, NOISE, SHAPE).astype(np.float32)
    inside = Area(0, SHAPE[1], 0, SHAPE[0])
    image = CcdImage(pixels, inside, (Amplifier(0, SHAPE[1], 1.5, 4.0),), 60000.0, SCALE, "test[1]")
    flags = np.zeros(SHAPE, np.int16)
    return image, flags, Background.of(image, flags)


def stars(x, y, light, axis=(250.0, 200.0)):
    return StarsOnCcd(np.atleast_1d(float(x)), np.atleast_1d(float(y)), np.atleast_1d(float(light)), axis)


def distances(x, y):
    j, i = np.indices(SHAPE)
    return np.hypot(i - x, j - y)


def test_a_halo_reaches_as_far_as_its_light_is_seen():
    image, flags, background = sky()
    light = 2.0e8
    mark_stars(image, flags, background, stars(100, 200, light), OPTICS, StarSettings())
    halo = flags & int(PixelFlag.HALO) > 0
    # mag 16 a square arcsec at 1 arcmin, falling as the square of the distance
    away = distances(100, 200)
    brightness = light * 10.0 ** (-0.4 * 16.0) * SCALE**2 * (60.0 / SCALE / np.maximum(away, 1.0)) ** 2
    expected = brightness >= 0.5 * background.typical_rms

    assert 40 < np.sqrt(expected.sum() / np.pi) < 300
    # rims of circles, where light and limit are equal to a part in a thousand
    assert np.count_nonzero(halo != expected) < 0.01 * expected.sum()


def test_spikes_lie_along_the_spiders_arms_and_end():
    image, flags, background = sky()
    mark_stars(image, flags, background, stars(250, 200, 1.0e7), OPTICS, StarSettings())
    spike = flags & int(PixelFlag.SPIKE) > 0
    rows, columns = np.nonzero(spike)
    length = reach(np.array([1.0e7]), OPTICS.spike, OPTICS.spike_slope, 0.5 * background.typical_rms, SCALE)[0]

    assert 30 < length < 150
    assert spike[200, 250 + int(length) - 1]
    assert not spike[200, 250 + int(length) + 2 :].any()
    across, along = (
        choose(np.abs(rows - 200), np.abs(columns - 250)) for choose in (np.minimum, np.maximum)
    )  # fmt: skip
    # half of 1.5 arcsec to each side of both axes, and more where a spike is brighter
    assert across[along > 0.55 * length].max() <= 0.5 * 1.5 / SCALE
    near = np.abs(along - 0.2 * length) < 0.02 * length
    assert across[near].max() == pytest.approx(0.5 * 1.5 / SCALE * 2.0, rel=0.2)


def test_what_is_marked_is_what_the_painter_lit(tmp_path):
    painted = paint(tmp_path, ccd=21, seed=301)
    by_catalogue, by_cores = judged(painted, painted.stars), judged(painted, painted.cores)

    assert by_catalogue[PixelFlag.HALO].true > 100_000
    assert by_catalogue[PixelFlag.HALO].found > 0.9
    assert by_catalogue[PixelFlag.HALO].right > 0.9
    assert by_catalogue[PixelFlag.GHOST].true > 100_000
    assert by_catalogue[PixelFlag.GHOST].found > 0.98
    assert by_catalogue[PixelFlag.GHOST].right > 0.98
    assert by_catalogue[PixelFlag.SPIKE].found > 0.8
    assert by_catalogue[PixelFlag.SPIKE].right > 0.75
    # fluxes of cores are good to a factor of two
    assert by_cores[PixelFlag.HALO].found > 0.7
    assert by_cores[PixelFlag.SPIKE].found > 0.7


def test_a_star_beside_the_mosaic_throws_its_ghost_across_the_axis():
    image, flags, background = sky()
    mark_stars(image, flags, background, stars(-400, 150, 3.0e7), OPTICS, StarSettings(halo=1000.0, spike=1000.0))
    ghost = flags & int(PixelFlag.GHOST) > 0
    assert not ghost.any()

    mark_stars(image, flags, background, stars(100, 150, 3.0e8), OPTICS, StarSettings(halo=1000.0, spike=1000.0))
    ghost = flags & int(PixelFlag.GHOST) > 0
    away = distances(400, 250)  # mirrored about the axis

    assert (ghost == ((away <= 100.0) & (away >= 40.0))).all()


def test_faint_stars_shed_no_light_and_the_switch_works():
    image, flags, background = sky()

    assert mark_stars(image, flags, background, stars(250, 200, 1.0e4), OPTICS, StarSettings()) == 0
    assert mark_stars(image, flags, background, stars(250, 200, 1.0e9), OPTICS, StarSettings(on=False)) == 0


def test_the_axis_lies_in_the_middle_of_the_mosaic_for_turned_ccds_too():
    mosaic = Area(0, 1000, 0, 800)
    inside = Area(10, 110, 0, 100)

    assert axis_on(inside, Area(0, 100, 0, 100), mosaic) == ((509.5, 399.5), False)
    assert axis_on(inside, Area(0, 100, 0, 100, True, True), mosaic) == ((10 + 99 - 499.5, 99 - 399.5), True)


def test_fluxes_of_saturated_cores_are_good_to_a_factor_of_two():
    image, _, _ = sky()
    megacam = load_instrument("megacam").bright_stars
    # a star that is full within 8 pixels
    cores = Cores(np.array([50.0]), np.array([50.0]), np.array([8.0]), np.array([200]))
    image = CcdImage(image.pixels, image.inside, image.amplifiers, 60000.0, 0.185, "test[1]")
    found = StarsOnCcd.from_cores(cores, image, megacam, place=image.inside, mosaic=image.inside)

    # a pixel 8 pixels from a star gets 2.3e-4 (0.6 arcsec) to 7.6e-4 (1.0 arcsec) of its light
    assert 0.5 < found.light[0] / (60000.0 / 4.2e-4) < 2.0


@pytest.mark.parametrize("name", ["megacam", "wircam"])
def test_instruments_tell_of_their_bright_stars(name):
    optics = load_instrument(name).bright_stars

    assert len(optics.spike_angles) == 4
    assert [ghost.offset > 0 for ghost in optics.ghosts] == [True, False]
    assert load_instrument("generic").bright_stars is None


# --- catalogues ---

ROWS = {"RA": [10.0, 370.5, np.nan, 10.2], "Dec": [20.0, 20.1, 20.2, 95.0], "Mag": [9.0, 8.0, 7.0, 6.0]}


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "csv"])
def test_catalogues_of_every_kind_are_read_and_rows_without_a_place_left_out(tmp_path, ending):
    path = tmp_path / f"stars.{ending}"
    forms = {"fits": "fits", "vot": "votable", "ecsv": "ascii.ecsv", "csv": "ascii.csv"}
    Table(ROWS).write(path, format=forms[ending])
    found = read_stars(path)

    assert found.ra.tolist() == [10.0, 10.5]
    assert found.magnitude.tolist() == [9.0, 8.0]
    assert read_stars(path, faintest=8.5).ra.tolist() == [10.5]


def test_an_ldac_is_read_behind_its_header(tmp_path):
    head = fits.BinTableHDU.from_columns(
        [fits.Column("Field Header Card", "80A", array=["SIMPLE"])], name="LDAC_IMHEAD"
    )
    table = Table({"ALPHA_J2000": [10.0], "DELTA_J2000": [20.0], "MAG_AUTO": [9.0]})
    body = fits.BinTableHDU(table, name="LDAC_OBJECTS")
    fits.HDUList([fits.PrimaryHDU(), head, body]).writeto(tmp_path / "stars.ldac")

    assert read_stars(tmp_path / "stars.ldac").dec.tolist() == [20.0]


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")  # the LDAC's TDISP and TDIM
@pytest.mark.parametrize(
    ("name", "stars", "brightest"),
    [
        ("tycho2/tycho2_fields.csv.gz", 200, 9.0),
        ("legacypipe/testcase3/tycho2.kd.fits", 1, 12.0),
        ("legacypipe/testcase3/gaia/chunk-04759.fits", 1, 17.0),
        ("scamp_megacam/GAIA-DR1_1334+3754_r46.cat", 4000, 14.0),
    ],
)
def test_public_catalogues_are_read_as_they_come(tmp_path, shared_data, name, stars, brightest):
    found = read_stars(unzipped(shared_data / name, tmp_path))

    assert found.ra.size >= stars
    assert found.magnitude.min() < brightest


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no table"),
        (b"\x00\xff" * 3000, "is no table|has no column"),
        (b"SIMPLE  =                    T" + b" " * 5000, "is damaged|no table"),
        (b"<VOTABLE><RESOURCE>", "is no table"),
        (b"RA,Dec\n1,2\n", "has no column mag"),
        (b"RA,Dec,Mag\na,b,c\n", "no numbers"),
    ],
)
def test_hostile_catalogues_are_refused_with_a_reason(tmp_path, content, told):
    path = tmp_path / "stars.cat"
    path.write_bytes(content)

    with pytest.raises(BadCatalogue, match=told):
        read_stars(path)


def header(**changes):
    cards = {
        "NAXIS": 2, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 251.0,
        "CRPIX2": 201.0, "CD1_1": -SCALE / 3600, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SCALE / 3600, **changes,
    }  # fmt: skip
    return "".join(card.image for card in fits.Header(cards).cards)


def test_stars_are_put_on_the_ccd_and_those_of_the_other_half_sky_left_out(tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text("ra,dec,mag\n10.0,20.0,10.0\n10.0,20.5,8.0\n190.0,-20.0,1.0\n")
    found = stars_on(read_stars(path), header(), where="x.fits[1]", zero=30.0, axis=(0.0, 0.0), turned=False)

    assert found.x == pytest.approx([250.0, 250.0], abs=1e-6)
    assert found.y == pytest.approx([200.0, 200.0 + 0.5 * 3600 / SCALE], abs=1.0)
    assert found.light == pytest.approx([1e8, 10**8.8])


def test_a_header_without_coordinates_is_refused(tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text("ra,dec,mag\n10.0,20.0,10.0\n")

    with pytest.raises(BadHeader, match=r"x.fits\[1\]"):
        stars_on(
            read_stars(path), header(CTYPE1="", CTYPE2=""), where="x.fits[1]", zero=30.0, axis=(0, 0), turned=False
        )


def test_the_zero_point_is_elixirs():
    card = "".join(
        f"{key:<8}= {value:>20}".ljust(80)
        for key, value in {"PHOT_C": 26.0, "PHOT_K": -0.1, "AIRMASS": 1.5, "EXPTIME": 100.0}.items()
    )

    assert zero_point(CardValues(card), CardValues("")) == pytest.approx(26.0 - 0.05 + 5.0)
    assert zero_point(CardValues(""), CardValues("")) is None
