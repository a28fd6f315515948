"""A real browser: Debian's chromium, driven by playwright."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from conftest import lacking

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

CONTRAST = """() => {
  const parse = (text) => {
    const found = text.match(/color\\(srgb ([^)]*)\\)/);
    if (found) return found[1].split(/[ \\/]+/).map((part, i) => i < 3 ? part * 255 : +part);
    return text.match(/[\\d.]+/g).map(Number);
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0.99) return colour;
    }
    return [255, 255, 255];
  };
  const spared = "svg, progress, .visually-hidden, caption, .notyet";
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest(spared) || !element.getClientRects().length) continue;
    const [a, b] = [parse(getComputedStyle(element).color), behind(element)].map(light).sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${element.className} ${element.textContent.trim().slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return [...new Set(faint)];
}"""
"""Lists texts whose contrast with what lies behind is below 4.5 (WCAG 2.2, 1.4.3)."""
SMALL = """() => [...document.querySelectorAll("button, select, input:not([type=hidden]), nav a, .button, .chain a")]
  .filter((element) => element.getClientRects().length)
  .filter((element) => Math.min(element.offsetHeight || 24, element.offsetWidth || 24) < 24)
  .map((element) => element.outerHTML.slice(0, 80))"""
"""Lists targets below 24 pixels (WCAG 2.2, 2.5.8)."""


@dataclass(slots=True)
class Window:
    """A page in the browser, and everything that it complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    """Addresses of other hosts that it asked for."""


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start the browser, or skip the test where there is none."""
    path = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if path is None:
        lacking("chromium", "apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(QUIET))
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def window(browser: Browser, address: str, **options: Any) -> AsyncIterator[Window]:
    """Open a window that notes errors, refusals of the content-security policy and strangers' addresses."""
    context = await browser.new_context(base_url=address, **options)
    try:
        opened = Window(await context.new_page())
        opened.page.on("pageerror", lambda problem: opened.complaints.append(str(problem)))
        opened.page.on(
            "console",
            lambda said: opened.complaints.append(said.text) if said.type in {"error", "warning"} else None,
        )
        opened.page.on(
            "request",
            lambda request: None if request.url.startswith((address, "data:")) else opened.outside.append(request.url),
        )
        yield opened
    finally:
        await context.close()
