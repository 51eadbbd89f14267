"""A real browser for tests: Debian's Chromium, or Playwright's own; tests without one are skipped."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager

import pytest
from playwright.sync_api import Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium():
    """A headless Chromium."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    arguments = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=arguments)
        except Error:
            pytest.skip("there is no Chromium here: apt-get install chromium, or playwright install chromium")
        with browser:
            yield browser


@contextmanager
def opened(browser, address, **options):
    """A page at ``address``; fails if the browser has anything to complain of."""
    with browser.new_context(**options) as context:
        page = context.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.goto(address)
        page.complaints = complaints
        yield page
        assert not complaints, "\n".join(complaints)


def serious(page):
    """What axe-core finds wrong for people who use aids, beyond what is minor."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [
        (one["id"], one["help"], [node["html"][:200] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("moderate", "serious", "critical")
    ]


def small_targets(page):
    """The sizes of buttons that are too small to be hit, by WCAG 2.2, in pixels."""
    return page.evaluate(
        """[...document.querySelectorAll('button')].filter((one) => one.offsetWidth)
           .map((one) => Math.min(one.offsetWidth, one.offsetHeight)).filter((one) => one < 24)"""
    )
