"""The page of transfers in a real browser: live without jumping, by the keyboard alone, and without script."""

from datetime import timedelta

import pytest
import pytest_asyncio
from playwright.async_api import expect

from dbclient.schema import RequestKind, TransferMode
from dbclient.stores import Modes, Requests, Rules
from dbclient.stores.transfers import Transfers
from tests.support.browser import chromium, window
from tests.support.console import console
from tests.support.full_night import NOW

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def night(tmp_path_factory):
    async with console(tmp_path_factory.mktemp("night")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium() as running:
        yield running


async def signed_in(page, night) -> None:
    await page.goto("/login?next=/transfer")
    await page.get_by_label("Password").fill(night.password)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/transfer")


async def test_bars_countdowns_and_progress_change_under_the_eyes_of_the_reader(night, browser):
    async with night.database.read() as session:
        moving = (await Transfers().running(session))[0]
    async with window(browser, night.address, viewport={"width": 1000, "height": 600}) as opened:
        page = opened.page
        await page.goto("/transfer")
        await expect(page.locator("#freshness")).to_have_text("live")
        await page.evaluate("window.sameDocument = true")
        await page.locator("#node-node1 a").focus()
        await page.get_by_label("Into node").select_option("node2")
        async with night.database.write() as session:
            soon = NOW + timedelta(seconds=400)
            await Modes().ran(session, TransferMode.AUTOMATIC, every=600, next_at=soon, said="it ran", now=NOW)
            await Transfers().progress(session, moving.id, done=int(moving.bytes_total * 0.93), rate=1e8)
        await expect(page.locator("#mode-automatic")).to_contain_text("in 6 min")
        await expect(page.locator("#mode-automatic")).to_contain_text("it ran")
        await expect(page.get_by_label("Into node")).to_have_value("node2")
        assert await page.evaluate("window.sameDocument")
        assert opened.complaints == []


async def test_a_mode_is_paused_and_a_rule_written_by_the_keyboard_alone(night, browser):
    async with window(browser, night.address) as opened:
        page = opened.page
        await signed_in(page, night)
        await page.get_by_role("button", name="Pause immediate transfers").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#mode-immediate")).to_contain_text("paused by operator")
        resume = page.get_by_role("button", name="Resume immediate transfers")
        await resume.focus()
        await page.keyboard.press("Space")
        await expect(page.get_by_role("button", name="Pause immediate transfers")).to_be_visible()
        await page.get_by_label("Program").focus()
        await page.keyboard.press("Control+A")
        await page.keyboard.type("L")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.type("stays")
        await page.keyboard.press("Tab")
        await page.keyboard.type("until the survey is ready")
        await page.keyboard.press("Enter")
        await expect(page.locator("#ruletable")).to_contain_text("until the survey is ready")
        assert opened.complaints == []
    async with night.database.read() as session:
        (rule,) = await Rules().all(session)
    assert (rule.program, rule.policy) == ("L", "hold")


async def test_a_run_is_tried_and_sent_without_script(night, browser):
    async with window(browser, night.address, java_script_enabled=False) as opened:
        page = opened.page
        await signed_in(page, night)
        await page.get_by_label("Run", exact=True).first.fill("08AC14")
        await page.get_by_label("Into node").select_option("node1")
        await page.get_by_role("button", name="What would happen?").click()
        await expect(page.locator("#immediate")).to_contain_text("08AC14 to node1:")
        await page.get_by_role("button", name="to node1 now").click()
        await expect(page.get_by_role("status")).to_contain_text("transfer runid 08AC14 node node1, asked by operator")
    async with night.database.read() as session:
        (asked,) = await Requests().open(session, RequestKind.TRANSFER)
    assert asked.arguments == {"runid": "08AC14", "node": "node1", "filter": None}
