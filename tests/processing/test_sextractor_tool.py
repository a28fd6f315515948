"""``terapix sextractor`` as its users call it, and what it says of bad input."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits, votable

from processing.errors import BadHeader, BadSetting, ShapeMismatch, Truncated
from processing.sextractor.command import main
from processing.sextractor.configuration import filter_of, settings_of
from processing.sextractor.exposure import Names, of_array, of_files
from processing.sextractor.extract import extract, extract_all
from processing.sextractor.extraction import Warned
from processing.sextractor.images import images, not_numbers
from processing.sextractor.keys import TOOL
from processing.sextractor.settings import Settings

SETTINGS = Settings(columns=("NUMBER", "X_IMAGE_DBL", "Y_IMAGE_DBL"))
CENTRES = np.array([[30.0, 20.0], [70.5, 50.2], [90.0, 85.0]])


def field(seed: int = 1, *, level: float = 500.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    y, x = np.mgrid[:100, :120]
    pixels = np.random.default_rng(seed).normal(level, 4.0, y.shape)
    for across, along in CENTRES:
        pixels += 400.0 * np.exp(-((x - across) ** 2 + (y - along) ** 2) / (2 * 1.8**2))
    return pixels.astype(np.float32)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "default.param").write_text("NUMBER\nEXT_NUMBER\nX_IMAGE_DBL\nY_IMAGE_DBL\nALPHA_J2000\n")
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(field(1), name="one"),
        fits.ImageHDU(field(2).astype(np.uint16), name="two"),
    ]
    fits.HDUList(hdus).writeto(tmp_path / "image.fits")
    return tmp_path


def mosaic(path: Path, *shapes: tuple[int, int]) -> str:
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(np.ones(shape, np.int16)) for shape in shapes)]).writeto(path)
    return str(path)


def test_an_array_gives_its_sources() -> None:
    found = extract(field(), settings=SETTINGS)
    assert list(found) == list(SETTINGS.columns)
    places = np.stack([found["X_IMAGE_DBL"], found["Y_IMAGE_DBL"]], axis=1) - 1.0
    # a tenth of a pixel: a signal to noise of several hundred over a profile of 1.8 pixels
    assert np.abs(places[np.argsort(places[:, 1])] - CENTRES).max() < 0.1


def crowd(seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Pairs that touch: what is left over between them is dealt by random numbers."""
    draw, (y, x) = np.random.default_rng(seed), np.mgrid[:180, :200]
    pixels = draw.normal(500.0, 4.0, y.shape)
    for _ in range(25 + 5 * seed):
        at = draw.uniform(8, (192, 172))
        for _ in range(2):
            pixels += 10 ** draw.uniform(2, 3) * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 1.8**2))
            at = at + draw.uniform(3.5, 5.0, 2) * draw.choice((-1, 1), 2)
    return pixels.astype(np.float32)


MEASURED = ("NUMBER", "EXT_NUMBER", "X_IMAGE_DBL", "ISOAREAF_IMAGE", "FLUX_AUTO", "FLAGS", "VIGNET(15,15)")


def test_the_number_of_threads_changes_no_bit(tmp_path: Path) -> None:
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(crowd(seed)) for seed in (3, 0, 2, 1))]  # the first takes longest
    fits.HDUList(hdus).writeto(tmp_path / "crowds.fits")
    one, more = (
        extract(tmp_path / "crowds.fits", settings=Settings(columns=MEASURED, threads=threads)) for threads in (1, 3)
    )
    assert np.bincount(one["EXT_NUMBER"][one["FLAGS"] & 2 > 0], minlength=5)[1:].min() > 10
    assert all(np.array_equal(one[name], more[name]) for name in one)
    alone = extract(crowd(1), settings=Settings(columns=MEASURED))
    last = one["EXT_NUMBER"] == 4
    assert len(alone["NUMBER"]) == np.count_nonzero(last)
    # an image behind others draws other random numbers than one that stands alone
    assert not np.array_equal(alone["ISOAREAF_IMAGE"], one["ISOAREAF_IMAGE"][last])


class Gone:
    """Rows of an image that is cut short while it is read."""

    shape = (180, 200)

    def read(self, first: int, end: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        raise Truncated(Path("crowds.fits"), "half of the pixels are there", hdu=2, remedy="run again")

    def fill(self, first: int, rows: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        self.read(first, first + len(rows))


def fail_with_the_first_image() -> None:
    exposures = [of_array(crowd(seed), weight=None, flags=(), header=None) for seed in range(3)]
    exposures[0] = replace(exposures[0], rows=Gone())
    with pytest.raises(Truncated, match=r"crowds\.fits\[2\].*run again"):
        extract_all(exposures, Settings(columns=MEASURED, threads=3))


def test_an_image_that_fails_ends_the_file_and_holds_up_no_other() -> None:
    # the others wait for the random numbers that the first one leaves: without them they never end
    script = f"import {__name__} as here; here.fail_with_the_first_image()"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100, cwd=Path(__file__).parents[2])


def test_a_call_makes_catalogue_summary_and_check_images(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "image.fits -CATALOG_TYPE FITS_LDAC -CATALOG_NAME made.cat -WRITE_XML Y -XML_NAME made.xml -CHECKIMAGE_TYPE"
    assert main([*words.split(), "SEGMENTATION,-BACKGROUND", "-CHECKIMAGE_NAME", "s.fits,b.fits"]) == 0
    told = capsys.readouterr().err
    assert told.count("/ sextracted 3") == 2
    assert "NO_WCS" in told
    with fits.open("made.cat") as hdus:
        assert [len(hdus[place].data) for place in (2, 4)] == [3, 3]
        assert hdus[4].data["EXT_NUMBER"].tolist() == [2, 2, 2]
        assert np.isnan(hdus[2].data["ALPHA_J2000"]).all()
    tables = {table.ID: table for table in votable.parse("made.xml").iter_tables()}
    assert tables["Extension_Data"].array["NSextracted"].tolist() == [3, 3]
    assert set(tables["Warnings"].array["Kind"]) == {Warned.NO_WCS, Warned.NO_GAIN}
    with fits.open("s.fits") as numbers, fits.open("b.fits") as flat:
        assert [hdu.name for hdu in numbers] == ["PRIMARY", "ONE", "TWO"]
        assert numbers[1].data.dtype == np.dtype(">i4")
        # the original empties its list of objects from the first, then from the end
        assert [numbers[1].data[round(y), round(x)] for x, y in CENTRES] == [1, 3, 2]
        assert abs(np.median(flat[2].data)) < 1.0
    assert sorted(path.name for path in here.glob("*.part")) == []


def test_a_catalogue_without_a_directory_is_told_before_anything_is_done(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["image.fits", "-CATALOG_NAME", "none/made.cat"]) == 2
    assert "CATALOG_NAME = none/made.cat: there is no directory none; make it" in capsys.readouterr().err
    assert not (here / "none").exists()


def test_one_image_is_picked_by_its_hdu(here: Path) -> None:
    whole, second = (extract(name, settings=SETTINGS) for name in ("image.fits", "image.fits[2]"))
    assert np.array_equal(whole["X_IMAGE_DBL"][3:], second["X_IMAGE_DBL"])
    with pytest.raises(BadHeader, match="HDUs with an image: 1, 2"):
        images("image.fits[7]")


def test_rows_are_those_of_the_pixels(here: Path) -> None:
    with fits.open("image.fits") as hdus:
        for index in (0, 1):
            rows = images("image.fits").rows(index)
            assert np.array_equal(rows.read(10, 40), hdus[index + 1].data[10:40])
            assert rows.read(10, 40).dtype == np.float32
    fits.CompImageHDU(field(2).astype(np.int16)).writeto(here / "packed.fits.fz")
    packed = images("packed.fits.fz").rows(0)
    assert np.array_equal(packed.read(3, 9), field(2).astype(np.int16)[3:9])


def test_a_head_file_goes_over_the_header(here: Path) -> None:
    (here / "image.head").write_text("GAIN    = 2.5 / e/ADU\nEND\nGAIN    = 3.5\nEND\n")
    exposures = of_files(Names("image.fits"), Settings())
    assert [each.told.number("GAIN") for each in exposures] == [2.5, 3.5]
    assert [each.told.number("GAIN") for each in of_files(Names("image.fits", head_suffix=""), Settings())] == [
        None,
        None,
    ]


def test_settings_are_those_of_the_files(here: Path) -> None:
    (here / "default.sex").write_text("BACK_SIZE 128,64\nDETECT_THRESH 2.0  # sigmas\nFILTER N\nPHOT_APERTURES 5, 9\n")
    settings = settings_of(TOOL.read(["-WEIGHT_TYPE", "NONE,MAP_RMS", "-GAIN", "2"]), ("NUMBER",))
    assert settings.back_size == (128, 64)
    assert settings.detect_thresh == (2.0,)
    assert settings.filter is None
    assert settings.phot_apertures == (5.0, 9.0)
    assert settings.weight_type == ("NONE", "MAP_RMS")
    plain, ours = settings_of(TOOL.read(["-c", "/dev/null", "-NTHREADS", "1"]), Settings().columns), Settings()
    assert plain == ours


def test_the_built_in_filter_stands_for_the_default(here: Path) -> None:
    assert filter_of("default.conv") == (((1, 2, 1), (2, 4, 2), (1, 2, 1)), True)
    (here / "default.conv").write_text("CONV NONORM\n# one\n1 2\n3 4\n")
    assert filter_of("default.conv") == (((1, 2), (3, 4)), False)
    with pytest.raises(BadSetting, match=r"gauss\.conv"):
        filter_of("gauss.conv")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("image.fits -DETECT_TRESH 2", "did you mean DETECT_THRESH"),
        ("image.fits -CATALOG_TYPE LDAC", "FITS_LDAC"),
        ("image.fits -BACK_SIZE 0", "BACK_SIZE = 0"),
        ("image.fits -DETECT_TYPE PHOTO", "PHOTO"),
        ("image.fits -PARAMETERS_NAME none.param", "none.param"),
        ("image.fits -CHECKIMAGE_TYPE OBJECTS,-OBJECTS", "1 files for 2"),
        ("a.fits b.fits c.fits", "3 images are given"),
        ("image.fits -CATALOG_NAME STDOUT -CATALOG_TYPE FITS_LDAC", "STDOUT takes texts"),
    ],
)
def test_bad_settings_are_named(here: Path, words: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert told in capsys.readouterr().err


def test_maps_of_another_size_or_number_are_named(here: Path) -> None:
    weighted = Settings(weight_type=("MAP_WEIGHT", "MAP_WEIGHT"))
    other = mosaic(here / "other.fits", (100, 120), (100, 119))
    with pytest.raises(ShapeMismatch, match=r"weight map of 119 x 100.*image\.fits\[2\] has 120 x 100"):
        of_files(Names("image.fits", weights=(other,)), weighted)
    with pytest.raises(ShapeMismatch, match="flag map of 119 x 100"):
        of_files(Names("image.fits", flags=(other,)), Settings())
    fewer = mosaic(here / "fewer.fits", (100, 120))
    with pytest.raises(ShapeMismatch, match="as many images"):
        of_files(Names("image.fits", weights=(fewer,)), weighted)
    with pytest.raises(ShapeMismatch, match="both files need"):
        of_files(Names("image.fits", detection=fewer), Settings())
    first, second = of_files(Names("image.fits", flags=(fewer,)), Settings())
    assert first.cautions == ()
    assert [caution.kind for caution in second.cautions] == [Warned.FEWER_FLAGS]
    assert not second.flags[0].read(0, 100).any()
    with pytest.raises(ShapeMismatch, match="weight map of shape"):
        extract(field(), weight=np.ones((3, 3)), settings=SETTINGS)


def test_a_short_file_that_promises_much_is_refused_before_it_is_read(here: Path) -> None:
    head = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 100_000, "NAXIS2": 100_000})
    (here / "short.fits").write_bytes(head.tostring().encode() + bytes(2880))
    with pytest.raises((BadHeader, Truncated), match=r"short\.fits\[0\]"):
        images("short.fits")


def test_an_image_with_nothing_in_it_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fits.PrimaryHDU(np.full((80, 90), 7, np.int16)).writeto("flat.fits")
    assert main(["flat.fits", "-CATALOG_TYPE", "ASCII", "-CATALOG_NAME", "flat.cat"]) == 0
    assert Path("flat.cat").read_text() == ""
    told = capsys.readouterr().err
    assert "EMPTY" in told
    fits.PrimaryHDU(field(level=66_000.0), fits.Header({"SATURATE": 60_000.0})).writeto("full.fits")
    assert main(["full.fits", "-CATALOG_NAME", "full.cat"]) == 0
    assert "SATURATED" in capsys.readouterr().err


def test_pixels_that_are_no_numbers_are_counted(here: Path) -> None:
    pixels = field()
    pixels[3, 4], pixels[90, 7] = np.nan, -np.inf
    fits.PrimaryHDU(pixels).writeto("holes.fits")
    assert not_numbers(images("holes.fits").rows(0), band=32) == 2


def holes() -> np.ndarray[Any, np.dtype[np.float32]]:
    pixels = field()
    pixels[3, 4], pixels[90, 7] = np.nan, np.inf
    return pixels


LACKING = {
    "NO_WCS": (field, ""),
    "NO_GAIN": (field, "-GAIN 0"),
    "NO_VALUE": (holes, ""),
    "NO_WEIGHT": (field, "-WEIGHT_TYPE MAP_WEIGHT -WEIGHT_IMAGE nothing.fits"),
    "SATURATED": (field, "-SATUR_LEVEL 100"),
    "EMPTY": (lambda: np.full((100, 120), 7.0, np.float32), ""),
    "FEWER_FLAGS": (field, "-FLAG_IMAGE fewer.fits"),
}
"""An image, settings, and the warning of it."""


@pytest.mark.parametrize("kind", LACKING)
def test_what_an_image_lacks_is_kept_in_its_catalogue(here: Path, kind: str) -> None:
    pixels, words = LACKING[kind]
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(pixels()) for _ in range(2))]).writeto("lacking.fits")
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(np.zeros((100, 120))) for _ in range(2))]).writeto("nothing.fits")
    mosaic(here / "fewer.fits", (100, 120))
    (here / "default.param").write_text("NUMBER\nX_IMAGE\nIMAFLAGS_ISO(1)\nALPHA_J2000\nMAG_AUTO\n")
    argv = ["lacking.fits", "-CATALOG_TYPE", "FITS_LDAC", "-CATALOG_NAME", "l.cat", "-VERBOSE_TYPE", "QUIET"]
    assert (
        main([*argv, *(words or "-GAIN 2").split(), *([] if "FLAG" in words else ["-FLAG_IMAGE", "nothing.fits"])]) == 0
    )
    with fits.open("l.cat") as hdus:
        rows = hdus[3].data["Field Header Card"]
    assert kind in str(fits.Header.fromstring("".join(str(card).ljust(80) for card in np.ravel(rows)))["HISTORY"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("-MEMORY_OBJSTACK 0", "MEMORY_OBJSTACK = 0: 16 or more was expected"),
        ("-PHOT_FLUXFRAC 50", "PHOT_FLUXFRAC = 50.0: 1e-06 to 1 was expected"),
        ("-CLEAN_PARAM 0", "CLEAN_PARAM = 0.0: 0.1 to 10 was expected"),
        ("-DETECT_THRESH -1", "DETECT_THRESH = -1.0: a threshold above 0 was expected"),
        ("-DETECT_MAXAREA -1", "DETECT_MAXAREA = -1: 0 or more was expected"),
        ("-BACK_SIZE ,", "BACK_SIZE: a number was expected"),
        ("-THRESH_TYPE RELATIVE,ABSOLUTE,RELATIVE", "THRESH_TYPE: 3 values are given"),
        (
            "-CHECKIMAGE_TYPE OBJECTS -CHECKIMAGE_NAME gone/o.fits",
            "CHECKIMAGE_NAME = gone/o.fits: there is no directory",
        ),
        ("-WRITE_XML Y -XML_NAME gone/o.xml", "XML_NAME = gone/o.xml: there is no directory gone"),
        (
            "-WEIGHT_TYPE MAP_RMS -WEIGHT_IMAGE gone.fits",
            "gone.fits: cannot be read (No such file or directory); WEIGHT_",
        ),
        ("image.fits", "4 images are given"),
    ],
)
def test_settings_that_make_no_sense_are_named(
    words: str, told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["a.fits", "b.fits"] if words == "image.fits" else []
    assert main(["image.fits", *more, *words.split()]) in {1, 2}
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"memory_objstack": 0}, "MEMORY_OBJSTACK = 0: 16 or more"),
        ({"back_size": (0, 64)}, "BACK_SIZE = 0,64: 1 or more"),
        ({"phot_apertures": ()}, "PHOT_APERTURES = : a number above 0"),
        ({"mask_type": "SOME"}, "MASK_TYPE = SOME: NONE or BLANK or CORRECT"),
        ({"filter": ((1.0, 2.0), (1.0,))}, "filter: rows of one length"),
        ({"columns": ("IMAFLAGS_ISO",)}, "no flag map is given"),
    ],
)
def test_settings_of_a_script_that_make_no_sense_are_named(given: dict[str, Any], told: str) -> None:
    with pytest.raises(BadSetting) as caught:
        extract(field(), settings=replace(SETTINGS, **given))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "pixels", [np.zeros((0, 5)), np.zeros((4, 5), complex), np.full((4, 5), "1"), np.zeros((4, 5), object), [[1.0]]]
)
def test_arrays_that_are_no_image_are_named(pixels: Any) -> None:
    with pytest.raises(BadSetting, match="expected"):
        extract(pixels, settings=SETTINGS)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_masked_pixels_have_no_weight(kind: type) -> None:
    pixels = np.ma.masked_array(np.rint(field()).astype(kind))
    pixels[10:20, 60:80] = 30000
    pixels[10:20, 60:80] = np.ma.masked
    assert len(extract(pixels, settings=SETTINGS)["NUMBER"]) == 3
    assert len(extract(pixels.data, settings=SETTINGS)["NUMBER"]) == 4
    weights = np.ma.masked_array(np.ones(pixels.shape), mask=pixels.mask)
    assert len(extract(pixels.data, weight=weights, settings=SETTINGS)["NUMBER"]) == 3


def test_two_images_come_as_one_word_or_as_two(here: Path) -> None:
    for words in (["image.fits,image.fits"], ["image.fits", "image.fits"], ["image.fits; image.fits"]):
        assert main([*words, "-VERBOSE_TYPE", "QUIET", "-CATALOG_NAME", "made.cat"]) == 0
        made = Path("made.cat").read_text(encoding="ascii")
        Path("made.cat").rename("before.cat")
        assert made == Path("before.cat").read_text(encoding="ascii")
        assert len([line for line in made.splitlines() if line[0] != "#"]) == 6


def test_a_check_image_is_named_by_its_place_in_the_list(here: Path) -> None:
    words = "-VERBOSE_TYPE QUIET -CHECKIMAGE_TYPE NONE,SEGMENTATION -CHECKIMAGE_NAME none.fits,s.fits"
    assert main(["image.fits", *words.split()]) == 0
    assert not Path("none.fits").exists()
    assert fits.getdata("s.fits", 1).max() == 3
