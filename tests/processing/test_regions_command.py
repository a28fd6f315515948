"""Flag maps become files of regions and MOCs, and come back."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from processing.flags import PixelFlag
from processing.mosaic import Compression, Mosaic, assemble, hdu_bytes, primary_bytes
from processing.regions import hand_mask, read_regions
from processing.regions.coverage import read_moc
from processing.weightwatcher.command import main

SHAPE = (300, 200)
SCALE = 0.185 / 3600


def header(index: int) -> fits.Header:
    """Two CCDs side by side with a gap, the second one upside down."""
    turn = 1 - 2 * index
    cards = [
        ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 132.5), ("CRVAL2", -12.3),
        ("CRPIX1", 150.0 - 300 * index), ("CRPIX2", 140.0 + 30 * index), ("CD1_1", -SCALE * turn), ("CD1_2", 1e-7),
        ("CD2_1", 1e-7), ("CD2_2", SCALE * turn), ("RADESYS", "FK5"), ("EQUINOX", 2000.0),
        ("DATASEC", "[11:190,1:290]"),
    ]  # fmt: skip
    return fits.Header(cards)


def flags(index: int) -> NDArray[np.int16]:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    made = np.zeros(SHAPE, np.int16)
    made[:, :10] = made[:, 190:] = made[290:] = PixelFlag.OVERSCAN
    made[20:200, 60 + index] |= PixelFlag.HOT
    made[abs(y - 0.8 * x - 40 * index) < 4] |= PixelFlag.SATELLITE
    made[np.hypot(x - 120, y - 150) < 20] |= PixelFlag.HALO
    made[np.random.default_rng(index).random(SHAPE) < 0.002] |= PixelFlag.COSMIC
    return made


@pytest.fixture
def flag_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    parts = [
        hdu_bytes(flags(index), header(index), name=f"ccd{index:02d}", compression=Compression.RICE)
        for index in range(2)
    ]
    return assemble(tmp_path / "flag.fits.fz", primary_bytes({}), parts).path


@pytest.mark.parametrize("system", ["IMAGE", "FK5", "ICRS", "GALACTIC"])
def test_each_bit_comes_back_as_it_was(system: str, flag_map: Path, tmp_path: Path) -> None:
    assert main(["regions", "-FLAG_NAME", str(flag_map), "-REGIONS_TYPE", system, "-VERBOSE_TYPE", "QUIET"]) == 0
    regions = read_regions(tmp_path / "flag.reg")
    tags = {tag for region in regions for tag in region.tags}
    assert tags == {"HOT", "SATELLITE", "HALO", "COSMIC"}
    for index in range(2):
        for tag in tags:
            of_bit = [region for region in regions if region.tags == (tag,)]
            expected = flags(index) & PixelFlag[tag] != 0
            if system != "IMAGE":
                # What the overscan has lies on sky that the next CCD may see.
                expected &= flags(index) & PixelFlag.OVERSCAN == 0
            cards = Mosaic(flag_map).extensions[index].cards
            for source in (header(index), WCS(header(index)), cards):
                np.testing.assert_array_equal(hand_mask(of_bit, SHAPE, source, index + 1), expected)


def test_regions_of_chosen_bits_become_flags_set_by_hand(flag_map: Path, tmp_path: Path) -> None:
    assert main(["regions", "-FLAGS", "HALO,0x40", "-FLAG_NAME", str(flag_map), "-REGIONS_NAME", "hand.reg"]) == 0
    settings = {
        "WEIGHT_NAMES": "", "FLAG_NAMES": flag_map, "FLAG_WMASKS": "0", "FLAG_MASKS": "0", "POLY_NAMES": "hand.reg",
        "POLY_OUTFLAGS": int(PixelFlag.HAND), "WRITE_XML": "N", "OUTFLAG_NAME": "hand.fits",
    }  # fmt: skip
    assert main([part for key, value in settings.items() for part in (f"-{key}", str(value))]) == 0
    with fits.open(tmp_path / "hand.fits") as made:
        for index in range(2):
            chosen = flags(index) & (PixelFlag.HALO | PixelFlag.SATELLITE) != 0
            np.testing.assert_array_equal(made[index + 1].data, np.where(chosen, PixelFlag.HAND, 0))


def test_a_mask_of_elixirs_kind_is_told_by_its_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = (flags(0) & PixelFlag.HALO == 0).astype(np.int16)
    fits.PrimaryHDU(good, header(0)).writeto("mask.fits")
    assert main(["regions", "-FLAG_NAME", "mask.fits", "-ZERO_IS_BAD", "Y"]) == 0
    np.testing.assert_array_equal(hand_mask(read_regions(tmp_path / "flag.reg"), SHAPE, None, 1), good == 0)


def test_a_moc_tells_for_a_star_what_the_mask_tells(flag_map: Path, tmp_path: Path) -> None:
    told = ["-FLAG_NAME", str(flag_map), "-REGIONS_NAME", "", "-MOC_ORDER", "18", "-VERBOSE_TYPE", "QUIET"]
    assert main(["regions", *told, "-MOC_NAME", "masked.fits"]) == 0
    assert main(["regions", *told, "-MOC_NAME", "good.fits", "-MOC_TYPE", "GOOD"]) == 0
    masked, good = read_moc(tmp_path / "masked.fits"), read_moc(tmp_path / "good.fits")
    assert masked.max_order == good.max_order == 18
    assert masked.intersection(good).empty()
    chance = np.random.default_rng(9)
    for index in range(2):
        stars = chance.uniform((10, 0), (189, 289), (4000, 2))
        places = WCS(header(index)).pixel_to_world(*stars.T).icrs
        bad = (flags(index) & ~int(PixelFlag.OVERSCAN) != 0)[tuple(np.rint(stars[:, ::-1]).astype(int).T)]
        in_masked, in_good = masked.contains_skycoords(places), good.contains_skycoords(places)
        # A cell has a corner of each pixel that its middle part touches: tips of cells miss one star in a thousand.
        assert in_masked[bad].mean() > 0.998
        assert in_good[bad].mean() < 0.002
        # A cell of 0.8 arcsec is masked by what lies up to one diagonal, 7 pixels, from a star in it.
        near = np.array([near_masked(index, x, y) for x, y in stars])
        assert not in_masked[~near].any()
        assert in_good[~near].all()
        assert 0.2 < near.mean() < 0.95


def near_masked(index: int, x: float, y: float) -> bool:
    """Whether a masked pixel, or the edge of the illuminated part, lies within 7 pixels."""
    column, row = round(x), round(y)
    if not (18 <= column < 182 and 8 <= row < 282):
        return True
    return bool((flags_of[index][row - 7 : row + 8, column - 7 : column + 8] & ~int(PixelFlag.OVERSCAN)).any())


flags_of = [flags(0), flags(1)]


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ({"FLAGS": "COSMICS"}, 2, "did you mean COSMIC?"),
        ({"FLAGS": "nothing"}, 2, "one of BAD, OVERSCAN"),
        ({"REGIONS_NAME": ""}, 2, "nothing to make"),
        ({"MOC_NAME": "a.fits", "MOC_ORDER": "25"}, 2, "0 to 19 was expected"),
        ({"FLAG_NAME": "none.fits"}, 1, "none.fits"),
        ({"FLAG_NAME": "float.fits"}, 1, "no integer data"),
        ({"FLAG_NAME": "bare.fits", "REGIONS_TYPE": "ICRS"}, 1, "no usable WCS"),
        ({"FLAG_NAME": "bare.fits", "MOC_NAME": "a.fits"}, 1, "no usable WCS"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_left(
    settings: dict[str, str], code: int, told: str, flag_map: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fits.PrimaryHDU(np.ones((9, 9), np.float32)).writeto(tmp_path / "float.fits")
    fits.PrimaryHDU(np.ones((9, 9), np.int16)).writeto(tmp_path / "bare.fits")
    before = {path.name for path in tmp_path.iterdir()}
    given = {"FLAG_NAME": str(flag_map), **settings}
    assert main(["regions", *(part for key, value in given.items() for part in (f"-{key}", value))]) == code
    assert told in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == before


def test_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["regions", "-d"]) == 0
    assert "MOC_TYPE" in capsys.readouterr().out
    assert main(["regions", "--help"]) == 0
