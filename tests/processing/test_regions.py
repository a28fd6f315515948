"""Regions of DS9: read, laid on a CCD, and refused where they mean nothing."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from processing.errors import BadRegions
from processing.regions import hand_mask, read_regions
from processing.regions.masks import Masks
from processing.regions.reading import regions_of
from processing.regions.shapes import System

SHAPE = (60, 80)
CENTRE = (132.5, -12.3)
SCALE = 0.18 / 3600
HEADER = fits.Header(
    [
        ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", CENTRE[0]), ("CRVAL2", CENTRE[1]),
        ("CRPIX1", 40.0), ("CRPIX2", 30.0), ("CD1_1", -SCALE), ("CD1_2", 0.0), ("CD2_1", 0.0), ("CD2_2", SCALE),
        ("RADESYS", "FK5"), ("EQUINOX", 2000.0),
    ]
)  # fmt: skip
Y, X = np.mgrid[1 : SHAPE[0] + 1, 1 : SHAPE[1] + 1].astype(np.float64)
"""Positions of pixels as DS9 counts them."""


def mask(text: str, *, tile: int = 1, header: fits.Header | None = HEADER, union: bool = True) -> NDArray[np.bool_]:
    return Masks(regions_of(text, Path("a.reg")), SHAPE, header, tile, union=union).whole()


def turned(angle: float, x0: float, y0: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions along the axes of a shape at (x0, y0) turned by `angle` degrees."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return (X - x0) * c + (Y - y0) * s, -(X - x0) * s + (Y - y0) * c


CIRCLE = np.hypot(X - 40.2, Y - 30.1) < 12.3
U, V = turned(30, 41.3, 29.7)
U0, V0 = turned(30, 40, 30)
EAST = CENTRE[0] - 0.2 * SCALE / np.cos(np.radians(CENTRE[1]))
NORTH = CENTRE[1] + 0.1 * SCALE
"""Centre of CIRCLE, on the sky."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image; circle(40.2,30.1,12.3)", CIRCLE),
        ("image\ncircle 40.2 30.1 12.3 # color=red text={a # b; c}", CIRCLE),
        ("image\nellipse(41.3,29.7,20.2,9.1,30)", np.hypot(U / 20.2, V / 9.1) < 1),
        ("image\nbox(41.3,29.7,30.2,9.1,30)", (abs(U) < 15.1) & (abs(V) < 4.55)),
        ("image\nrotbox(41.3,29.7,30.2,9.1,30)", (abs(U) < 15.1) & (abs(V) < 4.55)),
        ("image\nannulus(40.2,30.1,5.3,12.3)", CIRCLE & (np.hypot(X - 40.2, Y - 30.1) > 5.3)),
        ("image\ncircle(40.2,30.1,12.3)\n-circle(40.2,30.1,5.3)", CIRCLE & (np.hypot(X - 40.2, Y - 30.1) > 5.3)),
        ("image\ncircle(40.2,30.1,12.3)\n-box(41.3,29.7,30.2,9.1,30)", CIRCLE & ~((abs(U) < 15.1) & (abs(V) < 4.55))),
        ("image\ntext(3,4) # text={circle}\npoint(9,9)\ncircle(40.2,30.1,12.3)", CIRCLE),
        ('image\ncircle(40.2,30.1,2.214")', CIRCLE),
        (f'fk5\ncircle({EAST:.9f},{NORTH:.9f},2.214")', CIRCLE),
        (f"fk5\ncircle(08:50:00,-12:18:00,{9.2 * SCALE!r})", np.hypot(X - 40, Y - 30) < 9.2),
        ('j2000; circle 8h50m0s -12d18m0s 1.656"', np.hypot(X - 40, Y - 30) < 9.2),
        ('fk5\nellipse(8:50:00,-12:18:00,3.6",1.62",30)', np.hypot(U0 / 20, V0 / 9) < 1),
        ('fk5\nbox(8:50:00,-12:18:00,5.418",1.638",30)', (abs(U0) < 15.05) & (abs(V0) < 4.55)),
    ],
)  # fmt: skip
def test_shapes_cover_the_pixels_whose_centres_lie_in_them(text: str, expected: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(mask(text), expected)


def test_physical_pixels_are_those_before_the_cut() -> None:
    header = fits.Header([("LTV1", -100.0), ("LTV2", 20.0), ("LTM1_1", 0.5), ("LTM2_2", 0.5)])
    np.testing.assert_array_equal(
        mask("physical\ncircle(280.4,20.2,24.6)", header=header), mask("image\ncircle(40.2,30.1,12.3)")
    )


@pytest.mark.parametrize("system", [System.FK4, System.ICRS, System.GALACTIC, System.ECLIPTIC])
def test_every_system_of_the_sky_leads_to_the_same_pixels(system: System) -> None:
    from processing.regions.sky import Sky

    pixels = np.array([[10.2, 10.3], [50.7, 12.1], [30.3, 50.6]])
    places = Sky(HEADER).positions(pixels, system)
    # FK4 and back misses by 17 microarcsec, which is 1e-4 pixel here.
    np.testing.assert_allclose(Sky(HEADER).pixels(places, system), pixels, atol=2e-4, rtol=0)
    sky = f"{system}\npolygon({','.join(repr(float(value)) for value in places.ravel())})"
    image = f"image\npolygon({','.join(repr(float(value)) for value in (pixels + 1).ravel())})"
    np.testing.assert_array_equal(mask(sky), mask(image))


def test_overlaps_are_joined_or_cancelled() -> None:
    pair = "image\npolygon(5,5,40,5,40,40,5,40)\npolygon(20,20,60,20,60,50,20,50)"
    one, two = (mask(f"image\n{line}") for line in pair.splitlines()[1:])
    np.testing.assert_array_equal(mask(pair), one | two)
    np.testing.assert_array_equal(mask(pair, union=False), one ^ two)
    assert (one & two).any()


def test_regions_in_pixels_belong_to_a_tile_and_those_on_the_sky_to_all(tmp_path: Path) -> None:
    path = tmp_path / "hand.reg"
    path.write_text(
        "# Region file format: DS9\nglobal color=green width=1\n# tile 2\nimage\ncircle(20,20,5.2)\n"
        'tile 3;image;circle(50,30,5.2)\ntile 1\nfk5\ncircle(8:50:0,-12:18:0,0.936") # text={ghost} tag={a} tag={b c}\n'
    )
    regions = read_regions(path)
    sky = np.hypot(X - 40, Y - 30) < 5.2
    for tile, own in ((1, None), (2, (20, 20)), (3, (50, 30))):
        expected = sky.copy()
        if own:
            expected |= np.hypot(X - own[0], Y - own[1]) < 5.2
        np.testing.assert_array_equal(hand_mask(regions, SHAPE, HEADER, tile), expected)
        np.testing.assert_array_equal(hand_mask(regions, SHAPE, HEADER.tostring(), tile), expected)
    assert (regions[2].text, regions[2].tags, regions[2].line) == ("ghost", ("a", "b c"), 9)
    assert dict(regions[0].attributes) == {"color": "green", "width": "1"}


def test_what_lies_behind_the_projection_covers_nothing() -> None:
    assert not mask('fk5\ncircle(312.5,12.3,100")').any()
    assert not mask("fk5\npolygon(312,12,313,12,313,13)").any()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image\npolygon(1,2,3,4,5)", "line 2: polygon of 5 numbers"),
        ("image\npolygon(1,2,3,4)", "three corners"),
        ("image\ncircle(1,2)", "line 2: circle of 2 numbers"),
        ("image\ncircle(1,2,x)", "'x' where a number should be"),
        ("image\ncircle(1,2,-3)", "length -3"),
        ("image\ncircle(1,2,3", "without its )"),
        ("image\ncircle(nan,2,3)", "'nan' where a number"),
        ("image\ncircle(1e999,2,3)", "a number up to 1e+12 was expected"),
        ("image\ncirlce(1,2,3)", "did you mean circle?"),
        ("amplifier\ncircle(1,2,3)", "coordinates in amplifier"),
        ("fk5\ncircle(400:00:00,2,3)", "position"),
        ("fk5\ncircle(8:61:00,2,3)", "below 60"),
        ("fk5\ncircle(10,95,3)", "line 2: position 10 95"),
        ("tile 0\ncircle(1,2,3)", "line 1: tile 0"),
        ("image\n-circle(1,2,3)", "only excluded regions"),
        ("SIMPLE  =                    T", "line 1"),
        ("image\ncircle(1,2,3)\0", "no text"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_line_and_a_remedy(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.reg"
    path.write_text(text)
    with pytest.raises(BadRegions, match=r"bad.reg: ") as problem:
        read_regions(path)
    assert told in str(problem.value)
    assert problem.value.remedy


def test_a_file_that_is_missing_or_an_image_without_wcs_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadRegions, match=r"none.reg: cannot be read"):
        read_regions(tmp_path / "none.reg")
    with pytest.raises(BadRegions, match=r"a.reg: line 2: circle in fk5, but the image's header has no usable WCS"):
        mask("fk5\ncircle(1,2,3)", header=None)
    assert mask("image\ncircle(40.2,30.1,12.3)", header=None).sum() == CIRCLE.sum()


@pytest.mark.parametrize(
    "change", [{"CD1_1": 0.0, "CD1_2": SCALE}, {"CTYPE1": "RA---XYZ"}, {"CTYPE2": "RA---TAN"}, {"CTYPE1": "GLON-TAN"}]
)
def test_a_wcs_that_makes_no_sense_is_none(change: dict[str, object]) -> None:
    header = HEADER.copy()
    header.update({**change, "LTV1": "text"})
    with pytest.raises(BadRegions, match="no usable WCS"):
        mask('fk5\ncircle(8:50:00,-12:18:00,0.9")', header=header)
    np.testing.assert_array_equal(mask("physical\ncircle(40.2,30.1,12.3)", header=header), CIRCLE)


def test_corners_beyond_all_measure_are_cut_off_at_the_image() -> None:
    assert mask("image\npolygon(-1e11,-1e11,1e11,-1e11,1e11,1e11,-1e11,1e11)").all()
    assert not mask("image\npolygon(1e11,0,1e11,1e11,2e11,1e11)").any()
    far = fits.Header([("LTM1_1", 1e30), ("LTM2_2", 1.0)])
    for text in ("circle(1e11,1e11,1e12)", "polygon(-1e11,-1e11,1e11,1e11,1e11,-1e11)", "box(5,5,1e12,1e12,45)"):
        mask(f"image\n{text}")
        mask(f"physical\n{text}", header=far)


def test_long_lines_of_nothing_and_marks_of_byte_order_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.reg"
    path.write_text("\ufeff# Region file format: DS9\n" + "image " * 50000 + "circle(40.2,30.1,12.3) # " + "x=" * 50000)
    np.testing.assert_array_equal(hand_mask(read_regions(path), SHAPE, None, 1), CIRCLE)


PIECES = [
    "image", "fk5", ";", "\n", "circle", "polygon", "box", "annulus", "-", "(", ")", ",", " ", "#", "tile", "global",
    "=", "1", "-9e11", "1e308", "-2.5", "1e400", "12:30:15", "3'", '5"', "9h", "nan", "{", "}", "||", "text={a",
    "\u2028", "é", "0x1",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(max_size=40))
def test_whatever_a_file_holds_is_read_or_named(text: str) -> None:
    with suppress(BadRegions):
        Masks(regions_of(text, Path("a.reg")), SHAPE, HEADER, 1).whole()


def test_too_many_corners_are_refused_before_they_fill_the_memory() -> None:
    zigzag = ",".join(f"{1 + k % 7},{-9 if k % 2 else 4700}" for k in range(4000))
    with pytest.raises(BadRegions, match=r"a.reg: regions whose edges cross rows 18\d{6} times"):
        Masks(regions_of(f"image;polygon({zigzag})", Path("a.reg")), (4644, 2112), None, 1)
