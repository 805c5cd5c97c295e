"""Forms about groups and packages in a real browser: accessible in light and dark, and complete without JavaScript."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.frontend.browsing import WIDTHS, faults

FORMS = (
    "/groups",
    "/user/jane",
    "/packages?user=jane",
    "/groups/toolchain",
    "/add-group",
    "/groups/toolchain/edit",
    "/groups/toolchain/delete",
    "/add-packages?packages=foo,bar&group=toolchain",
)


@pytest.mark.slow
def test_forms_are_accessible_and_fit_with_and_without_mistakes(site: str, browser: Browser) -> None:
    axe = Axe()
    found: list[str] = []
    for scheme, width in WIDTHS.items():
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{site}/login")
        for path in FORMS:
            assert page.goto(site + path)
            found += faults(page, axe, f"{scheme} {path}")
        page.goto(f"{site}/add-group")
        page.get_by_label("Name", exact=True).fill("a b")
        page.get_by_label("Packages", exact=True).fill("gcc <nix>")
        page.get_by_role("button", name="Make group").click()
        expect(page.get_by_text("Invalid package list")).to_be_visible()
        found += faults(page, axe, f"{scheme} mistakes")
        context.clear_cookies()
        page.get_by_role("button", name="Make group").click()
        expect(page.get_by_role("heading", name="Your login has ended")).to_be_visible()
        found += faults(page, axe, f"{scheme} login that has ended")
        page.context.new_page().goto(f"{site}/login")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_text("Nothing was changed yet")).to_be_visible()
        context.close()
    assert found == []


@pytest.mark.slow
def test_a_group_lives_and_dies_without_javascript_and_two_people_do_not_undo_each_other(
    site: str, browser: Browser
) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{site}/login?next=/groups")
    page.get_by_role("link", name="New group").click()
    page.get_by_label("Name", exact=True).fill("shells")
    page.get_by_label("Packages", exact=True).fill("bash, zsh\nnix")
    page.get_by_role("button", name="Make group").click()
    expect(page.get_by_text("Packages don't exist: nix")).to_be_visible()
    page.get_by_label("Packages", exact=True).fill("bash zsh")
    page.get_by_role("button", name="Make group").click()
    page.wait_for_url("**/groups/jane/shells")
    expect(page.get_by_text("Group created with 2 packages.")).to_be_visible()

    page.get_by_role("link", name="Edit the group").click()
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_label("Packages", exact=True).fill("bash zsh tmux")
    other.get_by_role("button", name="Save group").click()
    expect(other.get_by_text("Group modified: 1 package added, 0 removed; it has 3 packages.")).to_be_visible()
    page.get_by_label("Packages", exact=True).fill("zsh")
    page.get_by_role("button", name="Save group").click()
    expect(page.get_by_text("They added packages: tmux.")).to_be_visible()
    assert page.get_by_label("Packages", exact=True).input_value().split() == ["tmux", "zsh"]
    page.get_by_role("button", name="Save group").click()
    expect(page.get_by_text("Group modified: 0 packages added, 1 removed; it has 2 packages.")).to_be_visible()

    page.get_by_role("link", name="add packages", exact=True).click()
    page.get_by_label("Packages", exact=True).fill("busybox")
    page.get_by_role("button", name="Add packages").click()
    page.wait_for_url("**/package/busybox?**")
    expect(page.get_by_text("They are in the group jane/shells.")).to_be_visible()

    page.goto(f"{site}/groups/jane/shells")
    page.get_by_role("link", name="delete it").click()
    expect(page.get_by_text("The 3 packages in it stay")).to_be_visible()
    page.get_by_role("button", name="Delete group jane/shells").click()
    page.wait_for_url("**/groups")
    expect(page.get_by_text("Group jane/shells deleted.")).to_be_visible()
    expect(page.get_by_role("link", name="jane/shells")).not_to_be_visible()


@pytest.mark.slow
def test_a_field_that_one_may_not_change_looks_like_it(site: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{site}/login?next=/package/gcc")
    page.get_by_text("Change settings").click()
    looks = [
        page.get_by_label(label).evaluate("field => [getComputedStyle(field).backgroundColor, field.disabled]")
        for label in ("Manual priority", "Static priority")
    ]
    assert [disabled for _, disabled in looks] == [False, True]
    assert looks[0][0] != looks[1][0]
