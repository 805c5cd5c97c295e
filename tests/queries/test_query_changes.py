"""Dependency changes in SQL are those of the rules: kinds, order, counts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koschei.db.engine import Database
from koschei.queries import changes
from koschei.rules.changes import ChangeKind, dependency_changes
from koschei.rules.states import BuildState
from koschei.rules.suspects import suspects
from tests.world import ChangeSpec, World, filling

NAMES = st.sampled_from(["gcc", "glibc", "zlib", "a", "B"])
VERSIONS = st.sampled_from(["1-1", "1-2", "2-1", "10-1", "1:0.1-1", "1~rc1-1"])
CHANGES = st.lists(
    st.tuples(NAMES, st.none() | VERSIONS, st.none() | VERSIONS, st.none() | st.integers(1, 4)).filter(
        lambda change: change[1] != change[2]
    ),
    max_size=12,
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database."""
    database = Database(database_url)
    yield database
    database.dispose()


@settings(max_examples=25)
@given(specs=CHANGES)
def test_kinds_and_order_are_those_of_the_rules(database: Database, specs: list[ChangeSpec]) -> None:
    with database.begin() as session:
        world = World(session)
        package = world.package("foo", world.collection())
        build = world.build(package, changes=specs)
        world.pending(package, *specs)
        found = changes.of_builds(session, [build.id], 100)[build.id]
        pending = changes.pending(session, package.id, 100)
        counted = changes.counts(session, build.id)
        session.rollback()
    assert found.total == len(specs)
    assert found.hidden == 0
    assert list(found.shown) == suspects(found.shown)
    assert (pending.shown, pending.total) == (found.shown, found.total)
    for change in found.shown:
        alone = dependency_changes(
            [change.prev] if change.prev else [],
            [change.curr] if change.curr else [],
            {change.name: change.distance} if change.distance else {},
        )
        assert [one.kind for one in alone] == [change.kind]
    assert counted == {kind: n for kind in ChangeKind if (n := sum(c.kind == kind for c in found.shown))}


def test_many_builds_are_read_at_once_each_up_to_the_limit(database: Database) -> None:
    with filling(database) as world:
        package = world.package("foo", world.collection())
        many = world.build(package, hours=3, changes=[(f"dep{i}", "1-1", "2-1", 1 + i // 3) for i in range(9)])
        few = world.build(package, hours=2, changes=[("one", None, "1-1", None)])
        none = world.build(package, hours=1)
    with database.read() as session:
        found = changes.of_builds(session, [many.id, few.id, none.id], 4)
        assert changes.of_builds(session, [], 4) == {}
    assert [change.name for change in found[many.id].shown] == ["dep0", "dep1", "dep2", "dep3"]
    assert (found[many.id].total, found[many.id].hidden) == (9, 5)
    assert [change.kind for change in found[few.id].shown] == [ChangeKind.ADDED]
    assert found[none.id] == changes.Changes()


def test_a_build_without_one_before_it_was_compared_with_nothing(database: Database) -> None:
    with filling(database) as world:
        package = world.package("foo", world.collection())
        lost = world.build(package, hours=4, deps_resolved=False)
        spoiled = world.build(package, state=BuildState.SPOILED, hours=3)
        first = world.build(package, hours=2)
        second = world.build(package, hours=1)
    with database.read() as session:
        found = changes.of_builds(session, [lost.id, spoiled.id, first.id, second.id], 4)
    assert [found[build.id].compared for build in (lost, spoiled, first, second)] == [False, False, False, True]


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("g", ["gcc", "glibc"]),
        ("GC", ["gcc"]),
        ("g*c", ["gcc", "glibc"]),
        ("_", ["z_b"]),
        ("%", []),
        ("\\", []),
        ("q", []),
    ],
)
def test_they_are_narrowed_down_by_a_part_of_the_name(database: Database, part: str, names: list[str]) -> None:
    with filling(database) as world:
        build = world.build(
            world.package("foo", world.collection()),
            changes=[("gcc", "1-1", "2-1", 1), ("glibc", "1-1", None, 2), ("z_b", None, "1-1", 3)],
        )
    with database.read() as session:
        found = changes.of_builds(session, [build.id], 9, name=part)[build.id]
        removed = changes.of_builds(session, [build.id], 9, kind=ChangeKind.REMOVED)[build.id]
    assert [change.name for change in found.shown] == names
    assert found.total == len(names)
    assert [change.name for change in removed.shown] == ["glibc"]
