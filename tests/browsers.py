"""A real Chromium on a lab host, and what its user sees, is told and asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from lbctl.lab.hosts import Host

CHROMIUM: Final = "/usr/bin/chromium"
_ARGS: Final = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
#: What a busy machine needs for anything that a page shows, milliseconds.
LIMIT_MS: Final = 15_000
PHONE: Final = {"width": 360, "height": 780}
DESK: Final = {"width": 1280, "height": 900}

#: Texts whose contrast with what is behind them is less than WCAG 2.1 asks at level AA (4.5, or 3
#: where letters are large), each with its ratio.
PALE: Final = """() => {
  const parse = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    const isSrgb = text.startsWith("color(srgb");
    const [r, g, b] = isSrgb ? parts.map((one) => one * 255) : parts;
    return [r, g, b, parts.length > 3 ? parts[3] : 1];
  };
  const behind = (element) => {
    let layers = [];
    for (let one = element; one; one = one.parentElement) {
      const color = parse(getComputedStyle(one).backgroundColor);
      if (color[3] > 0) layers.push(color);
      if (color[3] === 1) break;
    }
    let [r, g, b] = layers.length ? layers.pop() : [255, 255, 255, 1];
    for (const [x, y, z, a] of layers.reverse()) {
      [r, g, b] = [x * a + r * (1 - a), y * a + g * (1 - a), z * a + b * (1 - a)];
    }
    return [r, g, b];
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((one) => {
      const part = one / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.nodeValue.trim() || !element.checkVisibility()) continue;
    if (element.closest(".away, .skip")) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(parse(style.color)), light(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) {
      found.push(`${walk.currentNode.nodeValue.trim()}: ${ratio.toFixed(2)}`);
    }
  }
  return found;
}"""

#: What can be pressed or filled in, and has no name for whoever does not see it.
NAMELESS: Final = """() => [...document.querySelectorAll("a, button, input, select, summary")]
  .filter((one) => one.type !== "hidden" && one.checkVisibility())
  .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim()
    || (one.labels && one.labels.length && one.labels[0].textContent.trim())))
  .map((one) => one.outerHTML)"""


class Visit:
    """
    One who looks, with a profile of his own.

    Attributes:
        said: errors of the console and of scripts.
        asked: addresses of all that was asked for.
    """

    def __init__(self, browser: Browser, url: str, **more: Any) -> None:
        self.url = url
        self.said: list[str] = []
        self.asked: list[str] = []
        self.context: BrowserContext = browser.new_context(base_url=url, **more)
        self.context.set_default_timeout(LIMIT_MS)
        self.context.on("request", self._note)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda one: self._say(one.type, one.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))

    def _note(self, request: Request) -> None:
        self.asked.append(request.url)

    def _say(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.said.append(text)

    @property
    def elsewhere(self) -> list[str]:
        """Of what was asked for, what is not of this API."""
        own = (f"{self.url}/", "data:")
        return [url for url in self.asked if not url.startswith(own)]

    def log_in(self, token: str, path: str = "/") -> Page:
        """By the form, as somebody who follows a link to *path*."""
        self.page.goto(path)
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(f"**{path}")
        return self.page

    def live(self) -> Page:
        """Once the page says that it is."""
        self.page.locator("#live.on").wait_for()
        return self.page

    def overflow(self) -> int:
        """How far the page can be scrolled sideways, pixels."""
        width: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return width


@contextmanager
def chromium(directory: Path, host: Host) -> Iterator[Browser]:
    """On *host*: what it asks for comes from there, and reaches nobody beyond the lab."""
    wrapper = directory / "chromium-on-host"
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(host.argv([CHROMIUM]))} "$@"\n')
    wrapper.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(wrapper), args=[*_ARGS], timeout=4 * LIMIT_MS
        )
        try:
            yield browser
        finally:
            browser.close()
