"""Defects of a frame and its pixels at full resolution: where a click leads, and what the picture shows."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from processing.mosaic import assemble, hdu_bytes, primary_bytes
from spica.web.aiming import SHOWN, Aim, aim, clicked, on_mosaic, steps
from terapix.flags import FLAGS
from terapix.instruments import load_instrument
from tests.support.console import console

pytestmark = pytest.mark.asyncio(loop_scope="module")
MEGACAM = load_instrument("megacam")
SIDE = 26
COLOURS = {flag.name: flag.colour for flag in FLAGS}


def shown_at(ccd: int, at: Aim) -> tuple[int, int]:
    """Where a pixel lies on the picture as the page shows it."""
    left, low = min(c.column for c in MEGACAM.ccds), min(c.row for c in MEGACAM.ccds)
    across = max(c.column for c in MEGACAM.ccds) - left + MEGACAM.ccd_width
    up = max(c.row for c in MEGACAM.ccds) - low + MEGACAM.ccd_height
    columns, rows = -(-across // SIDE) + 1, -(-up // SIDE) + 1
    east, north = on_mosaic(MEGACAM, MEGACAM.ccds[ccd], at)
    scale = SHOWN / (columns * SIDE)
    return int((east - left) * scale), int((rows * SIDE - (north - low)) * scale)


@pytest.mark.parametrize("ccd", [0, 8, 17, 18, 35])
@pytest.mark.parametrize(("x", "y"), [(100, 200), (1000, 4000), (2000, 2300)])
async def test_a_click_leads_to_the_pixel_under_it(ccd, x, y):
    found = aim(MEGACAM, MEGACAM.ccds, shown_at(ccd, Aim(ccd, x, y)), SIDE)
    assert found.ccd == ccd
    assert abs(found.x - x) <= 56, "a pixel of the page is 56 of the mosaic wide"
    assert abs(found.y - y) <= 56


async def test_a_click_beside_the_ccds_leads_to_the_nearest_one_and_nothing_leads_outside():
    for click in ((0, 0), (419, 0), (0, 350), (99999, 99999)):
        found = aim(MEGACAM, MEGACAM.ccds, click, SIDE)
        assert found == found.within(MEGACAM)
    assert aim(MEGACAM, MEGACAM.ccds, (99999, 99999), SIDE).ccd == 35


async def test_what_a_browser_sends_of_a_click_is_read_and_nothing_else():
    assert clicked("137,62") == (137, 62)
    for text in ("", "137", "137,", ",1", "-1,2", "1,2,3", "1e3,2", "٣,1", "1" * 9 + ",1", "x=1&y=2"):
        assert clicked(text) is None


async def test_steps_go_where_the_picture_shows_them():
    for flipped in (False, True):
        ways = steps(Aim(3, 1000, 1000), 256, flipped=flipped)
        sign = -1 if flipped else 1
        assert ways["right"] == Aim(3, 1000 + sign * 128, 1000)
        assert ways["up"] == Aim(3, 1000, 1000 + sign * 128)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory):
    async with console(tmp_path_factory.mktemp("night")) as running:
        yield running


def _products(page):
    return next(page.settings.at(Path()).rglob(f"{page.night.weighted}_flag.fits.fz")).parent


def _maps(directory, name, shape=(24, 16)):
    """Put true maps in the place of the night's: pixel (3, 5) of the second CCD is a cosmic ray."""
    for kind, blank in (("weight", np.ones(shape, np.float32)), ("flag", np.zeros(shape, np.int16))):
        hit = blank.copy()
        hit[5, 3] = 0 if kind == "weight" else 32
        parts = [hdu_bytes(image, {}, name=f"ccd{n:02d}", quantize=1e-3) for n, image in enumerate((blank, hit))]
        assemble(directory / f"{name}_{kind}.fits.fz", primary_bytes({}), parts)


async def test_the_page_counts_defects_by_kind_and_ccd_in_the_wanted_order(page):
    text = await page.text(f"/frames/{page.night.weighted}?by=SATURATED")
    rows = re.findall(r'<tr><th scope="row"><a href="[^"]*/pixels/1\?ccd=(\d+)">', text)
    assert (rows[0], rows[1], len(rows)) == ("35", "0", 36)
    assert 'aria-sort="descending"' in text
    total = sum(4_000 + (index * 13) % 36 for index in range(36))
    assert f"{total:,}".replace(",", "\u2009") in text
    assert "ccd07: GAINA = 0 cannot be; GAIN = 1.6 is taken" in text
    for flag in FLAGS:
        assert flag.hexadecimal in text, "the legend has every flag"
        assert flag.words in text


async def test_a_click_is_led_to_an_address_that_can_be_kept(page):
    click = shown_at(4, Aim(4, 700, 900))
    answer = await page.get(f"/frames/{page.night.weighted}/pixels/1?{click[0]},{click[1]}")
    assert answer.status == 303
    assert re.match(rf"/frames/{page.night.weighted}/pixels/1\?ccd=4&x=\d+&y=\d+&side=256&", answer.headers["Location"])
    text = await page.text(answer.headers["Location"])
    assert text.count("checked") == len(FLAGS)


async def test_the_picture_shows_pixels_weights_and_only_the_flags_asked_for(page):
    _maps(_products(page), page.night.weighted)
    address = f"/frames/{page.night.weighted}/pixels/1?ccd=1&x=3&y=5&side=64&chosen=yes"
    found = {}
    for shown in ("", "&show=COSMIC", "&show=BAD&show=HAND"):
        text = await page.text(address + shown)
        [picture] = set(re.findall(r'href="(/frames/[^"]*/cutout/[^"]*)"', text))
        answer = await page.get(picture.replace("&amp;", "&"))
        assert answer.headers["Content-Type"] == "image/png"
        image = np.asarray(Image.open(io.BytesIO(await answer.read())).convert("RGB"))
        assert image.shape == (24, 48, 3)
        found[shown] = image
    weight, cosmic = (
        found["&show=COSMIC"][:, 16:32, 0],
        (found["&show=COSMIC"][:, 32:] == COLOURS["COSMIC"]).all(axis=2),
    )
    assert np.argwhere(weight == 0).tolist() == np.argwhere(cosmic).tolist() == [[24 - 1 - 5, 3]]
    assert not (found[""][:, 32:] == COLOURS["COSMIC"]).all(axis=2).any()
    assert not (found["&show=BAD&show=HAND"][:, 32:] == COLOURS["COSMIC"]).all(axis=2).any()


@pytest.mark.parametrize(
    "query",
    ["ccd=1e9&x=-5&y=%00&side=9999999&show=%22%3E%3Cb%3E", "ccd=99999999&x=99999999&y=99999999", "?&&=", "1,2,3"],
)
async def test_hostile_numbers_are_moved_into_the_frame_or_not_taken(page, query):
    text = await page.text(f"/frames/{page.night.weighted}/pixels/1?{query}")
    assert "<b>" not in text
    [ccd, x, y, side] = re.search(r"cutout/1\?ccd=(\d+)&amp;x=(\d+)&amp;y=(\d+)&amp;side=(\d+)", text).groups()
    assert (int(ccd) < 36, int(x) < 2080, int(y) < 4612, int(side) <= 512) == (True,) * 4


@pytest.mark.parametrize("path", ["nothere/pixels/1", "979400p/pixels/77", "979400p/pixels/x", "..%2f979400p/cutout/1"])
async def test_what_is_not_there_is_not_found(page, path):
    assert (await page.get(f"/frames/{path}")).status == 404


async def test_pixels_that_cannot_be_read_are_told_with_the_file_and_harm_nobody(page):
    (_products(page) / f"{page.night.weighted}_weight.fits.fz").write_bytes(b"SIMPLE  =                    T")
    answer = await page.get(f"/frames/{page.night.weighted}/cutout/1?ccd=0")
    assert answer.status == 404
    assert "979400p_weight.fits.fz[0]: the file ends inside a header" in await answer.text()
