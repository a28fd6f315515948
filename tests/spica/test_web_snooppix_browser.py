"""The page of SNOOPPIX in a real browser: it obeys its policy, nothing jumps, and all is done without script too."""

import json
import re
from datetime import timedelta

import pytest
import pytest_asyncio
from playwright.async_api import expect

from dbclient.schema import Wish
from dbclient.stores import Configurations, Controls, Frames, Sighting, Transfers
from terapix.logfile import LogFile, place
from tests.support.browser import CONTRAST, SMALL, chromium, window
from tests.support.console import console
from tests.support.exchange import follow
from tests.support.full_night import NOW

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGES = (
    "/snooppix",
    "/snooppix/log",
    "/snooppix/configuration",
    "/snooppix/configuration?from=1",
    "/snooppix/lists/publications",
    "/snooppix/lists/runs",
    "/snooppix/runs/08AC14",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def night(tmp_path_factory):
    directory = tmp_path_factory.mktemp("night")
    async with console(directory) as running:
        await follow(running.database, directory, now=NOW)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as running:
        yield running


async def sign_in(page, night, back):
    await page.goto(f"/login?next={back}")
    await page.get_by_label("Password").fill(night.password)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"**{back}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_obeys_its_policy_and_can_be_read(night, browser, scheme):
    async with window(browser, night.address, color_scheme=scheme) as opened:
        await sign_in(opened.page, night, "/snooppix")
        for path in PAGES:
            await opened.page.goto(path)
            await expect(opened.page.locator("h1")).to_have_count(1)
            await opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert await opened.page.evaluate(CONTRAST) == [], path
            assert await opened.page.evaluate(SMALL) == [], path
        assert opened.complaints == []
        assert opened.outside == []


async def test_no_page_is_wider_than_a_telephone(night, browser):
    async with window(browser, night.address, viewport={"width": 390, "height": 800}) as opened:
        await sign_in(opened.page, night, "/snooppix")
        for path in PAGES:
            await opened.page.goto(path)
            assert await opened.page.evaluate("document.documentElement.scrollWidth") <= 390, path
            narrow = "[...document.querySelectorAll('section')].filter((one) => one.offsetWidth < 340).length"
            assert await opened.page.evaluate(narrow) == 0, path


async def test_what_is_typed_survives_the_news_and_nothing_jumps(night, browser):
    async with window(browser, night.address, viewport={"width": 1200, "height": 600}) as opened:
        page = opened.page
        await sign_in(page, night, "/snooppix")
        await expect(page.locator("#freshness")).to_have_text("live")
        await page.locator("summary", has_text="Accept").first.click()
        field = page.get_by_label("Because").first
        await field.fill("seen by eye: the sky is")
        await page.evaluate("document.activeElement.setSelectionRange(4, 4)")
        top = await field.evaluate("(element) => element.getBoundingClientRect().top")
        async with night.database.write() as session:
            sighting = Sighting(name="979499p", uri="cadc:CFHT/979499p.fits.fz", size=1000, runid="08AC14")
            await Frames().sight(session, sighting, now=NOW, source="snooppix")
            moving = (await Transfers().running(session))[0]
            await Transfers().progress(session, moving.id, done=int(moving.bytes_total * 0.97), rate=45e6)
        await expect(page.locator("tr", has_text="979499p").first).to_be_attached()
        assert await field.input_value() == "seen by eye: the sky is"
        assert await page.evaluate("[document.activeElement.name, document.activeElement.selectionStart]") == [
            "because",
            4,
        ]
        moved = await field.evaluate("(element) => element.getBoundingClientRect().top")
        assert abs(moved - top) < 40
        assert opened.complaints == []


async def test_progress_is_seen_as_it_goes(night, browser):
    async with night.database.read() as session:
        moving = (await Transfers().running(session))[-1]
    async with window(browser, night.address) as opened:
        await opened.page.goto("/snooppix")
        await expect(opened.page.locator("#freshness")).to_have_text("live")
        async with night.database.write() as session:
            await Transfers().progress(session, moving.id, done=int(moving.bytes_total * 0.91), rate=181e6)
        await expect(opened.page.locator(f"#transfer-{moving.id}")).to_contain_text("91 % of 341 MB")


async def test_new_lines_of_the_log_come_by_themselves_until_it_is_paused(night, browser):
    file = LogFile(place(night.settings.paths.directory / "log", "snooppix"), keep=1_000_000)

    def write(event):
        moment = (NOW + timedelta(seconds=1)).isoformat()
        file.write(json.dumps({"timestamp": moment, "level": "info", "part": "fetcher", "event": event}))

    async with window(browser, night.address) as opened:
        page = opened.page
        await page.goto("/snooppix/log")
        await expect(page.locator("#freshness")).to_have_text("live")
        write("a line <b>of its own</b>")
        await expect(page.locator("#loglines tbody tr").first).to_contain_text("a line <b>of its own</b>")
        await page.get_by_role("link", name="Pause").click()
        await expect(page.locator("#freshness")).to_have_text("live")
        await expect(page.locator("#live")).to_have_attribute("hx-trigger", "never")
        write("a later line")
        await page.get_by_role("link", name="Go on").click()
        await expect(page.locator("#loglines")).to_contain_text("a later line")
        assert opened.complaints == []


async def test_everything_can_be_asked_without_script(night, browser):
    async with window(browser, night.address, java_script_enabled=False) as opened:
        page = opened.page
        await sign_in(page, night, "/snooppix")
        await page.get_by_role("button", name="Stop").first.click()
        async with night.database.read() as session:
            assert await Controls().wish(session, "snooppix") is Wish.REST
        await page.get_by_role("button", name="Start").first.click()
        await page.get_by_role("button", name="Look now").click()
        await expect(page.get_by_role("status")).to_contain_text("look, asked by operator")
        await page.locator("summary", has_text="Accept").first.click()
        await page.get_by_label("Because").first.fill("seen by eye")
        await page.get_by_role("button", name="Accept 979").first.click()
        await expect(page.get_by_role("status")).to_contain_text("because seen by eye")


async def test_settings_are_edited_compared_saved_and_restored_by_keyboard_alone(night, browser):
    async with window(browser, night.address, java_script_enabled=False) as opened:
        page = opened.page
        await sign_in(page, night, "/snooppix/configuration")
        await page.get_by_label("Settings of [archive]").fill("[snooppix]\npoll = 0\n")
        await page.get_by_role("button", name="Check and compare").press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("line 2: snooppix.poll = 0: expected more than 0")
        await page.get_by_label("Settings of [archive]").fill("[snooppix]\npoll = 30.0\n")
        await page.get_by_role("button", name="Check and compare").press("Enter")
        await expect(page.locator(".diff .added").first).to_contain_text("+poll = 30.0")
        await page.get_by_label("Why").fill("a look more often")
        await page.get_by_role("button", name="Save and let SNOOPPIX reload").press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("Version 4 is kept.")
        await page.get_by_role("link", name="Compare, restore…").first.press("Enter")
        await page.get_by_role("button", name="Save only").press("Enter")
        await expect(page.get_by_role("status")).to_contain_text("Version 5 is kept.")
        async with night.database.read() as session:
            newest, _, third, *_ = await Configurations().history(session, "snooppix")
        assert newest.text == third.text


FOCUSED = """() => {
  const one = document.activeElement, box = one.getBoundingClientRect(), style = getComputedStyle(one);
  one.dataset.met = "yes";
  return {
    words: (one.ariaLabel || one.textContent || one.name || "").trim(),
    body: one === document.body,
    seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight,
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  };
}"""
NOT_MET = """() => [...document.querySelectorAll("a[href], button, summary, input:not([type=hidden]), [tabindex='0']")]
  .filter((one) => !one.dataset.met && one.checkVisibility()).map((one) => one.outerHTML.slice(0, 80))"""


async def test_the_keyboard_reaches_everything_in_order_and_the_focus_is_seen(night, browser):
    async with window(browser, night.address, java_script_enabled=True) as opened:
        page = opened.page
        await sign_in(page, night, "/snooppix")
        # without news: what the page writes anew while one goes through it would lose its mark of having been met
        await page.route("**/events?*", lambda route: route.abort())
        await page.goto("/snooppix")
        stops = []
        for _ in range(400):
            await page.keyboard.press("Tab")
            stop = await page.evaluate(FOCUSED)
            if stop["body"]:
                break
            stops.append(stop)
        assert stops[0]["words"] == "Skip to the content"
        assert stops[1]["words"].endswith("TERAPIX")
        assert [stop["words"] for stop in stops if not (stop["seen"] and stop["ring"])] == []
        assert await page.evaluate(NOT_MET) == []
        await page.goto("/snooppix")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.closest('main') !== null")


async def test_a_look_that_is_due_is_counted_down_by_the_page_itself(night, browser):
    async with window(browser, night.address) as opened:
        await opened.page.goto("/snooppix")
        due = opened.page.locator("#next-look [data-due]")
        await expect(due).to_have_text(re.compile(r"in \d+ (s|min)"))
        # its own place on the page: news of the daemon may write the one above anew at any moment
        for ahead, words in ((59, r"in (5\d|4\d) s"), (-5, "now"), (-300, "5 min late")):
            await opened.page.evaluate(
                "(ahead) => { const one = document.createElement('p'); one.id = `due${ahead}`; "
                "one.dataset.due = new Date(Date.parse(document.documentElement.dataset.now) "
                "+ performance.now() + ahead * 1000).toISOString(); document.body.append(one); }",
                ahead,
            )
            await expect(opened.page.locator(f'[id="due{ahead}"]')).to_have_text(re.compile(words))
