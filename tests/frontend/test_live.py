"""Pages that stay open follow what happens, and take nothing from under their reader's hands."""

from __future__ import annotations

import pytest
from flask import Flask, flash
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from koschei.db.engine import Database
from tests.world import filling


def opened(browser: Browser, address: str) -> Page:
    """A page in whose world time is ours."""
    page = browser.new_context().new_page()
    page.clock.install()
    page.goto(address)
    return page


@pytest.mark.slow
def test_an_open_page_follows_what_happens(address: str, browser: Browser, database: Database) -> None:
    page = opened(browser, address)
    headline, failing = page.locator("h1"), page.locator(".tile").first.get_by_role("link", name="failing")
    before, count = headline.inner_text(), failing.inner_text()
    page.evaluate("document.querySelector('h1').dataset.mine = 'the same'")
    with database.begin() as session:
        session.execute(
            text(
                "UPDATE package SET last_complete_build_state = 3, resolved = true WHERE collection_id = "
                "(SELECT id FROM collection WHERE name = 'f44')"
            )
        )
    page.clock.run_for(30_000)
    assert headline.inner_text() == before
    with page.expect_response(lambda response: response.url == address + "/"):
        page.clock.run_for(40_000)
    expect(page.locator("h1")).not_to_have_text(before)
    assert failing.inner_text() != count
    assert page.evaluate("document.querySelector('h1').dataset.mine") == "the same"


@pytest.mark.slow
def test_what_somebody_uses_stays_and_errors_end_it_quietly(
    address: str,
    browser: Browser,
    database: Database,
) -> None:
    page = opened(browser, address)
    link = page.locator("[data-live=broken] a").first
    link.focus()
    page.evaluate("document.activeElement.dataset.mine = 'the same'")
    with database.begin() as session:
        session.execute(text("UPDATE package SET last_complete_build_state = 3, resolved = true"))
    before = page.locator("h1").inner_text()
    page.clock.run_for(70_000)
    expect(page.locator("h1")).not_to_have_text(before)
    assert page.evaluate("document.activeElement.dataset.mine") == "the same"

    page.route("**/*", lambda route: route.abort())
    page.clock.run_for(70_000)
    expect(page.locator("[data-liveness]")).to_contain_text("not live")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.clock.run_for(300_000)
    assert requests == []


def test_what_is_told_once_waits_for_a_page_that_is_looked_at(
    app: Flask, client: FlaskClient, database: Database
) -> None:
    with filling(database) as world:
        world.collection()

    @app.get("/tell")
    def tell() -> str:
        flash("It is done & dusted", "success")
        return ""

    client.get("/tell")
    assert "dusted" not in client.get("/", headers={"X-Live": "1"}).text
    page = client.get("/").text
    assert '<div class="notice success" role="status">' in page
    assert "It is done &amp; dusted" in page
    assert "dusted" not in client.get("/").text
