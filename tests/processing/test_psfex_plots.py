"""Check-plots: what is drawn, where it lies, and how it is read."""

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from astropy.io.votable import parse

from processing.cards import text_of
from processing.ldac import Catalogue
from processing.psfex.canvas import Scale, colour, number, ticks
from processing.psfex.command import main
from processing.psfex.focal_plane import FocalPlane
from processing.psfex.plots import KINDS, MAPS
from processing.sextractor.world import world_of
from tests.processing.test_psfex import stars, written
from tests.processing.test_psfex_diagnostics import tangent as header

SVG = "{http://www.w3.org/2000/svg}"
WORDS = ("-VERBOSE_TYPE", "QUIET", "-CHECKIMAGE_TYPE", "NONE", "-PSFVAR_NSNAP", "3", "-PSFVAR_DEGREES", "1")
NAMES = ",".join(kind.lower() for kind in KINDS)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a.cat", stars(), stars(seed=4))
    return tmp_path


def texts(path: Path) -> list[str]:
    return [str(each.text) for each in ET.parse(path).getroot().iter(f"{SVG}text")]


def luminance(tint: str) -> float:
    red, green, blue = (int(tint[k : k + 2], 16) for k in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_colours_get_lighter_all_the_way() -> None:
    light = [luminance(colour(share)) for share in np.linspace(0.0, 1.0, 33)]
    assert all(after > before for before, after in pairwise(light))
    assert (light[0] < 40.0, light[-1] > 215.0) == (True, True)


def test_ticks_are_round() -> None:
    assert ticks(0.0, 10.0) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert ticks(0.672, 0.785) == pytest.approx([0.68, 0.70, 0.72, 0.74, 0.76, 0.78])
    assert ticks(3.0, 3.0) == [3.0]
    assert [number(value, 0.02) for value in (0.7, -0.02, -0.0)] == ["0.70", "−0.02", "0.00"]


def test_one_wild_value_does_not_take_the_colours_of_all() -> None:
    values = np.append(np.linspace(0.9, 1.1, 100), [50.0, np.nan])
    scale = Scale.of(values)
    assert scale.low == pytest.approx(0.9)
    assert scale.high < 1.5
    assert scale.colour(50.0) == colour(1.0)
    assert scale.colour(float("nan")) not in {colour(0.0), colour(1.0)}
    same = Scale.of([2.0, 2.0])
    assert same.low < 2.0 < same.high
    assert Scale.of([]).share(0.5) == 0.5


def test_the_sky_is_seen_from_below() -> None:
    cards = text_of([
        ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 10.0), ("CRVAL2", 0.0), ("CRPIX1", 1.0),
        ("CRPIX2", 1.0), ("CD1_1", -0.1), ("CD1_2", 0.0), ("CD2_1", 0.0), ("CD2_2", 0.1),
    ])  # fmt: skip
    world = world_of(cards)
    assert world is not None
    east, north = FocalPlane([(2.0, 2.0)], [world], (10.0, 0.0)).plane(0, np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    assert east == pytest.approx([6.0, 0.0], abs=1e-4)
    assert north == pytest.approx([0.0, 6.0], abs=1e-4)


def test_images_without_a_sky_stand_in_rows() -> None:
    plane = FocalPlane([(4000.0, 2000.0)] * 8, ())
    corners = [plane.outline(image) for image in range(8)]
    # two rows of four, the first above the second, as they are read
    assert [round(float(x[0])) for x, _ in corners[:4]] == [0, 2120, 4240, 6360]
    assert corners[0][1][0] > corners[4][1][0]
    assert corners[4][0][0] == corners[0][0][0]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_document_with_units(here: Path, kind: str) -> None:
    assert main(["a.cat", "-CHECKPLOT_TYPE", kind, "-CHECKPLOT_NAME", "plot", "-WRITE_XML", "N", *WORDS]) == 0
    assert sorted(path.name for path in here.iterdir()) == ["a.cat", "a.psf", "plot_a.svg"]
    words = texts(here / "plot_a.svg")
    if kind == "SELECTION_FWHM":
        assert "2 × FLUX_RADIUS, pixels" in words
        assert [word for word in words if word.startswith("in the model 1")]
    else:
        assert words[0] == MAPS[kind].title
        assert MAPS[kind].unit in words
        paths = ET.parse(here / "plot_a.svg").getroot().findall(f"{SVG}g")
        assert [len(group.findall(f"{SVG}title")) for group in paths] == [1, 1]
    assert not [word for word in words if "nan" in word]


def test_a_map_on_the_sky_is_in_arcseconds(here: Path) -> None:
    written(here / "b.cat", *(Catalogue(each.cards + header(), each.sources) for each in (stars(), stars(seed=4))))
    assert main(["b.cat", "-CHECKPLOT_TYPE", "FWHM", "-CHECKPLOT_NAME", "fwhm", "-WRITE_XML", "N", *WORDS]) == 0
    words = texts(here / "fwhm_b.svg")
    assert "arcseconds" in words
    assert [word for word in words if word.startswith("east of 150.0")]


def test_groups_tell_what_they_show(here: Path) -> None:
    assert main(["a.cat", "-CHECKPLOT_TYPE", "COUNTS", "-CHECKPLOT_NAME", "n", "-WRITE_XML", "N", *WORDS]) == 0
    group = ET.parse(here / "n_a.svg").getroot().find(f"{SVG}g")
    assert group is not None
    told = str(group.findtext(f"{SVG}title"))
    assert told.startswith("image 1: median ")
    assert told.endswith("stars a cell")


def test_plots_are_named_in_the_summary(here: Path) -> None:
    assert main(["a.cat", "-CHECKPLOT_TYPE", "FWHM,COUNT_FRACTION", "-CHECKPLOT_NAME", "fwhm,frac.svg", *WORDS]) == 0
    table = parse(here / "psfex.xml", verify="exception").get_table_by_id("PSF_Fields").to_table()
    assert (table["Plot_FWHM"][0], table["Plot_Count_Fraction"][0]) == ("fwhm_a.svg", "frac_a.svg")


def test_a_psf_that_does_not_vary_is_drawn(here: Path) -> None:
    words = [*WORDS[:-4], "-PSFVAR_KEYS", "", "-PSFVAR_GROUPS", "", "-PSFVAR_DEGREES", "", "-WRITE_XML", "N"]
    assert main(["a.cat", "-CHECKPLOT_TYPE", ",".join(KINDS), "-CHECKPLOT_NAME", NAMES, *words]) == 0
    assert len(list(here.glob("*_a.svg"))) == len(KINDS)


def test_images_without_stars_stay_empty(here: Path) -> None:
    none = stars(8)
    none.sources["SNR_WIN"] = 1.0
    written(here / "c.cat", none, stars(), stars(0))
    written(here / "d.cat", stars(0))
    words = ["-CHECKPLOT_TYPE", ",".join(KINDS), "-CHECKPLOT_NAME", NAMES, "-WRITE_XML", "N", *WORDS]
    assert main(["c.cat", *words]) == 0
    assert main(["d.cat", *words]) == 1
    for name in "cd":
        plots = sorted(here.glob(f"*_{name}.svg"))
        assert len(plots) == len(KINDS)
        for plot in plots:
            assert not [word for word in texts(plot) if "nan" in word]
    titles = [str(each.text) for each in ET.parse(here / "chi2_c.svg").getroot().iter(f"{SVG}title")][1:]
    assert [title.endswith("no star") for title in titles] == [True, False, True]


def test_what_cannot_be_drawn_is_refused_by_name(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a.cat", "-CHECKPLOT_DEV", "PMG", *WORDS]) == 2
    assert "CHECKPLOT_DEV = PMG: one of AQT" in capsys.readouterr().err
    assert main(["a.cat", "-CHECKPLOT_TYPE", "FWMH", *WORDS]) == 2
    assert "CHECKPLOT_TYPE = FWMH" in capsys.readouterr().err
    assert main(["a.cat", "-CHECKPLOT_TYPE", "FWHM,CHI2", "-CHECKPLOT_NAME", "one", *WORDS]) == 2
    assert "1 files for 2 check-plots" in capsys.readouterr().err
    assert [path.name for path in here.iterdir()] == ["a.cat"]


def test_by_default_all_is_told_that_the_original_tells(here: Path) -> None:
    assert main(["a.cat"]) == 0
    images, plots = ("chi", "proto", "resi", "samp", "snap"), (
        "selfwhm", "fwhm", "ellipticity", "counts", "countfrac", "chi2", "resi",
    )  # fmt: skip
    expected = {f"{name}_a.fits" for name in images} | {f"{name}_a.svg" for name in plots}
    assert {path.name for path in here.iterdir()} == expected | {"a.cat", "a.psf", "psfex.xml"}


def test_the_null_device_draws_nothing(here: Path) -> None:
    assert main(["a.cat", "-CHECKPLOT_DEV", "NULL", "-WRITE_XML", "N", *WORDS]) == 0
    assert sorted(path.name for path in here.iterdir()) == ["a.cat", "a.psf"]


def test_devices_of_the_original_draw_svg_and_say_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*WORDS, "-VERBOSE_TYPE", "NORMAL"]
    assert main(["a.cat", "-CHECKPLOT_DEV", "PNG", "-CHECKPLOT_TYPE", "FWHM", "-CHECKPLOT_NAME", "f", *words]) == 0
    assert "CHECKPLOT_DEV = PNG: plots are drawn as SVG" in capsys.readouterr().err
    assert (here / "f_a.svg").read_text().startswith("<svg")
