"""`/packages`: filters, orders and pages in the address."""

from __future__ import annotations

import re
from itertools import product

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser

from koschei.db.engine import Database
from koschei.rules.states import BuildState, PackageState
from tests.frontend.browsing import serving
from tests.frontend.sample import fill
from tests.world import ago, filling

COMPLETE, FAILED, RUNNING = BuildState.COMPLETE, BuildState.FAILED, BuildState.RUNNING


def names(client: FlaskClient, query: str = "") -> list[str]:
    """The names of a page, in order."""
    response = client.get(f"/packages{query}")
    assert response.status_code == 200, response.text
    return re.findall(r'<th scope="row"><a href="[^"]*">([^<]+)</a>', response.text)


@pytest.fixture
def some(database: Database) -> None:
    """A few packages of every kind in two collections; Zeta sorts before all, as capitals do."""
    with filling(database) as world:
        f44, f43 = world.collection("f44", "Rawhide", order=2), world.collection("f43", "Fedora 43", order=1)
        good = world.package("good", f44, state_since=ago(5))
        world.build(good, COMPLETE, 48)
        bad = world.package("bad", f44, state_since=ago(2))
        world.build(bad, FAILED, 24)
        world.build(world.package("bad", f43, state_since=ago(900)), COMPLETE, 300)
        lost = world.package("lost", f43, resolved=False, state_since=ago(3), manual_priority=900)
        world.build(lost, COMPLETE, 100)
        world.build(lost, RUNNING, 1)
        world.package("fresh", f44, state_since=ago(1))
        world.package("quiet", f44, tracked=False)
        world.package("gone", f43, blocked=True)
        world.build(world.package("Zeta", f44, state_since=ago(800)), COMPLETE, 7)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "Zeta bad fresh good lost"),
        ("?order_by=-name", "lost good fresh bad Zeta"),
        ("?state=failing", "bad"),
        ("?state=failing,unresolved", "bad lost"),
        ("?state=unknown", "fresh"),
        ("?state=untracked", "quiet"),
        ("?state=blocked", "gone"),
        ("?state=ok&collection=f44", "Zeta good"),
        ("?state=ok", "Zeta bad good"),
        ("?running=1", "lost"),
        ("?q=OO", "good"),
        ("?q=g*d", "good"),
        ("?q=*", "Zeta bad fresh good lost"),
        ("?q=t&untracked=1", "Zeta lost quiet"),
        ("?q=t&order_by=since", "lost Zeta"),
        ("?q=o&state=unresolved,ok&order_by=state", "lost good"),
        ("?q=_", ""),
        ("?untracked=1", "Zeta bad fresh good lost quiet"),
        ("?collection=f43", "bad lost"),
        ("?order_by=state", "lost bad fresh Zeta good"),
        ("?order_by=-state", "Zeta good fresh bad lost"),
        ("?order_by=state-f44", "bad fresh Zeta good lost"),
        ("?order_by=running,failing,name", "lost Zeta bad fresh good"),
        ("?order_by=started", "lost Zeta bad good fresh"),
        ("?order_by=-started", "fresh good bad Zeta lost"),
        ("?order_by=task_id", "lost Zeta bad good fresh"),
        ("?order_by=-task_id,name", "fresh good bad Zeta lost"),
        ("?order_by=since", "fresh bad lost good Zeta"),
        ("?order_by=current_priority", "lost bad good Zeta fresh"),
    ],
)
def test_filters_and_orders(client: FlaskClient, some: None, query: str, expected: str) -> None:
    found = names(client, query)
    assert found == expected.split(), query


@pytest.mark.parametrize(
    "query",
    [
        "?state=magic",
        "?order_by=magic",
        "?order_by=state-nix",
        "?order_by=since&after=a",
        "?order_by=since&after=a&key=x",
        "?order_by=since&after=a&key=nan",
        "?order_by=since&after=a&key=inf",
        "?order_by=current_priority&after=a&key=1&at=-5",
        "?order_by=current_priority&after=a&key=1&at=1e300",
        "?after=%00",
    ],
)
def test_an_address_that_makes_no_sense_is_refused_with_a_reason(client: FlaskClient, some: None, query: str) -> None:
    response = client.get(f"/packages{query}")
    assert response.status_code == 400
    assert "<h1" in response.text


@pytest.mark.parametrize(
    "order", ["name", "-name", "state", "-state", "started", "since", "current_priority", "running"]
)
def test_pages_in_both_directions_hold_every_package_once(
    app_of_small_pages: FlaskClient, database: Database, order: str
) -> None:
    client = app_of_small_pages
    with filling(database) as world:
        f44, f43 = world.collection("f44", order=2), world.collection("f43", order=1)
        for number in range(23):
            state = (COMPLETE, FAILED, RUNNING)[number % 3]
            package = world.package(f"p{number * 7 % 23:02}", f44, state_since=ago(number // 4))
            if number % 5:
                world.build(package, state, 10 + number // 3)
            if number % 2:
                world.package(package.name, f43, resolved=number % 3 > 0, state_since=ago(2))
    whole: list[str] = []
    pages = []
    query: str | None = f"?order_by={order}"
    while query is not None:
        text = client.get(f"/packages{query}").text
        pages.append(names(client, query))
        whole += pages[-1]
        query = link(text, "next")
        last = text
    assert sorted(whole) == [f"p{number:02}" for number in range(23)]
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    back = link(last, "prev")
    for page in reversed(pages[:-1]):
        assert back is not None
        assert names(client, back) == page
        back = link(client.get(f"/packages{back}").text, "prev")
    assert back is None


def link(text: str, rel: str) -> str | None:
    """The query of the link to a neighbouring page."""
    found = re.search(rf'<a rel="{rel}" href="/packages(\?[^"]*)"', text)
    return found and found[1].replace("&amp;", "&")


def test_headers_sort_and_say_how_it_is_sorted(client: FlaskClient, some: None) -> None:
    text = client.get("/packages?collection=f44&state=ok").text
    assert '<th scope="col" aria-sort="ascending"><a href="/packages?' in text
    assert "order_by=-name" in text
    header = re.search(r'<th scope="col"><a href="([^"]*order_by=since[^"]*)"', text)
    assert header
    assert "state=ok" in header[1]
    assert "collection=f44" in header[1]
    newest = client.get(header[1].replace("&amp;", "&")).text
    assert '<th scope="col" aria-sort="descending"><a href="/packages?' in newest


def test_a_list_without_rows_says_why(client: FlaskClient, some: None, database: Database) -> None:
    assert (
        "No package of these collections is blocked and running" in client.get("/packages?state=blocked&running=1").text
    )
    with filling(database) as world:
        world.collection("new", "Brand new")
    text = client.get("/packages?collection=new").text
    assert "No package is tracked in Brand new yet" in text
    assert "0 packages" in text


def test_every_state_has_its_icon_word_and_colour(client: FlaskClient, some: None) -> None:
    text = client.get("/packages").text
    for state in PackageState:
        assert f'<use href="#i-{state}"/></svg>{state}</span>' in text
        assert f'id="i-{state}"' in text


def test_a_priority_says_why_it_is_so(client: FlaskClient, some: None) -> None:
    page = client.get("/packages").text
    why = dict(re.findall(r'aria-describedby="(why-\d+)">([^<]+)</a>', page))
    tips = dict(re.findall(r'role="tooltip" id="(why-\d+)">([^<]+)</span>', page))
    assert set(why) == set(tips)
    assert "+900 manual, −30 time; in Fedora 43" in tips.values()
    assert "in Fedora 43" not in client.get("/packages?collection=f43").text.split("<tbody>")[1]


def column(page: str, label: str, what: str) -> list[str]:
    """What the cells of a column show: `what` of each, "" where it has none."""
    cells = re.findall(rf'<td data-label="{label}"[^>]*>(.*?)</td>', page)
    return [found[1] if (found := re.search(what, cell)) else "" for cell in cells]


def test_every_list_is_sorted_by_what_it_shows(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        fill(world)
    orders = (("since", "Since"), ("started", "Last build"), ("current_priority", "Priority"))
    for (order, label), chosen in product(orders, ("", "state=failing,unresolved", "running=1", "untracked=1")):
        address = f"/packages?{chosen}&order_by={order}"
        page = client.get(address).text
        if order == "current_priority":
            shown = column(page, label, r">(−?[\d\u202f]+)</a>")
            keys = [float(text.replace("−", "-").replace("\u202f", "") or "-inf") for text in shown]
            assert keys == sorted(keys, reverse=True), address
        else:
            shown = column(page, label, r'datetime="([^"]{19})')
            assert shown == sorted(shown, reverse=True), address
        assert any(shown), address


def test_a_row_tells_of_the_collections_that_fit_and_names_them(client: FlaskClient, some: None) -> None:
    broken = client.get("/packages?state=failing").text
    assert column(broken, "Since", 'title=.* UTC ([^"]+)') == ["in Rawhide"]
    assert column(broken, "Last build", 'title=.* UTC ([^"]+)') == ["in Rawhide"]
    mended = client.get("/packages?state=ok").text
    assert dict(zip(names(client, "?state=ok"), column(mended, "Since", 'UTC ([^"]+)'), strict=True)) == {
        "Zeta": "in Rawhide",
        "bad": "in Fedora 43",
        "good": "in Rawhide",
    }
    assert "in Fedora 43" not in "".join(column(client.get("/packages?collection=f43").text, "Since", "(.*)"))


def test_a_part_of_the_name_stays_until_it_is_cleared(client: FlaskClient, some: None) -> None:
    page = client.get("/packages?q=<o>").text
    assert "0 packages with “&lt;o&gt;” in the name" in page
    assert "No tracked package of these collections has “&lt;o&gt;” in its name" in page
    assert 'value="&lt;o&gt;"' in page
    page = client.get("/packages?q=o&state=ok&order_by=since&collection=f44").text
    assert "1 package with “o” in the name, ok in Rawhide" in page
    chips = page.split('aria-label="Filters"')[1].split("</nav>")[0]
    for words in ("state=failing,ok", "running=1"):
        assert re.search(rf'href="/packages\?q=o&amp;[^"]*{words}', chips), words
    assert '<a class="chip text" href="/packages?order_by=since&amp;collection=f44">Clear filters</a>' in chips
    assert re.search(r'<th scope="col"><a href="/packages\?q=o&amp;[^"]*order_by=started', page)
    form = page.split('<form class="filter"')[1].split("</form>")[0]
    assert 'action="/packages"' in form
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form))
    assert hidden == {"collection": "f44", "state": "ok", "order_by": "since"}


def test_pages_of_names_with_a_part_lead_to_each_other(app_of_small_pages: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        f44 = world.collection("f44")
        for number in range(12):
            world.package(f"{'lib' if number % 2 else 'x'}{number:02}", f44)
    first = app_of_small_pages.get("/packages?q=lib").text
    assert "6 packages with “lib” in the name" in first
    following = link(first, "next")
    assert following is not None
    assert names(app_of_small_pages, following) == ["lib11"]


def test_a_list_that_is_sorted_by_an_old_word_says_so(client: FlaskClient, some: None) -> None:
    page = client.get("/packages?order_by=task_id").text
    assert re.search(r'aria-sort="descending"><a href="[^"]*order_by=-started"[^>]*>Last build', page)


@pytest.mark.slow
def test_on_a_phone_a_list_is_sorted_by_chips_and_nothing_unseen_takes_the_focus(
    app: Flask, some: None, browser: Browser
) -> None:
    with serving(app) as address:
        page = browser.new_context(viewport={"width": 380, "height": 800}).new_page()
        page.goto(f"{address}/packages?state=ok,failing")
        page.get_by_role("navigation", name="Sort").get_by_role("link", name="Since").click()
        page.wait_for_url("**/packages?**order_by=since**")
        assert "state=failing,ok" in page.url.replace("%2C", ",")
        first = page.locator("tbody th").first
        assert first.inner_text() == "bad"
        page.get_by_label("Part of the name").focus()
        seen = []
        while not seen or seen[-1] != "bad":
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.closest('thead')") is None
            seen.append(page.evaluate("document.activeElement.innerText"))
        assert any("Since" in text for text in seen)
        page.set_viewport_size({"width": 1280, "height": 800})
        assert not page.get_by_role("navigation", name="Sort").is_visible()
        assert page.get_by_role("columnheader", name="Since").get_by_role("link").is_visible()
