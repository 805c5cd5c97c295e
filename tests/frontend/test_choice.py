"""Which collections a page is about: the address says so, else what the browser remembers."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from frontend.context import COOKIE
from koschei.db.engine import Database
from tests.frontend.conftest import counting
from tests.world import filling


@pytest.fixture
def reader(client: FlaskClient, database: Database) -> FlaskClient:
    """A browser that has seen nothing yet, of a Koschei with two collections."""
    with filling(database) as world:
        first, second = world.collection("f44", "Fedora Rawhide"), world.collection("f43", "Fedora 43")
        world.package("both", first)
        world.package("both", second)
        world.package("only-f44", first)
    return client


def remembered(client: FlaskClient) -> str | None:
    cookie = client.get_cookie(COOKIE)
    return None if cookie is None else cookie.decoded_value


def chooser(page: str) -> dict[str, str]:
    """Where the chooser in the header leads to, by its words; what is marked has a star."""
    nav = page.split('aria-label="Collection">')[1].split("</nav>")[0]
    links = re.findall(r'<a href="([^"]*)"( aria-current="true")?>([^<]*)</a>', nav)
    return {word + ("*" if mark else ""): href.replace("&amp;", "&") for href, mark, word in links}


def test_a_choice_in_the_header_is_remembered_until_another_or_all_are_chosen(reader: FlaskClient) -> None:
    page = reader.get("/packages?untracked=1&after=a").text
    assert "only-f44" in page
    link = chooser(page)["Fedora 43"]
    answer = reader.get(link)
    assert (answer.status_code, answer.location) == (303, "/packages?untracked=1&collection=f43")
    assert remembered(reader) == "f43"
    page = reader.get("/packages").text
    assert "only-f44" not in page
    assert 'href="/package/both?collection=f43"' in page
    links = chooser(page)
    assert "Fedora 43*" in links
    assert "only-f44" in reader.get(links["Fedora Rawhide"], follow_redirects=True).text
    assert remembered(reader) == "f44"
    answer = reader.get(chooser(reader.get("/packages").text)["All collections"])
    assert answer.location == "/packages"
    assert remembered(reader) is None
    assert "All collections*" in chooser(reader.get("/").text)


def test_a_link_chooses_for_its_page_only(reader: FlaskClient) -> None:
    for address in ("/?collection=f43", "/packages?collection=f43&state=ok", "/search?q=o&collection=f43"):
        answer = reader.get(address)
        assert "Fedora 43*" in chooser(answer.text)
        assert "Set-Cookie" not in answer.headers
    assert "All collections*" in chooser(reader.get("/").text)
    reader.set_cookie(COOKIE, "f44")
    assert "All collections*" in chooser(reader.get("/packages?collection=").text)
    assert "Fedora Rawhide*" in chooser(reader.get("/packages").text)


def test_the_cookie_is_for_pages_only_and_kept_for_a_year(app: Flask, reader: FlaskClient) -> None:
    answer = reader.get("/?collection=f43,f44&remember=1", base_url="https://koschei.example.org")
    assert answer.location == "/?collection=f43,f44".replace(",", "%2C")
    cookie = answer.headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=31536000"):
        assert part in cookie
    assert "Cookie" in answer.vary
    assert "Cookie" in reader.get("/").vary


def test_looking_at_a_package_somewhere_chooses_nothing(reader: FlaskClient) -> None:
    page = reader.get("/package/both?collection=f43").text
    assert remembered(reader) is None
    assert 'href="/packages"' in page
    reader.set_cookie(COOKIE, "f44")
    answer = reader.get(chooser(reader.get("/package/both").text)["Fedora 43"])
    assert answer.status_code == 200
    page = answer.text
    assert remembered(reader) == "f44"
    assert 'href="/packages?collection=f44"' in page
    assert "Fedora 43*" in chooser(page)
    assert reader.get(chooser(page)["All collections"]).location == "/package/both"
    assert remembered(reader) is None


def test_the_api_and_what_cannot_be_shown_are_not_touched_by_it(reader: FlaskClient) -> None:
    reader.set_cookie(COOKIE, "f43")
    answer = reader.get("/api/v1/packages")
    assert {row["collection"] for row in answer.json or []} == {"f43", "f44"}
    assert "Cookie" not in answer.vary
    reader.get("/api/v1/packages?collection=f44")
    assert reader.get("/packages?collection=nix&remember=1").status_code == 404
    assert remembered(reader) == "f43"


@pytest.mark.parametrize("word", ["gone", "f43,gone", ",", "x" * 3000, "f43;f44", "\x00"])
def test_a_remembered_choice_that_makes_no_sense_is_passed_over(reader: FlaskClient, word: str) -> None:
    reader.set_cookie(COOKIE, word)
    page = reader.get("/packages")
    assert page.status_code == 200
    assert "only-f44" in page.text


def test_it_costs_no_query(reader: FlaskClient, database: Database) -> None:
    with counting(database) as plain:
        reader.get("/packages?collection=f43")
    reader.set_cookie(COOKIE, "f43")
    with counting(database) as by_cookie:
        reader.get("/packages")
    assert len(by_cookie) == len(plain)


def test_the_chooser_leads_from_one_collections_page_to_anothers(reader: FlaskClient) -> None:
    links = chooser(reader.get("/collection/f43").text)
    assert links == {
        "All collections": "/collections",
        "Fedora Rawhide": "/collection/f44",
        "Fedora 43*": "/collection/f43",
    }
    assert set(chooser(reader.get("/collections").text)) == {"All collections*", "Fedora Rawhide", "Fedora 43"}
    assert chooser(reader.get("/documentation").text)["Fedora 43"] == "/?collection=f43&remember=1"


@pytest.mark.parametrize("word", ["_scheme=javascript", "_external=1", "_anchor=x", "_method=POST", "endpoint=x"])
def test_what_somebody_writes_into_an_address_leads_nowhere_else(reader: FlaskClient, word: str) -> None:
    links = chooser(reader.get(f"/packages?{word}").text)
    assert links["Fedora 43"] == f"/packages?{word}&collection=f43&remember=1"
    assert reader.get(links["Fedora 43"]).location == f"/packages?{word}&collection=f43"
    assert chooser(reader.get("/package/both?name=other").text)["Fedora Rawhide"] == (
        "/package/both?name=other&collection=f44"
    )
