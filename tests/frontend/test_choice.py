"""Which collections a page is about: the address says so, else what the browser remembers."""

from __future__ import annotations

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


def test_a_choice_is_remembered_until_another_or_all_are_chosen(reader: FlaskClient) -> None:
    assert "only-f44" in reader.get("/packages").text
    assert "only-f44" not in reader.get("/packages?collection=f43").text
    assert remembered(reader) == "f43"
    page = reader.get("/packages").text
    assert "only-f44" not in page
    assert 'aria-current="true">Fedora 43</a>' in page
    assert 'href="/package/both?collection=f43"' in page
    assert "only-f44" in reader.get("/packages?collection=f44").text
    assert remembered(reader) == "f44"
    page = reader.get("/packages?collection=").text
    assert 'aria-current="true">All collections</a>' in page
    assert remembered(reader) is None
    assert 'aria-current="true">All collections</a>' in reader.get("/").text


def test_the_cookie_is_for_pages_only_and_kept_for_a_year(app: Flask, reader: FlaskClient) -> None:
    answer = reader.get("/?collection=f43,f44", base_url="https://koschei.example.org")
    cookie = answer.headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=31536000"):
        assert part in cookie
    assert "Cookie" in answer.vary
    assert "Set-Cookie" not in reader.get("/?collection=f43,f44", base_url="https://koschei.example.org").headers


def test_looking_at_a_package_somewhere_chooses_nothing(reader: FlaskClient) -> None:
    page = reader.get("/package/both?collection=f43").text
    assert remembered(reader) is None
    assert 'href="/packages"' in page
    reader.get("/?collection=f44")
    page = reader.get("/package/both?collection=f43").text
    assert remembered(reader) == "f44"
    assert 'href="/packages?collection=f44"' in page
    assert 'aria-current="true">Fedora 43</a>' in page
    reader.get("/package/both?collection=")
    assert remembered(reader) is None


def test_the_api_and_what_cannot_be_shown_are_not_touched_by_it(reader: FlaskClient) -> None:
    reader.set_cookie(COOKIE, "f43")
    answer = reader.get("/api/v1/packages")
    assert {row["collection"] for row in answer.json or []} == {"f43", "f44"}
    assert "Cookie" not in answer.vary
    reader.get("/api/v1/packages?collection=f44")
    assert reader.get("/packages?collection=nix").status_code == 404
    assert remembered(reader) == "f43"


@pytest.mark.parametrize("word", ["gone", "f43,gone", ",", "x" * 3000, "f43;f44", "\x00"])
def test_a_remembered_choice_that_makes_no_sense_is_passed_over(reader: FlaskClient, word: str) -> None:
    reader.set_cookie(COOKIE, word)
    page = reader.get("/packages")
    assert page.status_code == 200
    assert "only-f44" in page.text


def test_it_costs_no_query(reader: FlaskClient, database: Database) -> None:
    with counting(database) as plain:
        reader.get("/packages?collection=f43", headers={"Cookie": ""})
    with counting(database) as by_cookie:
        reader.get("/packages")
    assert len(by_cookie) == len(plain)
