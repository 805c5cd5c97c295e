"""A running application, Chromium, and what is wrong with a page that it shows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import make_server

from frontend.context import COOKIE

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {"light": 1280, "dark": 380}

expect.set_options(timeout=30_000)  # as long as everything else waits; five seconds are little on a busy machine


@contextmanager
def serving(app: Flask, port: int = 0) -> Iterator[str]:
    """The address of the application while it runs; port 0 is a free one."""
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        yield browser
        browser.close()


def visit(page: Page, url: str) -> None:
    """Open a page as whoever has chosen no collection before."""
    page.context.clear_cookies(name=COOKIE)
    page.goto(url)


def faults(page: Page, axe: Axe, what: str) -> list[str]:
    """What axe finds on a page, and whether it is wider than the screen."""
    results = axe.run(page)
    found = [f"{what}: {results.generate_report()}"] if results.violations_count else []
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [*found, *([f"{what}: wider than the screen by {wider} px"] if wider > 0 else [])]
