"""A packager, somebody who maintains a group, and an administrator go about their work, with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from demo.ports import free_port
from frontend.app import create_app
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import GroupACL, PackageGroup, User
from koschei.rules.states import BuildState
from tests.frontend.browsing import faults, serving
from tests.frontend.conftest import SECRET_KEY
from tests.frontend.provider import knowing
from tests.world import NOW, World, filling

PEOPLE = [
    {"sub": "jack", "nickname": "jack", "groups": ["packager"]},
    {"sub": "jane", "nickname": "jane", "groups": ["packager"]},
    {"sub": "root", "nickname": "root", "groups": ["sysadmin-koschei"]},
]


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """Where everybody's name is known."""
    with knowing(PEOPLE) as address:
        yield address


@pytest.fixture
def address(database: Database, provider: str) -> Iterator[str]:
    """A running application that asks the provider who people are."""
    with filling(database) as world:
        prepare(world)
    port = free_port()
    outside = f"http://localhost:{port}"
    config = Config.model_validate(
        {
            "flask": {"SECRET_KEY": SECRET_KEY},
            "frontend": {
                "external_url": outside,
                "auth": {
                    "method": "oidc",
                    "admin_groups": ["sysadmin-koschei"],
                    "oidc": {"issuer": provider, "client_secret": "very secret", "scopes": ["openid", "profile"]},
                },
            },
        }
    )
    with serving(create_app(config, database, clock=lambda: NOW), port):
        yield outside


def prepare(world: World) -> None:
    """A group that jane maintains, and a package with a build that runs."""
    jane = world.session.scalar(select(User).where(User.name == "jane")) or User(name="jane")
    group = PackageGroup(name="journeys")
    world.session.add_all([jane, group])
    world.session.flush()
    world.session.add(GroupACL(group_id=group.id, user_id=jane.id))
    collection = world.collection("f45", "Fedora 45", order=200)
    for name in ("aardvark", "badger"):
        package = world.package(name, collection)
        world.build(package, hours=30)
    world.build(package, BuildState.RUNNING, hours=1)


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Page:
    """An empty page."""
    return browser.new_context(java_script_enabled=request.param).new_page()


def log_in(page: Page, name: str) -> None:
    """Log in with the link at the top, by way of the provider, and come back."""
    before = page.url
    page.get_by_role("banner").get_by_role("link", name="Log in").click()
    page.locator("input[name=sub]").fill(name)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(before)
    expect(page.get_by_text(f"Logged in as {name}.")).to_be_visible()


def said(page: Page, text: str) -> None:
    """The page says what was done."""
    expect(page.get_by_role("status").filter(has_text=text)).to_be_visible()


@pytest.mark.slow
def test_a_packager_finds_what_is_broken_and_has_it_built(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name="Newly broken")).to_be_visible()
    page.get_by_role("searchbox").fill("aardvark")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**/package/aardvark*")
    expect(page.get_by_text("to have it rebuilt or resolved now")).to_be_visible()
    log_in(page, "jack")
    page.get_by_role("button", name="Rebuild now").click()
    said(page, "It is built next")
    page.get_by_role("button", name="Resolve now").click()
    said(page, "Its build dependencies will be looked at")
    page.get_by_text("Change settings in").click()
    expect(page.get_by_label("Static priority")).to_be_disabled()
    page.get_by_label("Manual priority").fill("20000")
    page.get_by_role("button", name="Save settings").click()
    expect(page.locator(".error").filter(has_text="A number from 0 to 10000")).to_be_visible()
    assert page.get_by_label("Manual priority").input_value() == "20000"
    page.get_by_label("Manual priority").fill("70")
    page.get_by_role("button", name="Save settings").click()
    said(page, "Package modified")
    page.get_by_role("link", name="Groups", exact=True).click()
    page.get_by_role("link", name="New group").click()
    page.get_by_label("Name", exact=True).fill("mine")
    page.get_by_label("Packages", exact=True).fill("aardvark, unicorn")
    page.get_by_role("button", name="Make group").click()
    expect(page.get_by_text("unicorn").first).to_be_visible()
    page.get_by_label("Packages", exact=True).fill("aardvark\nbadger")
    page.get_by_role("button", name="Make group").click()
    page.wait_for_url("**/groups/jack/mine*")
    page.get_by_role("link", name="My packages").click()
    page.wait_for_url("**/user/jack*")
    expect(page.get_by_role("link", name="badger").first).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    said(page, "Successfully logged out.")
    expect(page.get_by_role("banner").get_by_role("link", name="Log in")).to_be_visible()


@pytest.mark.slow
def test_a_group_maintainer_keeps_a_group(page: Page, address: str) -> None:
    page.goto(f"{address}/groups/journeys")
    log_in(page, "jane")
    page.get_by_role("link", name=re.compile("^Edit")).first.click()
    page.wait_for_url("**/groups/journeys/edit")
    page.get_by_label("Packages", exact=True).fill("aardvark badger")
    page.get_by_role("button", name="Save group").click()
    page.wait_for_url("**/groups/journeys*")
    expect(page.get_by_role("link", name="badger").first).to_be_visible()
    page.goto(f"{address}/package/badger?collection=f45")
    page.get_by_text("Change groups").click()
    page.get_by_label("journeys", exact=True).uncheck()
    page.get_by_role("button", name="Save groups").click()
    said(page, "Groups of the package modified")
    page.get_by_text("Change settings in").click()
    expect(page.get_by_label("Architectures")).to_be_disabled()  # her group has it no more
    page.goto(f"{address}/package/aardvark?collection=f45")
    page.get_by_text("Change settings in").click()
    page.get_by_label("Architectures").fill("x86_64 z80")
    page.get_by_role("button", name="Save settings").click()
    expect(page.locator(".error").filter(has_text="z80")).to_be_visible()
    page.get_by_label("Architectures").fill("^i386")
    page.get_by_role("button", name="Save settings").click()
    said(page, "Package modified")
    page.goto(f"{address}/groups/journeys/delete")
    page.get_by_role("button", name=re.compile("^Delete")).click()
    page.wait_for_url("**/groups*")
    assert page.goto(f"{address}/groups/journeys").status == 404  # type: ignore[union-attr]


@pytest.mark.slow
def test_an_administrator_decides_and_sees_who_did_what(page: Page, address: str) -> None:
    page.goto(f"{address}/package/badger?collection=f45")
    log_in(page, "root")
    page.get_by_text("Change settings in").click()
    page.get_by_label("Static priority").fill("-40")
    page.get_by_role("button", name="Save settings").click()
    said(page, "Package modified")
    page.locator("a[href^='/build/']").filter(has=page.locator(".running")).first.click()
    page.get_by_role("button", name="Cancel this build").click()
    said(page, "Cancelation request sent.")
    page.get_by_role("link", name="Audit log").click()
    expect(page.get_by_text("static priority changed from 0 to -40")).to_be_visible()
    page.get_by_label("Person").fill("root")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**/log?*user=root*")
    expect(page.get_by_text("cancelation requested")).to_be_visible()


@pytest.mark.slow
def test_whose_login_ends_while_typing_loses_nothing(browser: Browser, address: str) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{address}/package/aardvark?collection=f45")
    log_in(page, "jane")
    page.context.clear_cookies()
    page.get_by_role("button", name="Resolve now").click()
    expect(page.get_by_role("heading", name="Your login has ended")).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="Log in again").click()
    page.locator("input[name=sub]").fill("jane")
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url("**/package/aardvark?collection=f45")
    page.get_by_role("button", name="Resolve now").click()
    said(page, "Its build dependencies will be looked at")

    page.goto(f"{address}/groups/journeys/edit")
    page.get_by_label("Packages", exact=True).fill("aardvark\nbadger")
    page.context.clear_cookies()
    page.get_by_role("button", name="Save group").click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Log in again").click()
    other = opened.value
    other.locator("input[name=sub]").fill("jane")
    other.get_by_role("button", name="Authorize").click()
    other.wait_for_url("**/groups/journeys/edit")
    page.get_by_role("button", name="Go on").click()
    assert page.get_by_label("Packages", exact=True).input_value().split() == ["aardvark", "badger"]
    page.get_by_role("button", name="Save group").click()
    said(page, "it has 2 packages")


@pytest.mark.slow
def test_pages_for_people_who_are_logged_in_are_accessible(browser: Browser, address: str) -> None:
    axe = Axe()
    wrong: list[str] = []
    for scheme, width in (("light", 1280), ("dark", 380)):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{address}/groups")
        log_in(page, "root")
        for path in (
            "/",
            "/package/aardvark?collection=f45",
            "/groups",
            "/add-group",
            "/groups/journeys/edit",
            "/groups/journeys/delete",
            "/add-packages",
            "/user/root",
            "/tokens",
            "/log",
            "/log?user=nobody-at-all",
            "/logout",
        ):
            page.goto(address + path)
            page.evaluate("document.querySelectorAll('main details').forEach(e => { e.open = true })")
            wrong += faults(page, axe, f"{scheme} {path}")
        context.close()
    assert wrong == []
