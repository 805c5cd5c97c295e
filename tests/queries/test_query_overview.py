"""What is broken now, why, and how the last day went."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from koschei.db.engine import Database
from koschei.model import Cause
from koschei.queries import overview
from koschei.queries.changes import Changes
from koschei.queries.collections import state_counts
from koschei.rules.states import BuildState, PackageState
from tests.world import NOW, filling

OK, FAILING, UNRESOLVED = PackageState.OK, PackageState.FAILING, PackageState.UNRESOLVED


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database."""
    database = Database(database_url)
    yield database
    database.dispose()


def test_a_day_is_followed_back_from_the_present_counts(database: Database) -> None:
    with filling(database) as world:
        collection = world.collection()
        for number, hours in enumerate((0.5, 5, 23, 30)):
            package = world.package(f"p{number}", collection)
            world.build(package, BuildState.FAILED, 40)
            world.moved(package, OK, FAILING, hours)
        fixed = world.package("fixed", collection)
        world.build(fixed, hours=50)
        world.moved(fixed, FAILING, OK, 2)
    with database.read() as session:
        counts = state_counts(session, [collection.id])
        trend = overview.trends(session, counts, NOW)[collection.id]
    assert counts == {collection.id: {FAILING: 4, OK: 1}}
    assert trend.difference == {FAILING: 2, OK: -2}
    assert len(trend.broken) == overview.BUCKETS + 1
    assert trend.broken[0] == 2
    assert trend.broken[-1] == 4
    assert max(trend.broken) == 4
    assert trend.broken[-4:] == (4, 3, 3, 4)


def test_a_package_that_moves_between_kinds_of_broken_stays_broken(database: Database) -> None:
    with filling(database) as world:
        collection = world.collection()
        package = world.package("foo", collection, resolved=False)
        world.build(package, BuildState.FAILED, 40)
        world.moved(package, FAILING, UNRESOLVED, 3, Cause.RESOLUTION)
    with database.read() as session:
        trend = overview.trends(session, state_counts(session, [collection.id]), NOW)[collection.id]
    assert set(trend.broken) == {1}
    assert trend.difference == {FAILING: -1, UNRESOLVED: 1}


def test_broken_packages_come_latest_first_and_only_those_that_count(database: Database) -> None:
    with filling(database) as world:
        collection, other = world.collection("f44"), world.collection("f43")
        for name, hours, where, columns in (
            ("old", 50, collection, {}),
            ("new", 2, collection, {}),
            ("elsewhere", 1, other, {}),
            ("untracked", 1, collection, {"tracked": False}),
            ("blocked", 1, collection, {"blocked": True}),
        ):
            package = world.package(name, where, **columns)
            world.build(package, BuildState.FAILED, hours + 1)
            package.state_since = NOW.replace(hour=0) if hours > 10 else NOW
        world.build(world.package("fine", collection), hours=1)
    with database.read() as session:
        found = overview.newly_broken(session, [collection], 10)
        assert [moved.name for moved in found] == ["new", "old"]
        assert [moved.name for moved in overview.newly_broken(session, [collection, other], 1)] == ["elsewhere"]


def test_a_new_source_is_the_first_suspect(database: Database) -> None:
    with filling(database) as world:
        collection = world.collection()
        package = world.package("foo", collection)
        world.build(package, BuildState.COMPLETE, 30, "1.0-1")
        world.build(package, BuildState.SPOILED, 20, "1.5-1")
        bad = world.build(package, BuildState.FAILED, 10, "2.0-1", real=True, changes=[("gcc", "1-1", "2-1", 1)])
        world.moved(package, OK, FAILING, 10, Cause.REAL_BUILD, bad)
    with database.read() as session:
        [moved] = overview.newly_broken(session, [collection], 5)
    assert moved.reason == "new source 2.0-1; since gcc 1-1 -> 2-1"
    assert moved.build_id == bad.id


@pytest.mark.parametrize(
    ("resolved", "first", "new_source", "words"),
    [
        (True, False, "", "nothing changed in its dependencies"),
        (True, False, "2-1", "new source 2-1"),
        (True, True, "", "no earlier build to compare with"),
        (None, False, "", "dependencies not compared yet"),
        (None, False, "2-1", "new source 2-1; dependencies not compared yet"),
        (False, False, "", "dependencies could not be compared"),
    ],
)
def test_a_reason_is_never_empty(resolved: bool | None, first: bool, new_source: str, words: str) -> None:
    assert overview.reason(Changes(), resolved, first=first, new_source=new_source) == words


def test_fixed_packages_are_those_that_still_are(database: Database) -> None:
    with filling(database) as world:
        collection = world.collection()
        for name, prev, hours in (("yes", FAILING, 5), ("too", UNRESOLVED, 3), ("long-ago", FAILING, 24 * 8)):
            package = world.package(name, collection)
            world.build(package, hours=hours + 1)
            world.moved(package, prev, OK, hours)
        relapsed = world.package("relapsed", collection)
        world.moved(relapsed, FAILING, OK, 6)
        world.build(relapsed, BuildState.FAILED, 2)
        world.moved(relapsed, OK, FAILING, 1)
    with database.read() as session:
        found = overview.newly_fixed(session, [collection], NOW, 10)
    assert [(moved.name, moved.reason) for moved in found] == [("too", "was unresolved"), ("yes", "was failing")]
