"""What is built next: order, threshold, limits, and that the queue and the explanation of a package never disagree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import BasePackage, Build, Collection, Package
from koschei.queries import scheduling
from koschei.rules.states import BuildState, SkipReason
from tests.world import NOW, World, filling

CONFIG = Config()
THRESHOLD = CONFIG.priorities.build_threshold
LARGEST = 2**31 - 1


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


def names(database: Database, **options: Any) -> list[str]:
    with database.begin() as session:
        return [c.name for c in scheduling.candidates(session, CONFIG, NOW, **options)]


def queue_length(database: Database) -> int:
    with database.begin() as session:
        return scheduling.queue_length(session, CONFIG, NOW)


def explanation(database: Database, name: str) -> scheduling.Explanation:
    with database.begin() as session:
        package = session.scalars(select(Package).where(Package.name == name)).one()
        return scheduling.explain(session, package, CONFIG, NOW)


def at_t0(world: World, name: str, collection: Collection, **columns: Any) -> Package:
    """A package whose elapsed time is worth nothing."""
    package = world.package(name, collection, **columns)
    world.build(package, hours=CONFIG.priorities.t0)
    return package


def test_the_most_deserving_comes_first_and_equal_ones_by_name(database: Database) -> None:
    with filling(database) as world:
        home = world.collection()
        for name, manual in (("c", 300), ("b", 300), ("a", 299), ("top", 5000), ("never", -9000)):
            at_t0(world, name, home, manual_priority=manual)
    assert names(database) == ["top", "b", "c", "a"]
    assert names(database, limit=2) == ["top", "b"]
    assert queue_length(database) == 4


def test_exactly_the_threshold_is_enough_and_less_is_not(database: Database) -> None:
    with filling(database) as world:
        home = world.collection()
        at_t0(world, "exact", home, manual_priority=THRESHOLD)
        at_t0(world, "below", home, manual_priority=THRESHOLD - 1)
        waited = world.package("waited", home)
        world.build(waited, hours=CONFIG.priorities.t1)
    assert names(database) == ["exact", "waited"]
    assert explanation(database, "below").due is not None


def test_a_collection_can_be_left_out(database: Database) -> None:
    with filling(database) as world:
        for name in ("f43", "f44"):
            at_t0(world, "foo", world.collection(name), manual_priority=THRESHOLD)
    with database.begin() as session:
        found = scheduling.candidates(session, CONFIG, NOW, without=["f43"])
    assert [c.collection for c in found] == ["f44"]


def test_the_largest_priorities_of_all_do_not_stop_the_scheduler(database: Database) -> None:
    with filling(database) as world:
        home = world.collection()
        at_t0(world, "greedy", home, manual_priority=LARGEST, static_priority=LARGEST)
        at_t0(world, "doubtful", home, dependency_priority=LARGEST, build_priority=LARGEST)
        at_t0(world, "modest", home, manual_priority=THRESHOLD)
    assert set(names(database)) == {"greedy", "doubtful", "modest"}
    assert queue_length(database) == 3


def test_running_builds_of_all_collections_count_and_others_do_not(database: Database) -> None:
    with filling(database) as world:
        for name in ("f43", "f44"):
            world.build(world.package("foo", world.collection(name)), BuildState.RUNNING, finished=None, submission={})
        for state in (BuildState.SPOILED, BuildState.CANCELED, BuildState.COMPLETE):
            world.build(world.package(f"{state.word}", world.session.scalars(select(Collection)).first()), state)
    with database.begin() as session:
        assert scheduling.running_builds(session) == 2


def test_spoiled_and_cancelled_builds_count_for_the_day_and_real_ones_do_not(database: Database) -> None:
    with filling(database) as world:
        home = world.collection()
        package = at_t0(world, "foo", home, manual_priority=5000)
        for _ in range(10):
            world.build(package, hours=8, real=True)
        for hours in (5, 4, 3, 2, 1):
            world.build(package, BuildState.SPOILED, hours=hours)
    assert names(database) == [], "five spoiled builds and one complete one"
    with database.begin() as session:
        session.execute(
            delete(Build).where(Build.state == BuildState.SPOILED, Build.started > NOW - timedelta(hours=2))
        )
    assert names(database) == ["foo"]


def test_the_explanation_of_a_running_package_says_so(database: Database) -> None:
    """Upstream counts such a package as schedulable when all its finished builds were untagged."""
    with filling(database) as world:
        package = world.package("foo", world.collection(), manual_priority=5000)
        world.build(package, BuildState.RUNNING, finished=None, submission={})
    assert names(database) == []
    found = explanation(database, "foo")
    assert [c.name for c in found.conditions if not c.holds] == ["not_running"]


OFTEN = st.sampled_from([True, True, True, True, False])
PRIORITIES = st.sampled_from([0, 0, -30, 100, 255, 256, 257, 3000])
PACKAGES = st.fixed_dictionaries(
    {
        "tracked": OFTEN,
        "blocked": st.sampled_from([False, False, False, True]),
        "resolved": st.sampled_from([True, True, True, False, None]),
        "skip_resolution": st.booleans(),
        "manual_priority": PRIORITIES,
        "static_priority": PRIORITIES,
        "dependency_priority": PRIORITIES,
        "build_priority": PRIORITIES,
        "scheduler_skip_reason": st.sampled_from([None, None, *SkipReason]),
        "retry_after": st.sampled_from([None, None, timedelta(0), timedelta(seconds=-1), timedelta(seconds=1)]),
    }
)
BUILDS = st.lists(
    st.tuples(
        st.sampled_from([BuildState.COMPLETE, BuildState.FAILED, BuildState.SPOILED, BuildState.CANCELED]),
        st.sampled_from([0.0, 1.0, 6.0, 23.9, 24.0, 24.1, 168.0, 900.0, -1.0]),
        st.booleans(),  # real
        st.sampled_from([False, False, True]),  # untagged
    ),
    max_size=9,
)
WORLDS = st.lists(st.tuples(PACKAGES, BUILDS, st.sampled_from([False, False, False, True])), min_size=1, max_size=6)


@settings(max_examples=40)
@given(WORLDS, OFTEN | st.none(), st.sampled_from([1.0, 0.5, 0.0]))
def test_a_package_is_in_the_queue_exactly_when_its_explanation_says_so(
    database: Database, packages: list[Any], base: bool | None, coefficient: float
) -> None:
    with database.begin() as session:
        session.execute(delete(Collection))
        session.execute(delete(BasePackage))
    with filling(database) as world:
        home = world.collection(resolved=base, priority_coefficient=coefficient)
        for number, (columns, builds, running) in enumerate(packages):
            columns = dict(columns)
            if columns["skip_resolution"]:
                columns["resolved"] = None
            if columns["retry_after"] is not None:
                columns["retry_after"] = NOW + columns["retry_after"]
            package = world.package(f"p{number}", home, **columns)
            for state, hours, real, untagged in builds:
                real = real and state.counted
                world.build(package, state, hours=hours, real=real, untagged=untagged)
            if running:
                world.build(package, BuildState.RUNNING, hours=0.1, finished=None, submission={})
    with database.begin() as session:
        queued = {c.package_id: c.priority for c in scheduling.candidates(session, CONFIG, NOW)}
        assert scheduling.queue_length(session, CONFIG, NOW) == len(queued)
        for package in session.scalars(select(Package)):
            told = scheduling.explain(session, package, CONFIG, NOW)
            enough = told.priority is not None and told.priority.total >= told.threshold
            assert (package.id in queued) == (told.schedulable and enough)
            if package.id in queued and told.priority is not None:
                assert queued[package.id] == pytest.approx(told.priority.total, abs=1e-6)


def test_a_copy_of_a_running_build_is_no_second_build(database: Database) -> None:
    with filling(database) as world:
        collection = world.collection()
        running = world.build(world.package("foo", collection), state=BuildState.RUNNING)
        world.build(world.package("bar", collection), state=BuildState.RUNNING, copied_from=running.id)
    with database.begin() as session:
        assert scheduling.running_builds(session) == 1
