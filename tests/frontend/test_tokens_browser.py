"""The page of tokens in a real browser: a packager makes one without JavaScript, uses it, and revokes it."""

from __future__ import annotations

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.frontend.browsing import WIDTHS, faults


def checked(page: Page, what: str) -> None:
    """Nothing is wrong with the page."""
    assert faults(page, Axe(), what) == []


@pytest.mark.slow
def test_a_token_is_made_used_and_revoked(site: str, browser: Browser) -> None:
    for scheme, width in WIDTHS.items():
        page = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
            java_script_enabled=scheme == "light",
        ).new_page()
        page.goto(f"{site}/login?next=/tokens")
        page.get_by_role("button", name="Make the token").click()
        expect(page.get_by_text("The name is empty")).to_be_visible()
        page.get_by_label("What is it for?").fill("nightly")
        page.get_by_label("Packages: set manual priorities").check()
        page.get_by_role("button", name="Make the token").click()
        secret = page.locator("code.secret").inner_text()
        if scheme == "light":
            checked(page, "made")
        headers = {"Authorization": f"Bearer {secret}"}
        assert httpx.get(f"{site}/api/v2/token", headers=headers).json()["user"] == "jane"
        page.get_by_role("button", name="Revoke “nightly”").click()
        expect(page.get_by_text("API token nightly revoked")).to_be_visible()
        assert httpx.get(f"{site}/api/v2/token", headers=headers).status_code == 401
    dark = browser.new_context(viewport={"width": WIDTHS["dark"], "height": 900}, color_scheme="dark").new_page()
    dark.goto(f"{site}/login?next=/tokens")
    checked(dark, "dark")
