"""Letting go of old history: what goes, what must stay, in which portions, and what a killed run leaves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, func, select, text
from sqlalchemy.orm import Session

from koschei import retention
from koschei.audit import Actor
from koschei.config.schema import RetentionConfig
from koschei.db.engine import Database
from koschei.dependencies import load_dependencies, store_dependencies
from koschei.errors import InvalidInputError
from koschei.model import (
    AppliedChange,
    Base,
    BasePackage,
    Build,
    Collection,
    CollectionStateChange,
    Dependency,
    Environment,
    LogEntry,
    OutboxEvent,
    Package,
    PackageStateChange,
    RepositoryResolution,
    ResolutionChange,
)
from koschei.queries import builds, changes, overview
from koschei.queries import package as pages
from koschei.resolution_results import _comparison_sets
from koschei.retention import Kind, Step
from koschei.rules.states import BuildState, CollectionState, PackageState
from koschei.transitions import derive, lock_packages
from tests.support import wait_until
from tests.world import NOW, World, ago, filling

ALICE = Actor(Environment.ADMIN, "alice")
DAY = 24.0
OLD = 400 * DAY
LIMIT = NOW - timedelta(days=180)
EVERYTHING = [Step(kind, LIMIT) for kind in retention.RULES]
COMPLETE, FAILED, SPOILED = BuildState.COMPLETE, BuildState.FAILED, BuildState.CANCELED


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database."""
    database = Database(database_url)
    yield database
    database.dispose()


def quiet(kind: Kind, number: int) -> None:
    """Nobody looks."""


def clean(database: Database, steps: list[Step], batch: int = 7) -> list[str]:
    return retention.carry_out(database, ALICE, "Cleanup", steps, batch=batch, progress=quiet)


def empty(database: Database) -> None:
    with database.begin() as session:
        for table in (Collection, BasePackage, Dependency, OutboxEvent, LogEntry):
            session.execute(delete(table))


def count(session: Session, table: type[Base]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


# What pages and services read


def random_history(world: World, seed: int) -> None:
    """Packages with builds, answers and states of all ages, in no particular order."""
    dice = random.Random(seed)
    collection = world.collection()
    for name in ("ant", "bee", "cat"):
        package = world.package(name, collection, resolved=dice.choice([True, False, None]))
        made: list[Build] = []
        for number in range(dice.randrange(14)):
            hours = dice.uniform(1, OLD)
            state = dice.choice([COMPLETE, COMPLETE, FAILED, FAILED, SPOILED])
            real = state is not SPOILED and dice.random() < 0.3
            known = dice.choice([True, True, False, None])
            before, after = f"1-{dice.randrange(9)}", f"2-{dice.randrange(9)}"
            changed = [("glibc", before, after, 1)] if dice.random() < 0.6 else []
            build = world.build(
                package,
                state,
                hours,
                f"1.{dice.randrange(4)}-{number}",
                changes=changed,
                real=real,
                untagged=real and dice.random() < 0.3,
                deps_resolved=known if state.counted else None,
            )
            if build.deps_resolved:
                ids = [world.dependency(lib, f"{dice.randrange(9)}-1") for lib in ("glibc", "gcc", "bash")]
                store_dependencies(world.session, build.id, ids)
            made.append(build)
        if dice.random() < 0.3:
            made.append(world.build(package, BuildState.RUNNING, dice.uniform(0.1, 1)))
        for _ in range(dice.randrange(6)):
            prev, new = dice.sample([PackageState.OK, PackageState.FAILING, PackageState.UNRESOLVED], 2)
            world.moved(package, prev, new, dice.uniform(1, OLD), build=dice.choice([None, *made]))
        for _ in range(dice.randrange(6)):
            world.resolution(package, dice.uniform(1, OLD), *(["nothing provides x"] * dice.randrange(2)))


def answers(session: Session) -> list[Any]:
    """All that is said of the present, and of what is kept for its age."""
    result: list[Any] = []
    collections = list(session.scalars(select(Collection)))
    for package in session.scalars(select(Package).order_by(Package.name)):
        result.append([getattr(package, column.name) for column in Package.__table__.columns])
        named = [package.last_build_id, package.last_complete_build_id]
        moves = pages.state_changes(session, package.id, 1)
        named += [move.build_id for move in moves]
        recent = select(Build.id).where(Build.package_id == package.id, Build.started >= LIMIT).order_by(Build.id)
        for build_id in [*(i for i in named if i is not None), *session.scalars(recent)]:
            detail = builds.build_detail(session, build_id)
            assert detail is not None
            shown = changes.of_builds(session, [build_id], 10)[build_id]
            result.append([build_id, detail.previous and detail.previous.id, shown])
        last = package.last_complete_build_id and session.get(Build, package.last_complete_build_id)
        if last:
            broke = builds.broke_at(session, package.id, last)
            result.append([broke.good and broke.good.id, broke.bad and broke.bad.id])
        result.append([(move.id, move.build_id) for move in moves])
        result.append([pages.resolutions(session, package.id, None, 1), pages.last_resolvable(session, package.id)])
        result.append(_comparison_sets(session, [package]))
        kept = [build for build in pages.history(session, package.id, None, 100).builds if build.started >= LIMIT]
        result.append([build.id for build in kept])
        result.append(load_dependencies(session, [build.id for build in kept]))
        resolved = select(func.max(Build.started)).where(
            Build.package_id == package.id, Build.deps_resolved, Build.state.in_([COMPLETE, FAILED])
        )
        result.append(session.scalar(resolved))  # what the next build will be compared with
    result += [
        (m.name, m.state, m.since, m.reason, m.build_id) for m in overview.newly_broken(session, collections, 50)
    ]
    return result


def settled(database: Database) -> bool:
    """Whether deriving from builds what follows from them changes nothing."""
    with database.begin() as session:
        query = text("SELECT to_jsonb(p) FROM package AS p ORDER BY id")
        before = session.scalars(query).all()
        derive(session, [row["id"] for row in before])
        return before == session.scalars(query).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 10**9), batch=st.integers(1, 20))
def test_no_present_answer_changes_whatever_the_history_was(database: Database, seed: int, batch: int) -> None:
    empty(database)
    with filling(database) as world:
        random_history(world, seed)
    with database.begin() as session:
        before = answers(session)
    expected = retention.count(database, EVERYTHING[:4], batch=batch)
    seen = dict.fromkeys(expected, 0)

    def heard(kind: Kind, number: int) -> None:
        assert number <= batch
        seen[kind] += number

    retention.carry_out(database, ALICE, "Cleanup", EVERYTHING[:4], batch=batch, progress=heard)
    assert seen[Kind.BUILDS] == expected[Kind.BUILDS]
    assert seen[Kind.RESOLUTIONS] == expected[Kind.RESOLUTIONS]
    assert settled(database)
    with database.begin() as session:
        assert answers(session) == before
    assert retention.count(database, EVERYTHING[:2], batch=batch)[Kind.RESOLUTIONS] == 0


@settings(max_examples=10)
@given(seed=st.integers(0, 10**9), survive=st.integers(0, 6))
def test_a_run_that_is_interrupted_leaves_whole_batches_and_another_one_finishes(
    database: Database, seed: int, survive: int
) -> None:
    steps = [Step(Kind.BUILDS, LIMIT), Step(Kind.RESOLUTIONS, LIMIT)]
    empty(database)
    with filling(database) as world:
        random_history(world, seed)
    with database.begin() as session:
        before = answers(session)
    expected, done = retention.count(database, steps, batch=2), dict.fromkeys(Kind, 0)
    calls = 0

    def heard(kind: Kind, number: int) -> None:
        nonlocal calls
        done[kind] += number
        calls += 1
        if calls > survive:
            raise KeyboardInterrupt

    try:
        retention.carry_out(database, ALICE, "Cleanup", steps, batch=2, progress=heard)
    except KeyboardInterrupt:
        with database.begin() as session:
            assert answers(session) == before
            log = session.scalars(select(LogEntry.message)).all()
        assert any("deleting" in message for message in log) == (sum(done.values()) > 0)
        assert [message for message in log if "Deleted" in message] or not sum(done.values())
    assert settled(database)
    rest = retention.count(database, steps, batch=100)
    assert {kind: rest[kind] + done[kind] for kind in expected} == expected
    clean(database, steps)
    assert retention.count(database, steps, batch=100) == {Kind.BUILDS: 0, Kind.RESOLUTIONS: 0}
    with database.begin() as session:
        assert answers(session) == before


# What goes


def old_builds(world: World, number: int) -> Package:
    """A package with that many old builds of no interest, between an old good and a new good one."""
    package = world.package("foo", world.collection())
    for i in range(number):
        build = world.build(package, COMPLETE, OLD - i, "1-1", tasks={"x86_64": 2}, changes=[("a", "1-1", "2-1", 1)])
        store_dependencies(world.session, build.id, [world.dependency("a", "2-1")])
    world.build(package, COMPLETE, 5)
    return package


def test_old_builds_go_with_all_that_belongs_to_them(database: Database) -> None:
    with filling(database) as world:
        old_builds(world, 50)
    assert clean(database, retention.cleanup_steps(6, NOW)) == ["Cleanup: Deleted 49 builds"]
    with database.begin() as session:
        assert count(session, Build) == 2  # the last one, and the one it is compared with
        assert count(session, AppliedChange) == 1
        log = session.scalars(select(LogEntry.message).order_by(LogEntry.id)).all()
    assert log == ["Cleanup: deleting builds older than 2025-11-14", "Cleanup: Deleted 49 builds"]
    assert clean(database, retention.cleanup_steps(6, NOW)) == []


def test_each_batch_is_a_transaction_of_its_own(database: Database) -> None:
    with filling(database) as world:
        old_builds(world, 50)
    commits: list[int] = []
    event.listen(database.engine, "commit", lambda connection: commits.append(1))
    sizes: list[int] = []
    steps = [Step(Kind.BUILDS, LIMIT)]
    retention.carry_out(database, ALICE, "x", steps, batch=10, progress=lambda _, number: sizes.append(number))
    assert sum(sizes) == 49
    assert max(sizes) <= 10
    assert len(commits) == len(sizes) + 1  # and the audit log


def test_two_runs_at_once_do_each_others_work_and_no_harm(database: Database) -> None:
    with filling(database) as world:
        old_builds(world, 30)
        package = world.package("bar", world.session.scalars(select(Collection)).one())
        for i in range(30):
            world.resolution(package, OLD - i)
    steps = retention.cleanup_steps(6, NOW)
    inside = False

    def another(kind: Kind, number: int) -> None:
        nonlocal inside
        if not inside:
            inside = True
            clean(database, steps)

    retention.carry_out(database, ALICE, "Cleanup", steps, batch=5, progress=another)
    with database.begin() as session:
        assert count(session, Build) == 2
        assert count(session, ResolutionChange) == 1


def test_a_run_waits_for_a_service_that_changes_the_package_and_believes_what_it_left(database: Database) -> None:
    """An old build is tagged again while the run waits for the lock: it is the newest real one, and stays."""
    with filling(database) as world:
        package = world.package("foo", world.collection())
        kept = [world.build(package, COMPLETE, OLD), world.build(package, COMPLETE, 5)]
        again = world.build(package, COMPLETE, OLD + 1, "9-1", real=True, untagged=True)
        number, numbers = package.id, {build.id for build in (*kept, again)}
    other = Thread(target=clean, args=(database, retention.cleanup_steps(6, NOW)))
    with database.begin() as session:
        lock_packages(session, [number])
        other.start()
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        wait_until(lambda: session.scalar(waiting), message="the run to wait")
        session.get_one(Build, again.id).untagged = False
    other.join(60)
    assert not other.is_alive()
    with database.begin() as session:
        assert set(session.scalars(select(Build.id))) == numbers


def test_the_newest_real_build_stays_because_polling_would_register_it_again(database: Database) -> None:
    with filling(database) as world:
        package = world.package("foo", world.collection())
        real = world.build(package, COMPLETE, OLD, "2-1", real=True)
        for i in range(5):
            world.build(package, COMPLETE, OLD - 1 - i, "2-1")
        world.build(package, COMPLETE, 5, "2-1")
        number = real.id
    clean(database, retention.cleanup_steps(6, NOW))
    with database.begin() as session:
        assert session.get(Build, number) is not None


def test_states_repositories_events_and_the_audit_log_go_too(database: Database) -> None:
    states = [CollectionState.OK, CollectionState.UNRESOLVED]
    with filling(database) as world:
        collection = world.collection(repo_id=2)
        package = world.package("foo", collection)
        for i in range(6):
            world.moved(package, PackageState.OK, PackageState.FAILING, OLD - i)
            world.moved(package, PackageState.FAILING, PackageState.OK, OLD - i - 0.5)
            world.repository(collection, i, OLD - i, 5)
            change = CollectionStateChange(collection_id=collection.id, prev=states[i % 2], new=states[1 - i % 2])
            change.timestamp = ago(OLD - i)
            world.session.add(change)
            for sent in (ago(OLD - i), None):
                old = OutboxEvent(kind="k", body={}, created=ago(OLD), sent=sent, attempts=1)
                world.session.add(old)
        world.session.flush()
        world.session.add(OutboxEvent(kind="k", body={}, created=ago(OLD), sent=ago(1), attempts=1))
        world.session.flush()
        world.session.add(OutboxEvent(kind="k", body={}, created=ago(OLD), attempts=3))  # waits for the broker
        world.session.add(LogEntry(environment=Environment.BACKEND, message="old", timestamp=ago(OLD)))
        world.session.add(LogEntry(environment=Environment.BACKEND, message="new", timestamp=ago(1)))
    found = retention.count(database, EVERYTHING, batch=100)
    assert found == {
        Kind.BUILDS: 0,
        Kind.RESOLUTIONS: 0,
        Kind.STATES: 10,
        Kind.COLLECTION_STATES: 5,
        Kind.REPOSITORIES: 4,
        Kind.UNSENDABLE: 6,
        Kind.SENT: 6,
        Kind.AUDIT: 1,
    }
    clean(database, EVERYTHING)
    assert set(retention.count(database, EVERYTHING, batch=100).values()) == {0}
    with database.begin() as session:
        assert sorted(session.scalars(select(RepositoryResolution.repo_id))) == [2, 5]
        assert count(session, OutboxEvent) == 2
        assert count(session, PackageStateChange) == 2
        assert "old" not in session.scalars(select(LogEntry.message)).all()


def test_the_policy_decides_what_goes_and_zero_keeps_for_ever() -> None:
    nothing = dict.fromkeys(RetentionConfig.model_fields, 0) | {"batch": 5}
    assert retention.policy_steps(RetentionConfig(**nothing), NOW) == []
    steps = {step.kind: step.before for step in retention.policy_steps(RetentionConfig(), NOW)}
    assert steps[Kind.BUILDS] == NOW.replace(year=2025)
    assert steps[Kind.SENT] == NOW - timedelta(days=30)
    assert Kind.AUDIT not in steps
    order = list(steps)
    assert order.index(Kind.STATES) < order.index(Kind.BUILDS)
    assert order.index(Kind.UNSENDABLE) < order.index(Kind.SENT)


@pytest.mark.parametrize("months", [1, 0, -3, 10**6])
def test_less_than_two_months_and_more_than_a_calendar_are_refused(months: int) -> None:
    with pytest.raises(InvalidInputError, match=r"^Minimal allowed value is 2 months$|fewer months"):
        retention.cleanup_steps(months, NOW)


@pytest.mark.parametrize(
    ("now", "months", "before"),
    [((2026, 5, 31), 3, (2026, 2, 28)), ((2026, 1, 15), 2, (2025, 11, 15)), ((2026, 12, 1), 24, (2024, 12, 1))],
)
def test_months_are_those_of_the_calendar(now: tuple[int, int, int], months: int, before: tuple[int, int, int]) -> None:
    assert retention.months_before(datetime(*now, 7, tzinfo=UTC), months) == datetime(*before, 7, tzinfo=UTC)
