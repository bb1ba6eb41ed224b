"""A real browser for tests: Debian's Chromium, headless, that may talk to this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)


@contextmanager
def a_page(**context: Any) -> Iterator[Any]:
    """Open a page that notes what it asks for and what goes wrong.

    Gives a Playwright page with two lists: ``page.asked``, addresses of every request, and
    ``page.troubles``, errors of scripts and of the console.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        page = browser.new_context(**context).new_page()
        page.asked, page.troubles = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.troubles.append(str(error)))
        page.on("console", lambda message: page.troubles.append(message.text) if message.type == "error" else None)
        try:
            yield page
        finally:
            browser.close()


def hosts(page: Any) -> set[str]:
    """Give the host and port of everything a page asked for over a network."""
    return {part.netloc for part in map(urlsplit, page.asked) if part.scheme not in ("data", "blob", "file")}
