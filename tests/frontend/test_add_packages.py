"""Packages are added on a page: they are tested from then on, and in a group if that is asked for."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from frontend.app import create_app
from koschei import groups
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import Collection, LogEntry, Package, User
from tests.frontend.persons import Visitor
from tests.frontend.test_group_pages import SOMEBODY
from tests.frontend.test_pages import words
from tests.world import NOW, filling


@pytest.fixture(autouse=True)
def there(database: Database) -> None:
    """Two collections of packages nobody tests, but one; a group of jane's."""
    with filling(database) as world:
        f44 = world.collection("f44", "Fedora Rawhide", order=2)
        f43 = world.collection("f43", "Fedora 43", order=1)
        for name in ("foo", "bar", "baz"):
            world.package(name, f44, tracked=name == "baz", resolved=None)
            world.package(name, f43, tracked=False, resolved=None, blocked=name == "bar")
        world.package("only-new", f44, tracked=False, resolved=None)
        groups.create(world.session, SOMEBODY, "jane/own", ["baz"], ["jane"])
        groups.create(world.session, SOMEBODY, "tools", ["baz"], ["amy"])


@pytest.fixture
def jane(client: FlaskClient, database: Database) -> Visitor:
    return Visitor(client, database, "jane")


def tracked(database: Database) -> set[tuple[str, str]]:
    with database.begin() as session:
        query = select(Collection.name, Package.name).join(Package.collection).where(Package.tracked)
        return {(collection, package) for collection, package in session.execute(query)}


def members(database: Database, group: str) -> tuple[str, ...]:
    with database.begin() as session:
        return groups.detail(session, group).packages


def test_packages_are_tested_from_then_on(jane: Visitor, database: Database) -> None:
    answer = jane.post("/add-packages", {"packages": "foo, bar\r\nbaz", "collection": "f44"})
    assert (answer.status_code, answer.location) == (303, "/packages?collection=f44")
    assert jane.flashes() == ["Packages added: bar, foo."]
    assert tracked(database) == {("f44", "foo"), ("f44", "bar"), ("f44", "baz")}
    with database.begin() as session:
        logged = [entry.message for entry in session.scalars(select(LogEntry)) if entry.user.name == "jane"]
    assert logged == ["Package bar in f44: tracked", "Package foo in f44: tracked"]


def test_one_package_leads_to_its_page(jane: Visitor) -> None:
    assert (
        jane.post("/add-packages", {"packages": "baz", "collection": "f44"}).location == "/package/baz?collection=f44"
    )
    assert jane.flashes() == ["All of them were tracked in Fedora Rawhide already."]


def test_a_package_that_koji_blocks_is_said(jane: Visitor) -> None:
    jane.post("/add-packages", {"packages": "bar", "collection": "f43"})
    assert jane.flashes() == ["Packages added: bar. Koji blocks in Fedora 43, so that nobody can build there: bar."]


def test_they_are_put_into_a_group_when_that_is_asked_for(jane: Visitor, database: Database) -> None:
    sent = {"packages": "foo bar", "collection": "f44", "group": "jane/own"}
    assert jane.post("/add-packages", sent).location == "/packages?collection=f44&group=jane/own"
    assert members(database, "jane/own") == ("bar", "baz", "foo")
    assert "They are in the group jane/own." in jane.flashes()[0]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"group": "tools"}, "Only the maintainers of tools may add to it"),
        ({"group": "nix"}, "There is no group “nix”"),
        ({"group": "<script>"}, "There is no group"),
        ({"packages": " "}, "Name the packages to add"),
        ({"packages": "foo <script>"}, "Invalid package list"),
        ({"packages": "foo nix"}, "exist in f44: nix"),
        ({"packages": "only-new", "collection": "f43"}, "exist in f43: only-new"),
        ({"collection": "f99"}, "There is no such collection"),
        ({"collection": ""}, "There is no such collection"),
    ],
)
def test_a_mistake_is_said_beside_its_field_and_all_is_undone(
    jane: Visitor, database: Database, wrong: dict[str, str], told: str
) -> None:
    answer = jane.post("/add-packages", {"packages": "foo", "collection": "f44", **wrong})
    assert answer.status_code == 422
    said = re.search(r'<p class="error" id="(\w+)-error">([^<]*)</p>', answer.text)
    assert said
    assert said[1] in wrong
    assert told in said[2].replace("&#39;", "'")
    assert "<script>" not in answer.text
    assert tracked(database) == {("f44", "baz")}
    assert members(database, "tools") == ("baz",)


def left(database: Database, name: str) -> float | None:
    with database.begin() as session:
        return session.scalars(select(User.edits_left).where(User.name == name)).one()


def test_each_package_that_is_tested_from_then_on_is_one_of_the_changes_of_the_hour(
    jane: Visitor, database: Database
) -> None:
    jane.post("/add-packages", {"packages": "foo bar baz", "collection": "f44"})
    assert left(database, "jane") == 118
    jane.post("/add-packages", {"packages": "foo bar baz", "collection": "f44", "group": "jane/own"})
    assert left(database, "jane") == 117  # none is new: it is one change of a group


@pytest.mark.parametrize(
    ("limit", "status", "told"),
    [
        (4, 429, "These are 3, and 2 are left. Nothing was changed; try again in 15 minutes"),
        (2, 422, "These are 3 changes at once, and 2 in an hour are the most"),
    ],
)
def test_more_packages_than_changes_are_left_are_refused_as_a_whole(
    config: Config, database: Database, limit: int, status: int, told: str
) -> None:
    few = config.model_copy(update={"frontend": config.frontend.model_copy(update={"edits_per_hour": limit})})
    client = create_app(few, database, clock=lambda: NOW).test_client()
    jane = Visitor(client, database, "jane")
    with database.begin() as session:
        user = session.scalars(select(User).where(User.name == "jane")).one()
        user.edits_left, user.edits_at = 2, NOW
    sent = {"packages": "foo bar only-new", "collection": "f44", "group": "jane/own"}
    answer = jane.post("/add-packages", sent)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, "900" if status == 429 else None)
    assert told in words(answer.text)
    assert re.search(r"<textarea[^>]*>\s*foo bar only-new</textarea>", answer.text)
    assert tracked(database) == {("f44", "baz")}
    assert members(database, "jane/own") == ("baz",)
    assert left(database, "jane") == 2
    root = Visitor(create_app(few, database, clock=lambda: NOW).test_client(), database, "root", admin=True)
    assert root.post("/add-packages", {**sent, "group": ""}).status_code == 303


def test_who_administers_may_add_to_every_group(client: FlaskClient, database: Database) -> None:
    root = Visitor(client, database, "root", admin=True)
    assert '<option value="tools">' in root.get("/add-packages").text
    root.post("/add-packages", {"packages": "foo", "collection": "f44", "group": "tools"})
    assert members(database, "tools") == ("baz", "foo")


def test_a_link_fills_the_form_in(jane: Visitor) -> None:
    page = jane.get("/add-packages?packages=foo,bar&collection=f43&group=jane/own&next=/groups").text
    assert re.search(r"<textarea[^>]*>\s*foo,bar</textarea>", page)
    assert '<option selected value="f43">Fedora 43</option>' in page
    assert '<option selected value="jane/own">' in page
    assert 'value="/groups"' in page
    assert jane.get("/add-packages?collection=nix").status_code == 404
    assert '<option selected value="f44">' in jane.get("/add-packages").text


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nX: y", "evil"],
)
def test_nobody_is_sent_to_another_site(jane: Visitor, target: str) -> None:
    page = jane.get("/add-packages", query_string={"next": target})
    assert "evil" not in words(page.text)
    assert "javascript" not in page.text
    answer = jane.post("/add-packages", {"packages": "foo", "collection": "f44", "next": target})
    assert answer.location == "/package/foo?collection=f44"
    assert "X" not in answer.headers


def test_one_goes_on_where_one_was(jane: Visitor) -> None:
    answer = jane.post("/add-packages", {"packages": "foo", "collection": "f44", "next": "/groups?of=users"})
    assert answer.location == "/groups?of=users"


def test_it_takes_somebody_who_is_logged_in_and_a_token(client: FlaskClient, jane: Visitor, database: Database) -> None:
    sent = {"packages": "foo", "collection": "f44", "csrf_token": "x"}
    assert jane.post("/add-packages", sent).status_code == 400
    with client.session_transaction(base_url="https://localhost") as cookie:
        cookie.clear()
    answer = client.get("/add-packages?packages=foo", base_url="https://localhost")
    assert answer.location.startswith("/login?next=/add-packages")
    assert tracked(database) == {("f44", "baz")}
