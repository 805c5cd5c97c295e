"""Error pages: where they lead to, and whom they know."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from frontend import people
from frontend.app import create_app
from koschei.config import Config
from koschei.db.engine import Database
from tests.frontend.conftest import counting
from tests.frontend.persons import BASE, Visitor
from tests.world import NOW, filling

ISSUES = "https://issues.example.org/koschei"


@pytest.fixture
def world(database: Database) -> None:
    """A collection with a package."""
    with filling(database) as world:
        package = world.package("bash", world.collection("f44", "Fedora Rawhide"))
        world.build(package)


def with_places(config: Config) -> Config:
    """Settings that say where the source is, and where problems are reported."""
    places = {"source": "https://git.example.org/koschei?a=1&b=2", "issues": ISSUES}
    return config.model_copy(update={"frontend": config.frontend.model_copy(update=places)})


@pytest.fixture
def outage(config: Config) -> Iterator[FlaskClient]:
    """Somebody who is logged in, at an application whose database cannot be reached."""
    database = Database("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    client = create_app(with_places(config), database, clock=lambda: NOW).test_client()
    with client.session_transaction(base_url=BASE) as cookie:
        cookie.update({people.USER: 1, people.SINCE: int(NOW.timestamp()), people.ADMIN: False})
    yield client
    database.dispose()


@pytest.mark.parametrize("address", ["/package/bashh", "/bugreport/bashh?collection=f44"])
def test_where_a_package_is_not_found_a_search_for_its_name_is_offered(
    client: FlaskClient, world: None, address: str
) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert '<a href="/search?q=bashh">Search for “bashh”</a>' in answer.text


def test_the_search_that_is_offered_finds_names_that_are_alike(client: FlaskClient, world: None) -> None:
    assert '<a href="/package/bash">bash</a>' in client.get("/search?q=bashh").text
    assert "Search for “" not in client.get("/groups/bashh").text


def test_error_pages_know_who_reads_them(client: FlaskClient, database: Database, world: None) -> None:
    for address in ("/nothing", "/package/nix"):
        assert f'href="/login?next={address}">Log in</a>' in client.get(address).text
    jane = Visitor(client, database, "jane")
    for address, status in (("/nothing", 404), ("/package/nix", 404), ("/packages?page=x", 200), ("/log", 403)):
        answer = jane.get(address)
        assert answer.status_code == status
        assert 'title="Your packages and groups">jane</a>' in answer.text
        assert "Log in</a>" not in answer.text
    assert "jane</a>" in jane.client.post("/package/bash/edit", base_url=BASE).text


def test_a_broken_page_shows_who_reads_it_without_asking_again(
    app: Flask, client: FlaskClient, database: Database, world: None
) -> None:
    @app.get("/breaks")
    def breaks() -> str:
        raise RuntimeError("broken")

    @app.get("/breaks-later")
    def breaks_later() -> str:
        people.person()
        raise RuntimeError("broken")

    jane = Visitor(client, database, "jane")
    with counting(database) as statements:
        page = jane.get("/breaks").text
    assert not statements
    assert "Your packages" not in page
    assert "Log in</a>" not in page
    assert "Your packages and groups" in jane.get("/breaks-later").text


def test_an_outage_is_told_to_whoever_is_logged_in_without_naming_them(outage: FlaskClient) -> None:
    for address, status in (("/package/bash", 503), ("/nothing", 404)):
        answer = outage.get(address, base_url=BASE)
        assert answer.status_code == status
        assert "Log in</a>" not in answer.text
        assert "Your packages" not in answer.text


def test_where_to_tell_us_stands_where_something_broke(config: Config, database: Database, outage: FlaskClient) -> None:
    link = f'<a href="{ISSUES}">tell us</a> what you did'
    assert link in outage.get("/package/bash", base_url=BASE).text
    app = create_app(with_places(config), database, clock=lambda: NOW)

    @app.get("/breaks")
    def breaks() -> str:
        raise RuntimeError("broken")

    client = app.test_client()
    assert f"{link}, and this time." in client.get("/breaks").text
    assert "tell us" not in client.get("/nothing").text


def test_the_foot_of_pages_leads_to_source_and_issues_if_there_are_any(
    config: Config, database: Database, client: FlaskClient
) -> None:
    page = create_app(with_places(config), database, clock=lambda: NOW).test_client().get("/documentation").text
    foot = page[page.index("<footer") :]
    assert '<a href="https://git.example.org/koschei?a=1&amp;b=2">Source code</a>' in foot
    assert f'<a href="{ISSUES}">Report a problem</a>' in foot
    without = client.get("/documentation").text
    assert "Source code</a>" not in without
    assert "Report a problem" not in without
