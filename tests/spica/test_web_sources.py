"""What the page tells of catalogue and PSF: per CCD, drawn, and what is missing."""

import pytest
import pytest_asyncio

from dbclient.records import NewProduct
from dbclient.schema import FrameState
from dbclient.stages import SOURCES
from dbclient.stores import Frames, Jobs, Nodes, Products
from spica.web.seen import STEPS, seen_of
from tests.support.console import console
from tests.support.full_night import NOW

pytestmark = pytest.mark.asyncio(loop_scope="module")

SUMMARY = {
    "seconds": 9.1, "ccds": 3, "sources": 1700, "stars": 130, "seeing": 0.71, "ellipticity": 0.021,
    "background": 341.4, "extraction": 14.5,
    "by_ccd": {
        "name": ["ccd00", "ccd01", "ccd02"], "sources": [900, 800, 0], "stars": [70, 60, 0], "fwhm": [0.66, 0.75, None],
        "ellipticity": [0.02, 0.03, None], "angle": [90.0, -30.0, None], "chi2": [0.98, 1.02, None],
        "background": [341.4, 341.9, 0.0], "noise": [15.0, 15.1, 0.0],
        "seconds": [6.1, 6.0, 2.4],
    },
    "verdicts": {"ccd02": "no star among 0 sources (the catalogue is empty)"}, "warnings": ["ccd02: EMPTY: nothing"],
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory):
    async with console(tmp_path_factory.mktemp("night")) as running:
        yield running


async def sources_job(page) -> tuple[str, int]:
    """Claim a sources job of a weighted frame that has none; give the frame's name and the job."""
    async with page.database.write() as session:
        frames = await Frames().search(session, state=FrameState.WEIGHTED)
        [frame, *_] = [each for each in frames if len(await Jobs().of_frame(session, each.id)) == 1]
        node = await Nodes().named(session, str(frame.node))
        job = await Jobs().create(session, frame_id=frame.id, node_id=node.id, stage=SOURCES, recipe="s", now=NOW)
        await Jobs().claim(session, job, worker="w", token="t", now=NOW)
    return frame.name, job


async def done(page, name: str, job: int, summary: dict) -> None:
    """End a sources job, with products that tell the maps which they were made with."""
    async with page.database.write() as session:
        frame = await Frames().named(session, name)
        read = {product.kind: product.digest for product in await Products().of_frame(session, frame.id)}
        made = [NewProduct(kind, f"products/{name}.{kind}", 9, "md5:0", read) for kind in ("catalogue", "psf")]
        assert await Jobs().finish(session, job, "t", products=made, summary=summary, now=NOW, source="spica")


async def test_a_frame_tells_its_sources_by_ccd_and_draws_their_widths(page):
    name, job = await sources_job(page)
    text = await page.text(f"/frames/{name}")
    assert 'id="sources"' not in text
    assert "it waits for its catalogue and PSF" in text
    await done(page, name, job, SUMMARY)

    text = await page.text(f"/frames/{name}")
    assert "its catalogue and PSF: nothing is left to do" in text

    assert "130 stars in the PSF, seeing 0.71″, ellipticity 0.021; made in 9 s" in text
    assert text.count('class="ccd shade') == 2
    assert text.count('class="ccd nothing"') == 2, "on both maps"
    assert "no star among 0 sources" in text
    assert text.count("<line ") == 2
    assert "ccd01: ellipticity 0.030 along -30°, χ² of stars 1.02" in text
    assert "a line across a whole CCD would be 0.056" in text
    assert ">catalogue</a>" in text
    assert ">psf</a>" in text
    assert "has its catalogue and PSF: 1700 sources" in text
    overview = await page.text("/")
    assert "sources takes" in overview
    assert "1 frames have come to catalogued" in overview


async def test_a_frame_that_lacks_them_says_why_and_stays_weighted(page):
    name, job = await sources_job(page)
    async with page.database.write() as session:
        await Jobs().fail(session, job, "t", reason="no memory", retry_at=None, now=NOW, source="spica")

    text = await page.text(f"/frames/{name}")

    assert "sources: no memory" in text
    assert "Its sources job failed after 1 tries: no memory" in text
    assert "1 weighted frame got no catalogue" in await page.text("/")
    async with page.database.read() as session:
        assert (await Frames().named(session, name)).state is FrameState.WEIGHTED


@pytest.mark.parametrize("wrong", [{}, {"by_ccd": {"name": ["a"]}}, {**SUMMARY, "sources": "x"}])
async def test_a_summary_of_other_software_is_not_shown(page, wrong):
    name, job = await sources_job(page)
    await done(page, name, job, wrong)
    async with page.database.read() as session:
        frame = await Frames().named(session, name)
        assert seen_of(await Jobs().of_frame(session, frame.id)) is None
    assert 'id="sources"' not in await page.text(f"/frames/{name}")


async def test_widths_that_hardly_differ_get_one_shade(page):
    name, job = await sources_job(page)
    even = {**SUMMARY, "by_ccd": {**SUMMARY["by_ccd"], "fwhm": [0.700, 0.702, 0.701]}}
    await done(page, name, job, even)
    async with page.database.read() as session:
        frame = await Frames().named(session, name)
        seen = seen_of(await Jobs().of_frame(session, frame.id))
    assert {row.shade for row in seen.rows} == {STEPS // 2}


async def test_lines_of_ellipticity_point_along_the_major_axis_as_one_sees_it(page):
    name, job = await sources_job(page)
    await done(page, name, job, SUMMARY)
    async with page.database.read() as session:
        frame = await Frames().named(session, name)
        seen = seen_of(await Jobs().of_frame(session, frame.id))
    upright, falling, none = (row.line for row in seen.rows)
    assert upright == (0.0, -0.18), "0.02 of 0.05, of half of nine tenths of a CCD; up is less y"
    assert falling == (pytest.approx(0.27 * 3**0.5 / 2, abs=1e-4), pytest.approx(0.135, abs=1e-4))
    assert none is None


async def test_a_frame_that_was_catalogued_before_has_no_lines(page):
    name, job = await sources_job(page)
    by_ccd = {key: value for key, value in SUMMARY["by_ccd"].items() if key not in {"angle", "chi2"}}
    await done(page, name, job, {**SUMMARY, "by_ccd": by_ccd})
    text = await page.text(f"/frames/{name}")
    assert 'id="sources"' in text
    assert "<line " not in text
