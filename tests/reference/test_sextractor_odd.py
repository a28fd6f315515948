"""Filters, weights and settings that are seldom met, beside Debian's source-extractor."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processing import ldac
from processing.sextractor.command import main

pytestmark = pytest.mark.reference

COLUMNS = ("X_IMAGE", "Y_IMAGE", "FLUX_AUTO", "FLUX_ISO", "ISOAREAF_IMAGE", "FLAGS")
SHARE = Path("/usr/share/source-extractor")
EXACT = ("ISOAREAF_IMAGE", "FLAGS")


@pytest.fixture
def tool(program: Callable[[str, str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The original, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    return program("source-extractor", "source-extractor")


def sky(*, seed: int = 3, shape: tuple[int, int] = (160, 180)) -> NDArray[np.float32]:
    draw, (y, x) = np.random.default_rng(seed), np.mgrid[: shape[0], : shape[1]]
    pixels = draw.normal(100.0, 5.0, shape)
    for _ in range(30):
        at, size = draw.uniform(0, (shape[1], shape[0])), draw.uniform(1.2, 2.5)
        pixels += 10 ** draw.uniform(1.5, 3.5) * np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / size**2)
    return pixels.astype(np.float32)


def both(tool: str, *words: str, columns: tuple[str, ...] = COLUMNS, image: str = "sky.fits") -> list[NDArray[Any]]:
    """Rows of ours and the peer's, image by image of the file, ours before the peer's."""
    Path("odd.param").write_text("\n".join(columns))
    common = ["-PARAMETERS_NAME", "odd.param", "-CATALOG_TYPE", "FITS_LDAC", "-VERBOSE_TYPE", "QUIET"]
    common += [] if "-FILTER_NAME" in words else ["-FILTER_NAME", str(SHARE / "default.conv")]
    call = [image, *common, *words, "-CATALOG_NAME"]
    subprocess.run([tool, *call, "peer.cat"], check=True, capture_output=True)
    assert main([*call, "ours.cat"]) == 0
    return [each.sources for who in ("ours", "peer") for each in ldac.read(Path(f"{who}.cat"))]


def same(ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    assert len(ours) == len(theirs)
    for name in theirs.dtype.names or ():
        # sums of single-precision pixels
        assert np.allclose(ours[name], theirs[name], rtol=0 if name in EXACT else 2e-5, atol=0), name


@pytest.mark.parametrize("name", ["mexhat_1.5_5x5.conv", "mexhat_5.0_11x11.conv", "tophat_3.0_3x3.conv"])
def test_a_filter_is_divided_by_the_sum_of_its_absolute_values(tool: str, name: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    ours, theirs = both(tool, "-FILTER_NAME", str(SHARE / name))
    assert len(theirs) > 10
    same(ours, theirs)


def test_pixels_above_a_variance_of_nothing_are_swallowed_as_others_are(tool: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    variance = np.ones((160, 180), np.float32)
    variance[40:46, 50:70] = 0.0
    fits.PrimaryHDU(variance).writeto("variance.fits")
    ours, theirs = both(
        tool,
        "-WEIGHT_TYPE",
        "MAP_VAR",
        "-WEIGHT_IMAGE",
        "variance.fits",
        "-RESCALE_WEIGHTS",
        "N",
        "-DEBLEND_MINCONT",
        "1",
    )
    assert len(theirs) > 10
    same(ours, theirs)


@pytest.mark.parametrize("weight", ["NONE", "BACKGROUND"])
def test_a_background_by_hand_leaves_the_noise_and_its_map_as_they_are_measured(tool: str, weight: str) -> None:
    tilted = sky() + np.float32(0.05) * np.arange(180, dtype=np.float32)
    fits.PrimaryHDU(tilted * np.linspace(1.0, 1.2, 160, dtype=np.float32)[:, None]).writeto("sky.fits")
    kinds = ("MINIBACKGROUND", "MINIBACK_RMS", "BACKGROUND", "BACKGROUND_RMS")
    words = ["-BACK_TYPE", "MANUAL", "-BACK_VALUE", "95", "-WEIGHT_TYPE", weight, "-CHECKIMAGE_TYPE", ",".join(kinds)]
    names = ("a.fits", "b.fits", "c.fits", "d.fits")
    words += ["-CHECKIMAGE_NAME", ",".join(names)]
    ours, peer = both(tool, *words, columns=(*COLUMNS, "BACKGROUND", "THRESHOLD"))
    assert len(peer) > 10
    same(ours, peer)
    made = [fits.getdata(name) for name in names]
    call = [tool, "sky.fits", "-PARAMETERS_NAME", "odd.param", "-FILTER_NAME", str(SHARE / "default.conv"), *words]
    subprocess.run(call, check=True, capture_output=True)
    theirs = [fits.getdata(name) for name in names]
    for one, other in zip(made, theirs, strict=True):
        assert one.shape == other.shape
        assert np.allclose(one, other, rtol=1e-6)


def test_only_its_own_branch_makes_a_part_of_a_blend_touch_the_edge(tool: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    # all of the image is one blend
    ours, theirs = both(tool, "-BACK_TYPE", "MANUAL", "-BACK_VALUE", "95")
    assert 0 < np.count_nonzero(theirs["FLAGS"] & 8) < len(theirs)
    same(ours, theirs)


@pytest.mark.parametrize("kinds", ["RELATIVE,ABSOLUTE", "ABSOLUTE,RELATIVE"])
@pytest.mark.parametrize("weight", ["NONE", "BACKGROUND"])
def test_detection_and_analysis_have_a_kind_of_threshold_each(tool: str, kinds: str, weight: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    thresholds = ("2", "15") if kinds.startswith("R") else ("15", "2")
    words = ("-THRESH_TYPE", kinds, "-DETECT_THRESH", thresholds[0], "-ANALYSIS_THRESH", thresholds[1])
    ours, theirs = both(tool, *words, "-WEIGHT_TYPE", weight, columns=(*COLUMNS, "ISOAREA_IMAGE", "MU_THRESHOLD"))
    assert len(theirs) > 10
    same(ours, theirs)


def test_a_file_of_settings_is_read_as_the_original_reads_it(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    monkeypatch.setenv("FILTERS", str(SHARE))
    Path("user.sex").write_text(
        "detect_minarea = 8   # pixels\r\nDETECT_THRESH=2.5\n\tPHOT_APERTURES\t5.;10, 12\n"
        "CLEAN No\nFILTER yes # or no\nPSFDISPLAY_TYPE SPLIT\nFILTER_NAME ${FILTERS}/gauss_2.0_5x5.conv\n"
        "BACK_SIZE 32.0#pixels\n"
    )
    columns = (*COLUMNS, "FLUX_APER(3)")
    ours, theirs = both(tool, "-c", "user.sex", "-FILTER_NAME", "$FILTERS/gauss_2.0_5x5.conv", columns=columns)
    assert len(theirs) > 10
    same(ours, theirs)


@pytest.mark.parametrize("kinds", ["MANUAL,AUTO", "AUTO,MANUAL"])
@pytest.mark.parametrize("image", ["sky.fits", "sky.fits,sky.fits"])
def test_one_image_has_one_background(tool: str, kinds: str, image: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    ours, theirs = both(tool, "-BACK_TYPE", kinds, "-BACK_VALUE", "100,99", image=image)
    assert len(theirs) > 10
    same(ours, theirs)


def weights(name: str, *, hole: int, power: float = -1.0) -> str:
    """Write a map of the noise's variance to a power, with pixels that have none, and name it."""
    variance = np.broadcast_to(np.linspace(20.0, 30.0, 180, dtype=np.float32), (160, 180)).copy()
    with np.errstate(divide="ignore"):
        values = variance**power
    values[hole : hole + 3, 60:90] = 0.0 if power < 0 else 1e30
    fits.PrimaryHDU(values.astype(np.float32)).writeto(name)
    return name


WAYS = (
    "MAP_WEIGHT a.fits", "MAP_WEIGHT a.fits,b.fits", "MAP_WEIGHT,MAP_WEIGHT a.fits,b.fits", "MAP_WEIGHT,NONE a.fits",
    "BACKGROUND,MAP_RMS r.fits,r.fits", "MAP_RMS,BACKGROUND r.fits", "BACKGROUND none.fits",
    "NONE,BACKGROUND none.fits", "MAP_WEIGHT a.fits -RESCALE_WEIGHTS N",
    "MAP_WEIGHT,MAP_WEIGHT a.fits,b.fits -RESCALE_WEIGHTS N,Y",
    "MAP_RMS r.fits -WEIGHT_THRESH 5.2", "MAP_RMS,MAP_RMS r.fits,r.fits -WEIGHT_THRESH 5.2",
    "MAP_RMS,MAP_RMS r.fits,r.fits -WEIGHT_THRESH 5.2,5.0", "MAP_WEIGHT a.fits -INTERP_TYPE NONE",
)  # fmt: skip
"""Kinds of weights, maps and what is told of them."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("image", ["sky.fits", "sky.fits,other.fits"])
def test_weights_are_taken_for_what_they_are_given_for(tool: str, way: str, image: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    noise = np.random.default_rng(9).normal(0.0, 3.0, (160, 180))
    fits.PrimaryHDU((1.5 * sky() + noise).astype(np.float32)).writeto("other.fits")
    weights("a.fits", hole=40)
    weights("b.fits", hole=90)
    weights("r.fits", hole=40, power=0.5)
    kinds, maps, *more = way.split()
    columns = (*COLUMNS, "ISOAREA_IMAGE", "THRESHOLD", "FLUXERR_APER", "FLUXERR_ISO")
    words = ("-WEIGHT_TYPE", kinds, "-WEIGHT_IMAGE", maps, "-GAIN", "2", *more)
    ours, theirs = both(tool, *words, columns=columns, image=image)
    assert len(theirs) > 10
    same(ours, theirs)


@pytest.mark.parametrize("axes", [("GLON-TAN", "GLAT-TAN"), ("ELON-ZEA", "ELAT-ZEA")])
def test_positions_of_galactic_and_ecliptic_headers_are_equatorial(tool: str, axes: tuple[str, str]) -> None:
    header = fits.Header({"CTYPE1": axes[0], "CTYPE2": axes[1], "CRVAL1": 30.0, "CRVAL2": 10.0, "CRPIX1": 80.0})
    header.update({"CRPIX2": 90.0, "CD1_1": -2e-4, "CD1_2": 1e-5, "CD2_1": 2e-5, "CD2_2": 2e-4})
    fits.PrimaryHDU(sky(), header).writeto("sky.fits")
    columns = ("X_WORLD", "Y_WORLD", "ALPHA_SKY", "DELTA_SKY", "ALPHA_J2000", "DELTA_J2000", "ALPHA_B1950")
    ours, theirs = both(tool, columns=columns)
    for name in columns:
        assert np.allclose(ours[name], theirs[name], rtol=0, atol=1e-6 if "B1950" in name else 1e-7), name


@pytest.mark.parametrize("kind", ["photons", "flat", "narrow", "tall"])
def test_backgrounds_of_odd_images_are_the_originals(tool: str, kind: str) -> None:
    photons = np.random.default_rng(4).poisson(0.1, (160, 180)) + np.rint(sky() / 100.0 - 1.0)
    images = {"photons": photons.astype(np.int16), "flat": np.where(sky() > 200.0, sky(), 100.0).astype(np.float32)}
    images |= {"narrow": sky(shape=(40, 400)), "tall": sky(shape=(400, 40))}
    fits.PrimaryHDU(images[kind]).writeto("sky.fits")
    kinds = ("MINIBACKGROUND", "MINIBACK_RMS", "BACKGROUND", "BACKGROUND_RMS")
    call = ["sky.fits", "-PARAMETERS_NAME", "odd.param", "-FILTER_NAME", str(SHARE / "default.conv")]
    call += ["-CHECKIMAGE_TYPE", ",".join(kinds), "-CHECKIMAGE_NAME", ",".join(f"{name}.fits" for name in kinds)]
    Path("odd.param").write_text("NUMBER\nX_IMAGE\n")
    assert main([*call, "-VERBOSE_TYPE", "QUIET"]) == 0
    made = [fits.getdata(f"{name}.fits") for name in kinds]
    subprocess.run([tool, *call], check=True, capture_output=True)
    for name, ours in zip(kinds, made, strict=True):
        # a surface is drawn in single precision
        assert np.allclose(ours, fits.getdata(f"{name}.fits"), rtol=2e-6, atol=1e-6), name


@pytest.mark.parametrize("most", ["20", "60", "140"])
def test_the_largest_area_is_that_of_a_part_of_a_blend(tool: str, most: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    ours, theirs = both(tool, "-DETECT_MAXAREA", most, columns=(*COLUMNS, "ID_PARENT", "FLUX_APER"))
    assert len(theirs)
    same(ours, theirs)


def test_the_error_of_a_source_with_less_light_than_the_threshold_is_the_originals(tool: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    fits.PrimaryHDU(sky(seed=5)).writeto("other.fits")  # nothing is where it was found
    columns = (*COLUMNS, "FLUX_ISOCOR", "FLUXERR_ISOCOR")
    ours, theirs = both(tool, "-GAIN", "2", columns=columns, image="sky.fits,other.fits")
    assert np.count_nonzero(theirs["FLUX_ISOCOR"] > 10 * theirs["FLUX_ISO"]) > 3
    same(ours, theirs)


def test_parents_are_numbered_over_all_images_of_a_file(tool: str) -> None:
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(sky(seed=seed)) for seed in (3, 5, 8))]).writeto("sky.fits")
    tables = both(tool, "-CLEAN_PARAM", "0.2", columns=(*COLUMNS, "ID_PARENT", "EXT_NUMBER", "NUMBER"))
    assert len(tables) == 6
    for ours, theirs in zip(tables[:3], tables[3:], strict=True):
        same(ours, theirs)


def test_the_largest_threshold_of_a_source_is_its_threshold(tool: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    ours, theirs = both(tool, "-WEIGHT_TYPE", "BACKGROUND", columns=(*COLUMNS, "THRESHOLDMAX"))
    assert len(theirs) > 10
    same(ours, theirs)


def test_wide_apertures_keep_sources_in_the_buffer_for_longer(tool: str) -> None:
    fits.PrimaryHDU(np.concatenate([sky(seed=seed) for seed in range(6)])).writeto("sky.fits")
    ours, theirs = both(tool, "-PHOT_APERTURES", "5,60", "-MEMORY_BUFSIZE", "300", columns=(*COLUMNS, "MAG_APER(2)"))
    assert len(theirs) > 10
    same(ours, theirs)  # row by row


@pytest.mark.parametrize("least", ["20,20", "0,30", "30,0"])
def test_the_first_of_the_least_apertures_is_the_reach_of_curves_of_growth(tool: str, least: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    columns = (*COLUMNS, "FLUX_RADIUS", "FLUX_WIN", "FLUX_GROWTH(8)")
    ours, theirs = both(tool, "-PHOT_AUTOAPERS", least, columns=columns)
    alone = theirs["FLAGS"] & 3 == 0
    assert np.count_nonzero(alone) > 10
    same(ours[alone], theirs[alone])


def test_areas_above_a_threshold_of_nothing_are_those_above_nothing(tool: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    noise = np.full((160, 180), 5.0, np.float32)
    noise[40:44, 50:70] = 0.0
    fits.PrimaryHDU(noise).writeto("noise.fits")
    columns = (*COLUMNS, *(f"ISO{level}" for level in range(8)))
    words = ("-WEIGHT_TYPE", "MAP_RMS", "-WEIGHT_IMAGE", "noise.fits", "-DEBLEND_MINCONT", "1")
    ours, theirs = both(tool, *words, columns=columns)
    assert (theirs["ISO7"] > 1).any()
    same(ours, theirs)


@pytest.mark.parametrize("name", ["none", "default.conv", "gauss_2.0_5x5.conv", "gauss_5.0_9x9.conv"])
def test_what_a_source_swallowed_is_hidden_as_the_filter_has_it(tool: str, name: str) -> None:
    y, x = np.mgrid[:160, :180]
    wings = 3000.0 / (1.0 + ((x - 80.0) ** 2 + (y - 70.0) ** 2) / 16.0) ** 1.2
    fits.PrimaryHDU((sky() + wings).astype(np.float32)).writeto("sky.fits")
    words = ["-FILTER", "N"] if name == "none" else ["-FILTER_NAME", str(SHARE / name)]
    ours, theirs = both(tool, *words, "-DETECT_THRESH", "0.7", columns=(*COLUMNS, "FLUX_APER", "VIGNET(25,25)"))
    assert len(theirs) > 10
    hidden, expected = (table["VIGNET"] < -1e29 for table in (ours, theirs))
    assert np.array_equal(hidden, expected)
    same(ours[["FLUX_AUTO", "FLUX_ISO"]], theirs[["FLUX_AUTO", "FLUX_ISO"]])


def test_petrosian_radii_within_one_blend_are_the_originals(tool: str) -> None:
    fits.PrimaryHDU(sky()).writeto("sky.fits")
    # all of the image belongs to somebody: no pixel is left for a ring
    ours, theirs = both(
        tool, "-BACK_TYPE", "MANUAL", "-BACK_VALUE", "80", columns=(*COLUMNS, "PETRO_RADIUS", "FLUX_PETRO")
    )
    assert np.count_nonzero(theirs["PETRO_RADIUS"] == 3.5) > 3
    same(ours, theirs)


def test_errors_of_single_pixels_are_the_originals(tool: str) -> None:
    pixels = sky()
    pixels[5::16, 5::16] += 60.0
    fits.PrimaryHDU(pixels).writeto("sky.fits")
    columns = (*COLUMNS, "ERRX2_IMAGE", "ERRY2_IMAGE", "ERRCXX_IMAGE", "ERRA_IMAGE", "ERRB_IMAGE", "ERRTHETA_IMAGE")
    ours, theirs = both(tool, "-FILTER", "N", "-DETECT_MINAREA", "1", "-DETECT_THRESH", "5", columns=columns)
    assert np.count_nonzero(theirs["ERRTHETA_IMAGE"] == 45.0) > 20
    for name in columns:
        assert np.allclose(ours[name], theirs[name], rtol=2e-6, atol=0), name


@pytest.mark.parametrize("image", ["sky.fits", "sky.fits,other.fits"])
@pytest.mark.parametrize("kinds", ["ALL", "ALL,ALL", "ALL,NONE", "NONE,ALL"])
def test_gaps_of_an_image_are_filled_as_its_kind_says(tool: str, image: str, kinds: str) -> None:
    """One image has the first kind; a second one is filled where it has a kind of its own only."""
    draw, weight = np.random.default_rng(8), np.ones((160, 180), np.float32)
    for name, seed in (("sky.fits", 3), ("other.fits", 4)):
        pixels = sky(seed=seed)
        for column in (31, 60, 61, 95, 130, 150):
            pixels[:, column], weight[:, column] = draw.normal(0.0, 50.0, 160), 0.0
        fits.PrimaryHDU(pixels).writeto(name)
    fits.PrimaryHDU(weight).writeto("weight.fits")
    words = ("-WEIGHT_TYPE", "MAP_WEIGHT", "-WEIGHT_IMAGE", "weight.fits", "-INTERP_TYPE", kinds)
    ours, theirs = both(tool, *words, image=image, columns=(*COLUMNS, "FLUX_APER", "XWIN_IMAGE"))
    assert len(theirs) > 10
    same(ours, theirs)
