"""Lists of groups: which are in them, in which order, and what is counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from koschei import groups as changing
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.model import Environment
from koschei.queries import groups
from koschei.queries.groups import Wanted, Whose
from koschei.queries.paging import ByName
from koschei.rules.states import BuildState, PackageState
from tests.world import World, filling

SOMEBODY = Actor(Environment.ADMIN, "operator")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database."""
    database = Database(database_url)
    yield database
    database.dispose()


def make(world: World, *names: str) -> None:
    for name in names:
        changing.create(world.session, SOMEBODY, name)


def test_pages_hold_every_group_once_in_both_directions_global_ones_first(database: Database) -> None:
    names = ["Zeta", "a", "b-c", "b_c", "zz", "amy/b", "amy/zz", "bob/a", "bob/a+b"]
    with filling(database) as world:
        make(world, *reversed(names))
    with database.read() as session:
        found: list[list[str]] = []
        cursor, more = None, True
        while more:
            page = groups.page(session, Wanted(), cursor, 2)
            found.append([group.full_name for group in page.groups])
            cursor, more = page.after, page.after is not None
        assert [name for names in found for name in names] == names
        back = page.before
        for expected in reversed(found[:-1]):
            page = groups.page(session, Wanted(), back, 2)
            assert [group.full_name for group in page.groups] == expected
            back = page.before
        assert back is None
        assert groups.page(session, Wanted(), ByName("nobody/nothing"), 2) == groups.Page()


def test_groups_are_found_by_kind_and_by_a_part_of_their_full_name(database: Database) -> None:
    with filling(database) as world:
        make(world, "python-sig", "rust_sig", "amy/Python", "bob/tools")

    def found(whose: Whose = Whose.ALL, text: str = "") -> list[str]:
        wanted = Wanted(whose, text)
        with database.read() as session:
            names = [group.full_name for group in groups.page(session, wanted, None, 10).groups]
            assert groups.count(session, wanted) == len(names)
            return names

    assert found(Whose.GLOBAL) == ["python-sig", "rust_sig"]
    assert found(Whose.USERS) == ["amy/Python", "bob/tools"]
    assert found(text="PYTHON") == ["python-sig", "amy/Python"]
    assert found(Whose.USERS, "python") == ["amy/Python"]
    assert found(text="bob/") == ["bob/tools"]
    assert found(text="t_s") == ["rust_sig"]
    assert found(text="%") == []
    assert found(text="p*sig") == ["python-sig"]


def test_a_group_counts_its_tracked_packages_by_state_and_collection(database: Database) -> None:
    with filling(database) as world:
        f44, f43 = world.collection("f44"), world.collection("f43")
        world.build(world.package("bad", f44), BuildState.FAILED)
        world.build(world.package("bad", f43))
        world.build(world.package("good", f44))
        world.package("lost", f44, resolved=False)
        world.package("quiet", f44, tracked=False)
        world.package("gone", f44, blocked=True)
        world.package("half", f44, blocked=True)
        world.package("half", f43, tracked=False)
        everything = ["bad", "good", "lost", "quiet", "gone", "half"]
        changing.create(world.session, SOMEBODY, "all", everything, ["jane", "amy"])
        changing.create(world.session, SOMEBODY, "some", ["good"])
        make(world, "none")
    with database.read() as session:
        page = groups.page(session, Wanted(), None, 10)
        every, none, some = groups.lines(session, page.groups, [f44.id, f43.id])
        only = groups.lines(session, page.groups, [f43.id])[0]
    assert every.counts == {
        f44.id: {PackageState.FAILING: 1, PackageState.OK: 1, PackageState.UNRESOLVED: 1},
        f43.id: {PackageState.OK: 1},
    }
    assert every.packages == 5
    assert every.maintainers == ("amy", "jane")
    assert only.counts == {f43.id: {PackageState.OK: 1}}
    assert some.counts == {f44.id: {PackageState.OK: 1}}
    assert (none.counts, none.packages, none.maintainers) == ({}, 0, ())


def test_a_users_groups_are_those_maintained_and_those_of_the_name(database: Database) -> None:
    with filling(database) as world:
        make(world, "jane/own", "amy/other", "global")
        changing.create(world.session, SOMEBODY, "shared", (), ["jane", "amy"])
        changing.create(world.session, SOMEBODY, "amy/with-jane", (), ["jane"])
    with database.read() as session:
        names = [group.full_name for group in groups.of_user(session, "jane", 10)]
        assert names == ["shared", "amy/with-jane", "jane/own"]
        assert groups.of_user(session, "nobody", 10) == []


def test_a_group_is_found_by_its_full_name_only(database: Database) -> None:
    with filling(database) as world:
        make(world, "tools", "amy/tools")
    with database.read() as session:
        for name in ("tools", "amy/tools"):
            group = groups.find(session, name)
            assert group is not None
            assert group.full_name == name
        assert groups.find(session, "bob/tools") is None


def test_counts_are_the_same_however_they_are_found(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with filling(database) as world:
        collections = [world.collection(f"f{number}", order=number) for number in range(40, 44)]
        for number, collection in enumerate(collections):
            for name in ("a", "b", "c", "d"):
                package = world.package(name, collection, blocked=name == "c", tracked=name != "d")
                state = BuildState.FAILED if number % 2 and name == "a" else BuildState.COMPLETE
                world.build(package, state, 5)
        changing.create(world.session, SOMEBODY, "abcd", ["a", "b", "c", "d"])
    with database.read() as session:
        found = groups.page(session, Wanted(), None, 5).groups
        ids = [collection.id for collection in collections]
        (line,) = groups.lines(session, found, ids)
        assert (line.packages, line.tracked) == (3, 2)
        assert line.counts[ids[0]] == {PackageState.OK: 2}
        assert line.counts[ids[1]] == {PackageState.OK: 1, PackageState.FAILING: 1}
        assert groups.lines(session, found, [])[0].counts == {}
        monkeypatch.setattr(groups, "LOOKED_UP", 0)
        assert groups.lines(session, found, ids) == [line]
        monkeypatch.setattr(groups, "COLLECTIONS_AT_ONCE", 3)
        assert groups.lines(session, found, ids) == [replace(line, tracked=None)]
