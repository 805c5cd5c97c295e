"""The page of who suffered from a change of a dependency."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from koschei.db.engine import Database
from koschei.queries import affected
from koschei.queries.affected import Step, Version
from koschei.rules.changes import ChangeKind
from koschei.rules.states import BuildState
from tests.frontend.conftest import counting
from tests.world import ChangeSpec, World, filling

GOOD, BAD = BuildState.COMPLETE, BuildState.FAILED
UP = "epoch1=0&version1=15.1&release1=1&epoch2=0&version2=15.2&release2=1"


def pair(
    world: World, name: str, collection: object, before: BuildState, after: BuildState, change: ChangeSpec
) -> None:
    """A package with two builds, the second of which had the change."""
    package = world.package(name, collection)  # type: ignore[arg-type]
    world.build(package, before, 40)
    world.build(package, after, 20, changes=[change])


@pytest.fixture
def filled(database: Database) -> Database:
    """Packages that had changes of gcc of all kinds."""
    with filling(database) as world:
        f44 = world.collection("f44", "Rawhide", order=2)
        f43 = world.collection("f43", "Stable", order=1)
        exact: ChangeSpec = ("gcc", "15.1-1", "15.2-1", 2)
        pair(world, "broke", f44, GOOD, BAD, exact)
        pair(world, "jumped", f44, GOOD, BAD, ("gcc", "14.0-1", "16.0-1", 1))
        pair(world, "was-bad", f44, BAD, BAD, exact)
        pair(world, "well", f44, GOOD, GOOD, exact)
        pair(world, "before", f44, GOOD, BAD, ("gcc", "15.0-1", "15.1-1", 1))
        pair(world, "after", f44, GOOD, BAD, ("gcc", "15.2-1", "15.3-1", 1))
        pair(world, "back", f44, GOOD, BAD, ("gcc", "15.2-1", "15.1-1", 1))
        pair(world, "other", f44, GOOD, BAD, ("llvm", "15.1-1", "15.2-1", 1))
        pair(world, "elsewhere", f43, GOOD, BAD, exact)
        pair(world, "got-it", f44, GOOD, BAD, ("gcc", None, "15.2-1", 1))
        pair(world, "got-another", f44, GOOD, BAD, ("gcc", None, "15.3-1", 1))
        pair(world, "lost-it", f44, GOOD, BAD, ("gcc", "15.1-1", None, None))
        first = world.package("first", f44)
        world.build(first, BAD, 20, changes=[exact])
        untracked = world.package("untracked", f44, tracked=False)
        world.build(untracked, GOOD, 40)
        world.build(untracked, BAD, 20, changes=[exact])
    return database


def rows(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/package/([^?"]+)', page)


@pytest.mark.parametrize(
    ("query", "sufferers", "answer"),
    [
        (UP, ["jumped", "broke"], "2 of 5 packages that were rebuilt with it began to fail (40.0 %)"),
        ("version1=15.2&release1=1&version2=15.1&release2=1", ["back"], "1 of 1 package that was rebuilt with it"),
        ("version2=15.2&release2=1", ["got-it"], "1 of 1 package"),
        ("epoch1=&version1=&release1=&epoch2=0&version2=15.2&release2=1", ["got-it"], "1 of 1 package"),
        ("version1=15.1&release1=1", ["lost-it"], "1 of 1 package"),
        ("version1=1&release1=1&version2=2&release2=1", [], "No package of Rawhide was rebuilt with it"),
    ],
)
def test_those_are_shown_that_began_to_fail_with_exactly_this_change(
    filled: Database, client: FlaskClient, query: str, sufferers: list[str], answer: str
) -> None:
    page = client.get(f"/affected-by/gcc?collection=f44&{query}")
    assert page.status_code == 200
    assert rows(page.text) == sufferers
    assert answer in re.sub(r"\s+", " ", page.text)


def test_without_a_collection_it_is_about_the_first_one(filled: Database, client: FlaskClient) -> None:
    assert "Rawhide" in client.get(f"/affected-by/gcc?{UP}").text
    other = client.get(f"/affected-by/gcc?collection=f43&{UP}")
    assert rows(other.text) == ["elsewhere"]
    assert rows(client.get(f"/affected-by/gcc?collection=f43,f44&{UP}").text) == ["elsewhere"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "version1=1",
        "release2=1&version1=1&release1=1",
        "epoch1=x&version1=1&release1=1",
        "epoch1=-1&version1=1&release1=1",
        "epoch1=99999999999&version1=1&release1=1",
        "epoch1=²&version1=1&release1=1",
        f"version1={'9' * 300}&release1=1",
    ],
)
def test_what_cannot_be_a_change_is_answered_with_what_to_do(filled: Database, client: FlaskClient, query: str) -> None:
    page = client.get(f"/affected-by/gcc?collection=f44&{query}")
    assert page.status_code == 400
    assert "makes no sense" in page.text


def test_every_row_of_a_table_of_changes_leads_there(filled: Database, client: FlaskClient) -> None:
    for name in ("broke", "got-it", "lost-it", "back"):
        page = client.get(f"/package/{name}?collection=f44").text
        links = {link.replace("&amp;", "&") for link in re.findall(r'href="(/affected-by/[^"]+)"', page)}
        assert len(links) == 1
        assert name in rows(client.get(links.pop()).text)


def test_a_change_of_architecture_alone_is_found(database: Database, client: FlaskClient) -> None:
    with filling(database) as world:
        f44 = world.collection("f44")
        before, after = world.dependency("fonts", "1-1", "x86_64"), world.dependency("data", "1-1", "noarch")
        package = world.package("broke", f44)
        world.build(package, GOOD, 40)
        build = world.build(package, BAD, 20)
        from koschei.model import AppliedChange, Dependency

        renamed = world.session.get(Dependency, after)
        assert renamed is not None
        renamed.name = "fonts"
        row = {"build_id": build.id, "position": 0, "prev_dep_id": before, "curr_dep_id": after, "distance": 1}
        world.session.add(AppliedChange(**row))
    step = Step("fonts", Version(0, "1", "1"), Version(0, "1", "1"))
    assert step.kind is ChangeKind.CHANGED
    page = client.get("/affected-by/fonts?version1=1&release1=1&version2=1&release2=1").text
    assert rows(page) == ["broke"]


def test_more_changes_than_are_looked_at_are_said_to_be_more(filled: Database) -> None:
    step = Step("gcc", Version(0, "15.1", "1"), Version(0, "15.2", "1"))
    with filled.read() as session:
        few = affected.affected(session, 1, step, 10, looked_at=2)
        all_of_them = affected.affected(session, 1, step, 1)
    assert few.partial
    assert few.rebuilt < 5
    assert not all_of_them.partial
    assert (all_of_them.total, len(all_of_them.sufferers)) == (2, 1)
    assert (all_of_them.rebuilt, all_of_them.began) == (5, 2)


def test_what_is_usual_is_told_of_the_builds_before(database: Database, client: FlaskClient) -> None:
    with filling(database) as world:
        f44 = world.collection("f44")
        for number in range(60):
            package = world.package(f"p{number}", f44)
            world.build(package, GOOD, 200)
            world.build(package, BAD if number % 10 == 0 else GOOD, 100)
        world.session.flush()
        pair(world, "broke", f44, GOOD, BAD, ("gcc", "15.1-1", "15.2-1", 1))
    page = re.sub(r"\s+", " ", client.get(f"/affected-by/gcc?{UP}").text)
    assert "(100.0 %; usual 5.0 %)" in page
    assert "the 121 builds of F44 just before it" in page


def test_it_needs_few_queries(filled: Database, client: FlaskClient) -> None:
    with counting(filled) as statements:
        client.get(f"/affected-by/gcc?{UP}")
    assert len(statements) <= 8


def test_hostile_names_are_names(filled: Database, app: Flask) -> None:
    page = app.test_client().get(f"/affected-by/<script>%27%22?{UP}")
    assert page.status_code == 200
    assert "<script>'" not in page.text
