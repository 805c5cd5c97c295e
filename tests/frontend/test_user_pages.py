"""Whose packages are whose: the page of a person, "mine" in the list of packages, and the maintainers of a package."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from koschei import groups
from koschei.db.engine import Database
from koschei.model import MaintainerSource, PackageMaintainer
from koschei.rules.states import BuildState
from tests.frontend.conftest import counting
from tests.frontend.persons import Visitor
from tests.frontend.test_group_pages import MOST_QUERIES, SOMEBODY, members
from tests.frontend.test_pages import checked, words
from tests.world import World, ago, filling

URL = "https://distgit.example/alias.json"


def named(world: World, user: str, *packages: str) -> None:
    """Have the source name somebody as a maintainer."""
    world.session.add_all(PackageMaintainer(user_name=user, package=package) for package in packages)


@pytest.fixture
def theirs(database: Database) -> None:
    """Packages of jane's by the source and by a global group, and some of nobody's."""
    with filling(database) as world:
        f44 = world.collection("f44", "Fedora Rawhide", order=2)
        f43 = world.collection("f43", "Fedora 43", order=1)
        for name in ("abc", "bad", "good", "other", "zzz"):
            state = BuildState.FAILED if name == "bad" else BuildState.COMPLETE
            world.build(world.package(name, f44), state)
        world.package("good", f43, tracked=False)
        groups.create(world.session, SOMEBODY, "tools", ["abc", "bad"], ["jane"])
        named(world, "jane", "good", "bad", "not-ours")
        named(world, "amy", "bad")
        world.session.add(MaintainerSource(id=1, url=URL, last_good=ago(2)))


def test_a_person_has_what_the_source_and_groups_say_broken_first_each_once(client: FlaskClient, theirs: None) -> None:
    page = checked(client, "/user/jane")
    assert members(page) == ["bad", "abc", "good"]
    seen = words(page)
    assert "Broken: 1 of 3 packages in Fedora Rawhide." in seen
    assert "jane is named as a maintainer of 3 packages in the distribution's list, as of 2 hours ago." in seen
    assert "jane maintains 1 group: tools 2 packages." in seen
    assert members(checked(client, "/user/amy")) == ["bad"]
    assert members(checked(client, "/user/jane?state=ok&order_by=-name")) == ["good", "abc"]
    assert "2 packages, ok" in words(checked(client, "/user/jane?state=ok"))


def test_a_person_without_tracked_packages_is_told_so(client: FlaskClient, theirs: None) -> None:
    seen = words(checked(client, "/user/jane?collection=f43"))
    assert "No package of jane is tested here in Fedora 43." in seen
    assert "No package of jane is tracked in Fedora 43. Show untracked packages" in seen
    assert members(checked(client, "/user/jane?collection=f43&untracked=1")) == ["good"]
    seen = words(checked(client, "/user/nobody"))
    assert "Nobody of this name maintains a package or a group, as far as Koschei knows." in seen
    assert "named as a maintainer of no package in the distribution's list, as of 2 hours ago" in seen


def test_a_source_that_fails_is_said_with_the_age_of_what_is_known(
    client: FlaskClient, database: Database, theirs: None
) -> None:
    with database.begin() as session:
        session.get_one(MaintainerSource, 1).error = "it is away"
    assert "as of 2 hours ago; it could not be read since." in words(checked(client, "/user/jane"))
    with database.begin() as session:
        session.get_one(MaintainerSource, 1).last_good = None
    assert "list of who maintains what could not be read yet" in words(checked(client, "/user/nobody"))


def test_without_a_source_a_person_has_what_groups_say(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        world.package("abc", world.collection())
        groups.create(world.session, SOMEBODY, "jane/own", ["abc"])
    page = checked(client, "/user/jane")
    assert members(page) == ["abc"]
    assert "distribution's list" not in words(page)


def test_ones_own_page_says_you(client: FlaskClient, database: Database, theirs: None) -> None:
    jane = Visitor(client, database, "jane")
    seen = words(jane.get("/user/jane").text)
    assert "You are named as a maintainer of 3 packages" in seen
    assert "You maintain 1 group" in seen
    assert "amy is named" in words(jane.get("/user/amy").text)
    assert "No package is yours as far as Koschei knows" in words(
        Visitor(client, database, "newcomer").get("/user/newcomer").text
    )


def test_mine_is_a_filter_of_the_list_whose_address_can_be_sent(
    client: FlaskClient, database: Database, theirs: None
) -> None:
    page = checked(client, "/packages?user=jane&state=failing,ok")
    assert members(page) == ["abc", "bad", "good"]
    assert "3 packages of jane, failing or ok in any of 2 collections" in words(page)
    assert 'href="/packages?user=jane"' in page, "other filters can be cleared"
    assert "Mine" not in words(checked(client, "/packages")), "who is not logged in has none"
    assert members(checked(client, "/packages?user=jane&group=tools")) == ["abc", "bad"]
    assert "2 packages of jane in group tools" in words(checked(client, "/packages?user=jane&group=tools"))
    assert "No package of amy in these collections is ok" in words(checked(client, "/packages?user=amy&state=ok"))
    jane = Visitor(client, database, "jane")
    assert 'href="/packages?user=jane">Mine</a>' in jane.get("/packages").text
    assert "Mine" in words(jane.get("/packages?user=jane").text)


def test_a_package_says_who_maintains_it(client: FlaskClient, theirs: None) -> None:
    page = checked(client, "/package/bad")
    assert '<a href="/user/amy">amy</a>, <a href="/user/jane">jane</a>' in page
    assert "Maintainers none that are known" in words(checked(client, "/package/other"))


@pytest.mark.parametrize("name", ["<script>", "a" * 3000, "ü ", "..", "%00"])
def test_any_name_has_a_page_that_is_escaped_or_is_refused(client: FlaskClient, theirs: None, name: str) -> None:
    for address in (f"/user/{name}", f"/packages?user={name}"):
        answer = client.get(address)
        assert answer.status_code in (200, 308, 400, 404)
        assert "<script>" not in answer.text


def test_pages_of_a_person_ask_few_queries(app_of_small_pages: FlaskClient, database: Database, theirs: None) -> None:
    with filling(database) as world:
        collection = world.collection("eln", resolved=False)  # what stands around every page is asked for, too
        names = [f"p{number}" for number in range(30)]
        for name in names:
            world.package(name, collection)
            groups.create(world.session, SOMEBODY, f"jane/{name}", [name], ["jane"])
        named(world, "jane", *names)
    jane = Visitor(app_of_small_pages, database, "jane")
    for address in ("/user/jane", "/user/jane?state=ok,unknown", "/packages?user=jane"):
        jane.get(address)
        with counting(database) as statements:
            assert jane.get(address).status_code == 200
        assert len(statements) <= MOST_QUERIES, (address, statements)
