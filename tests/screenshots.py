"""`make screenshots`: every page as a picture, in light and dark and for three widths, and the two of the README.

Pictures land in build/screenshots, with the path of the page, the width and the scheme in their names.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

from demo.postgres import Postgres
from frontend.app import create_app
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.schema import upgrade
from tests.frontend.browsing import chromium, serving, visit
from tests.frontend.conftest import SECRET_KEY
from tests.frontend.sample import fill
from tests.frontend.test_browser import pages
from tests.world import NOW, filling

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "screenshots"
IMAGES = ROOT / "docs" / "images"
WIDTHS = (380, 1280, 1920)
SCHEMES = ("light", "dark")
WHO = "admin"
FOR_PEOPLE = (
    "/add-group",
    "/add-packages",
    "/groups/toolchain/delete",
    "/groups/toolchain/edit",
    "/log",
    "/logout",
    "/package/gcc",
    "/tokens",
)


@contextmanager
def running(*, pretty: bool = False) -> Iterator[str]:
    """The address of an application with believable data, for an administrator. `pretty`: the machine is well."""
    folder = Path(tempfile.mkdtemp(prefix="koschei-screenshots-"))
    folder.chmod(0o711)
    try:
        with Postgres(folder) as postgres:
            url = postgres.create_database("screenshots")
            upgrade(url)
            database = Database(url)
            with filling(database) as world:
                fill(world, pretty=pretty)
            config = Config.model_validate(
                {
                    "flask": {"SECRET_KEY": SECRET_KEY},
                    "bypass_login": WHO,
                    "frontend": {"external_url": "http://127.0.0.1"},
                }
            )
            with serving(create_app(config, database, clock=lambda: NOW)) as address:
                yield address
            database.dispose()
    finally:
        shutil.rmtree(folder)


def take(browser: Browser, address: str, wanted: str) -> int:
    """Make a picture of every page whose path has the text in it; returns how many."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    count = 0
    for scheme in SCHEMES:
        for width in WIDTHS:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
            page = context.new_page()
            paths = [path for path in pages(page, address) if wanted in path]
            count += _pictures(page, address, paths, f"{width}-{scheme}")
            page.goto(f"{address}/login")
            count += _pictures(page, address, [path for path in FOR_PEOPLE if wanted in path], f"{width}-{scheme}")
            context.close()
            print(f"{count} pictures so far, the last at {width} px in {scheme}", flush=True)
    return count


def _pictures(page: Page, address: str, paths: list[str], suffix: str) -> int:
    for path in paths:
        visit(page, address + path)
        name = re.sub(r"[^\w.-]+", "_", path.strip("/")) or "overview"
        page.screenshot(path=FOLDER / f"{name[:80]}-{suffix}.png", full_page=True)
    return len(paths)


def for_the_readme(browser: Browser, address: str) -> None:
    """The front page, and the page of a package that broke."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    page = browser.new_context(viewport={"width": 1280, "height": 1000}, color_scheme="light").new_page()
    for path, name in (("/", "overview"), ("/package/annobin", "package")):
        page.goto(address + path)
        page.screenshot(path=IMAGES / f"{name}.png")


def main(wanted: str) -> None:
    """Make the pictures of all pages whose path has the text in it; without a text those of the README, too."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with chromium() as browser:
        if not wanted:
            with running(pretty=True) as address:
                for_the_readme(browser, address)
        with running() as address:
            print(f"{take(browser, address, wanted)} pictures in {FOLDER}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
