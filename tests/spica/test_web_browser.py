"""The console in a real browser: it obeys its own policy, is live without reloading, and works without script."""

import pytest
import pytest_asyncio
from playwright.async_api import expect

from dbclient.stores import Frames, Sighting, Transfers
from tests.support.browser import CONTRAST, SMALL, chromium, window
from tests.support.console import console
from tests.support.full_night import NOW

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGES = (
    "/",
    "/frames",
    "/frames/979400p",
    "/frames/979415p",
    "/frames/979400p/pixels/1?ccd=1&x=8&y=8",
    "/runs",
    "/nodes",
    "/history",
    "/statistics",
    "/transfer",
    "/transfer?runid=08AC14&node=node1",
    "/transfer/history",
    "/flow",
    "/filters",
    "/help",
    "/help/reload",
    "/login",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def night(tmp_path_factory):
    async with console(tmp_path_factory.mktemp("night")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as running:
        yield running


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_obeys_its_policy_and_can_be_read(night, browser, scheme):
    async with window(browser, night.address, color_scheme=scheme) as opened:
        for path in PAGES:
            await opened.page.goto(path)
            await expect(opened.page.locator("h1")).to_have_count(1)
            assert await opened.page.evaluate(CONTRAST) == [], path
            assert await opened.page.evaluate(SMALL) == [], path
        assert opened.complaints == []
        assert opened.outside == []


async def test_no_page_is_wider_than_a_telephone(night, browser):
    async with window(browser, night.address, viewport={"width": 390, "height": 800}) as opened:
        for path in PAGES:
            await opened.page.goto(path)
            assert await opened.page.evaluate("document.documentElement.scrollWidth") <= 390, path


async def test_news_come_without_reloading_and_nothing_jumps(night, browser):
    async with window(browser, night.address, viewport={"width": 1000, "height": 500}) as opened:
        page = opened.page
        await page.goto("/")
        await expect(page.locator("#freshness")).to_have_text("live")
        await page.evaluate("window.sameDocument = true")
        link = page.get_by_role("link", name="979419p").first
        await link.focus()
        await page.evaluate("window.scrollTo(0, 600)")
        async with night.database.write() as session:
            sighting = Sighting(name="979477p", uri="cadc:CFHT/979477p.fits.fz", size=1000, runid="08AC14")
            await Frames().sight(session, sighting, now=NOW, source="snooppix")
        await expect(page.locator("#sentence")).to_contain_text("11 of 25 frames weighted")
        await expect(page.get_by_role("link", name="979477p").first).to_be_attached()
        assert await page.evaluate("window.sameDocument && document.activeElement.textContent") == "979419p"
        assert await page.evaluate("window.scrollY") == 600
        assert opened.complaints == []


async def test_progress_is_seen_as_it_goes(night, browser):
    async with night.database.read() as session:
        moving = (await Transfers().running(session))[0]
    async with window(browser, night.address) as opened:
        await opened.page.goto("/")
        await expect(opened.page.locator("#freshness")).to_have_text("live")
        async with night.database.write() as session:
            await Transfers().progress(session, moving.id, done=int(moving.bytes_total * 0.91), rate=181e6)
        await expect(opened.page.locator(f"#transfer-{moving.id}")).to_contain_text("91 % of 341 MB")


async def test_the_operator_signs_in_and_asks(night, browser):
    async with window(browser, night.address) as opened:
        page = opened.page
        await page.goto("/frames/979415p")
        await page.get_by_role("link", name="Sign in").last.click()
        await page.get_by_label("Password").fill(night.password)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/frames/979415p")
        await page.get_by_role("button", name="Try again now").click()
        await expect(page.get_by_role("status")).to_contain_text("retry frame 979415p, asked by operator")
        await page.get_by_role("button", name="Sign out operator").click()
        await expect(page.get_by_role("link", name="Sign in").first).to_be_visible()
        assert opened.complaints == []


async def test_the_header_is_sieved_while_one_types(night, browser):
    async with window(browser, night.address) as opened:
        page = opened.page
        await page.goto("/frames/979400p")
        await page.get_by_label("Cards with").fill("runid")
        await expect(page.locator("#cards tbody tr:visible")).to_have_count(1)
        await page.locator("#headers").get_by_role("link", name="ccd01").click()
        await expect(page.locator("#header")).to_contain_text("ccd01")


async def test_everything_can_be_read_and_done_without_script(night, browser):
    async with window(browser, night.address, java_script_enabled=False) as opened:
        page = opened.page
        await page.goto("/")
        await expect(page.locator("#sentence")).to_contain_text("frames weighted")
        await expect(page.locator("#freshness")).to_contain_text("as of 06:23:10 UTC")
        await page.get_by_role("button", name="dark").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        await page.get_by_role("link", name="Frames", exact=True).click()
        await page.get_by_label("State").select_option("failed")
        await page.get_by_role("button", name="Show").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.goto("/login?next=/nodes")
        await page.get_by_label("Password").fill(night.password)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name="Drain").first.click()
        await expect(page.get_by_role("status")).to_contain_text("drain node node1, asked by operator")


async def test_a_click_on_the_focal_plane_leads_to_its_pixels_and_flags_are_chosen_without_script(night, browser):
    async with window(browser, night.address, java_script_enabled=False) as opened:
        page = opened.page
        await page.goto("/frames/979400p")
        await page.get_by_role("img", name="Its flags").click(position={"x": 200, "y": 150})
        await expect(page.get_by_role("heading", level=1)).to_have_text("Pixels of 979400p")
        await expect(page.get_by_role("checkbox", checked=True)).to_have_count(15)
        assert "ccd=13&" in page.url, "the middle of the second row"
        await page.locator("select[name=ccd]").select_option("ccd01")
        await page.get_by_label("cosmic ray").uncheck()
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_role("checkbox", checked=True)).to_have_count(14)
        await expect(page.get_by_role("img", name="Its flags over the frame")).to_be_visible()
        assert "COSMIC" not in page.url
        assert opened.outside == []
