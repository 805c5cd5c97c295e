"""Two collections side by side."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from koschei.db.engine import Database
from koschei.queries import diff
from koschei.rules.states import BuildState, PackageState
from tests.frontend.conftest import counting
from tests.world import World, filling

GOOD, BAD = BuildState.COMPLETE, BuildState.FAILED


def in_state(world: World, name: str, collection: object, state: str) -> None:
    columns: dict[str, object] = {"unresolved": {"resolved": False}, "untracked": {"tracked": False}}.get(state, {})  # type: ignore[assignment]
    package = world.package(name, collection, **columns)  # type: ignore[arg-type]
    if state in ("ok", "failing"):
        world.build(package, GOOD if state == "ok" else BAD)


@pytest.fixture
def filled(database: Database) -> Database:
    """Packages in two of three collections."""
    with filling(database) as world:
        f44 = world.collection("f44", "Rawhide", order=3)
        f43 = world.collection("f43", "Stable", order=2)
        world.collection("eln", "ELN", order=1)
        for name, one, two in (
            ("same", "ok", "ok"),
            ("b-failing", "ok", "failing"),
            ("a-unresolved", "ok", "unresolved"),
            ("c-fixed", "failing", "ok"),
            ("d-gone", "ok", None),
            ("e-new", None, "failing"),
            ("f-untracked", "untracked", "ok"),
        ):
            if one:
                in_state(world, name, f44, one)
            if two:
                in_state(world, name, f43, two)
    return database


def rows(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/package/([^?"]+)', page)


def test_it_says_first_what_builds_in_one_and_not_in_the_other(filled: Database, client: FlaskClient) -> None:
    page = re.sub(r"\s+", " ", client.get("/collections/diff/f44/f43").text)
    assert "2 packages build in Rawhide and are broken in Stable; 1 the other way round." in page
    assert rows(page) == ["a-unresolved", "b-failing", "c-fixed", "d-gone", "e-new", "f-untracked"]
    assert page.count("not in it") == 4  # a row and a column of the counts, and two cells


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("here=ok&there=failing", ["b-failing"]),
        ("here=ok", ["a-unresolved", "b-failing", "d-gone"]),
        ("there=absent", ["d-gone"]),
        ("here=absent&there=failing", ["e-new"]),
        ("here=blocked", []),
        ("after=b-failing", ["c-fixed", "d-gone", "e-new", "f-untracked"]),
        ("before=c-fixed", ["a-unresolved", "b-failing"]),
    ],
)
def test_pairs_of_states_and_cursors_narrow_the_list(
    filled: Database, client: FlaskClient, query: str, names: list[str]
) -> None:
    assert rows(client.get(f"/collections/diff/f44/f43?{query}").text) == names


def test_the_numbers_lead_to_the_packages_that_they_count(filled: Database, client: FlaskClient) -> None:
    page = client.get("/collections/diff/f44/f43").text
    links = re.findall(r'href="(/collections/diff/[^"]+here=[^"]+)#packages"[^>]*>(\d+)', page)
    assert len(links) == 6
    for link, count in links:
        assert len(rows(client.get(link.replace("&amp;", "&")).text)) == int(count)


def test_long_lists_are_walked_in_both_directions(database: Database, app_of_small_pages: FlaskClient) -> None:
    with filling(database) as world:
        f44, f43 = world.collection("f44"), world.collection("f43")
        for number in range(12):
            in_state(world, f"p{number:02}", f44, "ok")
            in_state(world, f"p{number:02}", f43, "failing")
    seen, address = [], "/collections/diff/f44/f43"
    while True:
        page = app_of_small_pages.get(address).text
        seen.append(rows(page))
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if following is None:
            break
        address = following[1].replace("&amp;", "&")
    assert [len(part) for part in seen] == [5, 5, 2]
    previous = re.search(r'rel="prev" href="([^"]+)"', page)
    assert previous is not None
    assert rows(app_of_small_pages.get(previous[1].replace("&amp;", "&")).text) == seen[1]


def test_what_there_is_not_is_said(filled: Database, client: FlaskClient) -> None:
    assert client.get("/collections/diff/f44/f99").status_code == 404
    assert client.get("/collections/diff/f44/f43?here=great").status_code == 400
    assert "the same collection" in client.get("/collections/diff/f44/f44").text
    empty = client.get("/collections/diff/eln/eln")
    assert empty.status_code == 200


def test_pages_about_collections_lead_there(filled: Database, client: FlaskClient) -> None:
    assert "/collections/diff/f44/f43" in client.get("/collections").text
    assert "/collections/diff/f43/eln" in client.get("/collection/f43").text


def test_it_needs_few_queries(filled: Database, client: FlaskClient) -> None:
    with counting(filled) as statements:
        client.get("/collections/diff/f44/f43")
    assert len(statements) <= 6


def test_counts_are_of_all_packages_whatever_is_listed(filled: Database) -> None:
    with filled.read() as session:
        found = diff.difference(session, (1, 2), ("ok", "failing"), None, 10)
    assert found.counts[PackageState.OK, PackageState.UNRESOLVED] == 1
    assert found.counts[None, PackageState.FAILING] == 1
    assert (PackageState.OK, PackageState.OK) not in found.counts
    assert [line.name for line in found.lines] == ["b-failing"]
