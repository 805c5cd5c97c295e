"""Every page in a real browser: accessible, quiet, and usable from the keyboard, in light and dark."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.frontend.browsing import WIDTHS, visit
from tests.frontend.browsing import faults as wrong

GCC_UPDATE = "epoch1=0&version1=15.1.1&release1=5.fc44&epoch2=0&version2=15.2.0&release2=1.fc44"


def found(page: Page, address: str, pattern: str) -> str:
    """The first link of a page that fits."""
    page.goto(address)
    match = re.search(pattern, page.content())
    assert match, (address, pattern)
    return match[1].replace("&amp;", "&")


def pages(page: Page, address: str) -> list[str]:
    """The paths of all kinds of pages."""
    failing = found(page, f"{address}/packages?state=failing&collection=f44", r'href="(/package/[^"]+)"')
    unresolved = found(page, f"{address}/packages?state=unresolved&collection=f44", r'href="(/package/[^"]+)"')
    bad = found(page, address + failing, r'First bad build</dt><dd><a class="evr" href="(/build/\d+)"')
    spoiled = found(
        page, f"{address}/package/kernel", r'pill inconclusive.*?href="(/build/\d+)"'.replace(".*?", r"[\s\S]*?")
    )
    return [
        "/",
        "/?collection=f44",
        "/packages",
        "/packages?collection=f44&state=failing,unresolved&order_by=since",
        failing,
        unresolved,
        "/package/kernel",
        "/package/zz-hostile",
        bad,
        spoiled,
        "/collections",
        "/collection/f44",
        "/collection/eln",
        "/collections/diff/f44/f43",
        "/collections/diff/f44/eln?here=ok&there=failing",
        f"/affected-by/gcc?collection=f44&{GCC_UPDATE}",
        "/affected-by/nobody-has-it?collection=f43&version2=1&release2=1",
        "/stats",
        "/stats?days=365&collection=f43",
        "/stats?package=nix",
        "/search?q=python",
        "/search?q=nix",
        "/packages?state=unknown&running=1",
        "/packages?group=toolchain&state=failing",
        "/groups",
        "/groups?of=users&q=zzz",
        "/groups/critical-path",
        "/groups/jane/compression?collection=f43",
        "/groups/to-be-filled",
        "/user/jane",
        "/user/nobody",
        "/api/v2",
        "/documentation",
        "/documentation/glossary",
    ]


@pytest.mark.slow
def test_pages_are_accessible_quiet_and_fit(address: str, browser: Browser) -> None:
    axe = Axe()
    faults: list[str] = []
    for scheme, width in WIDTHS.items():
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        noise: list[str] = []
        page.on("console", lambda message, noise=noise: noise.append(message.text))
        page.on("pageerror", lambda error, noise=noise: noise.append(str(error)))
        page.on("request", lambda request, noise=noise: foreign(request.url, address) and noise.append(request.url))
        for path in pages(page, address):
            visit(page, address + path)
            faults += wrong(page, axe, f"{scheme} {path}")
            faults += [f"{scheme} {path}: {line}" for line in noise]
            noise.clear()
        context.close()
    assert faults == []


def foreign(url: str, address: str) -> bool:
    """Note a request to anybody else."""
    return not url.startswith(address)


@pytest.mark.slow
def test_keys_the_switch_of_light_and_dark_and_the_skip_link_work(address: str, browser: Browser) -> None:
    page = browser.new_context(color_scheme="light").new_page()
    page.goto(address)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.type("gcc")
    page.keyboard.press("Enter")
    page.wait_for_url("**/package/gcc")
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/packages")
    page.keyboard.press("g")
    page.keyboard.press("g")
    page.wait_for_url("**/groups")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    assert "search for a package" in keys.inner_text()
    page.keyboard.press("Escape")
    expect(keys).not_to_be_visible()
    page.get_by_role("button", name="Keys").click()
    keys.get_by_role("button", name="Close").click()
    expect(keys).not_to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/documentation")

    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert dark != light
    page.goto(address + "/collections")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == dark

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    page.wait_for_url("**#main")


@pytest.mark.slow
def test_pages_are_complete_without_javascript(address: str, browser: Browser) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(address)
    assert page.get_by_role("heading", name="Newly broken").is_visible()
    assert not page.get_by_role("button", name="Keys").is_visible()
    page.get_by_role("navigation", name="Collection").get_by_role("link", name="Fedora 43").click()
    page.goto(address)
    assert page.get_by_role("link", name="Fedora 43").first.get_attribute("aria-current") == "true"
    page.get_by_role("link", name="All collections").click()
    page.goto(address)
    assert page.get_by_role("link", name="All collections").get_attribute("aria-current") == "true"
    page.get_by_role("searchbox").fill("gcc")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**/package/gcc")
    assert page.get_by_role("heading", name="gcc", exact=True).is_visible()
    page.get_by_role("link", name="Groups", exact=True).click()
    page.get_by_label("Part of the name").fill("tool")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**/groups?q=tool")
    page.get_by_role("link", name="toolchain").click()
    page.wait_for_url("**/groups/toolchain")
    page.get_by_role("row").filter(has_text="Fedora Rawhide").get_by_role("link", name="failing").first.click()
    page.wait_for_url("**/groups/toolchain?**state=failing**")
    assert page.get_by_role("link", name="valgrind").is_visible()
