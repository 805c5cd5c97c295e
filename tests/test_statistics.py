"""Counting: each build once, whatever comes between; days as they ended; and nothing lost when builds are deleted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, event, func, select, text, update
from sqlalchemy.orm import Session

from koschei import branching, statistics
from koschei.audit import Actor
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import (
    Build,
    Collection,
    Environment,
    Package,
    RepositoryResolution,
    ResourceConsumption,
    StatisticsBuilds,
    StatisticsDay,
    StatisticsRefresh,
    StatisticsTasks,
    UncountedBuild,
)
from koschei.rules.states import BuildState, PackageState
from tests.world import NOW, World, ago, filling

COMPLETE, FAILED, RUNNING = BuildState.COMPLETE, BuildState.FAILED, BuildState.RUNNING
SPOILED, CANCELED = BuildState.SPOILED, BuildState.CANCELED
OK, FAILING, UNKNOWN = PackageState.OK, PackageState.FAILING, PackageState.UNKNOWN
TODAY = NOW.date()
DAY = timedelta(days=1)
ALICE = Actor(Environment.ADMIN, "alice")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


def refresh(database: Database, now: datetime = NOW) -> statistics.Refreshed:
    return statistics.refresh(database, Config(), now)


def counted(session: Session) -> Counter[tuple[str, BuildState, bool, int]]:
    """The builds that are counted: collection, how they ended, whether they were real, how many days ago."""
    query = select(Collection.name, StatisticsBuilds).join(Collection, Collection.id == StatisticsBuilds.collection_id)
    return Counter(
        {(name, row.state, row.real, (TODAY - row.day).days): row.builds for name, row in session.execute(query)}
    )


def day(session: Session, collection: str, ago_days: int = 0) -> StatisticsDay | None:
    query = select(StatisticsDay).join(Collection, Collection.id == StatisticsDay.collection_id)
    return session.scalars(
        query.where(Collection.name == collection, StatisticsDay.day == TODAY - ago_days * DAY)
    ).one_or_none()


def end(session: Session, build: Build, state: BuildState, hours: float) -> None:
    session.execute(
        update(Build).where(Build.id == build.id).values(state=state, finished=ago(hours), repo_id=6_700_000)
    )


def test_a_build_is_counted_once_under_the_day_it_ended_on_and_as_it_ended(database: Database) -> None:
    with filling(database) as world:
        f44 = world.collection("f44")
        foo = world.package("foo", f44)
        world.build(foo, COMPLETE, 60, real=True)
        world.build(foo, COMPLETE, 2, minutes=30)
        world.build(foo, FAILED, 1)
        running = world.build(foo, RUNNING, 0.5)
        world.build(world.package("bar", world.collection("f43")), SPOILED, 30, minutes=24 * 60)
    assert refresh(database).builds == 4
    expected = Counter(
        {
            ("f44", COMPLETE, True, 2): 1,
            ("f44", COMPLETE, False, 0): 1,
            ("f44", FAILED, False, 0): 1,
            ("f43", SPOILED, False, 0): 1,
        }
    )
    assert refresh(database).builds == 0
    with database.begin() as session:
        assert counted(session) == expected
        scratch = session.get_one(StatisticsBuilds, (f44.id, TODAY, False, COMPLETE))
        assert scratch.seconds == 1800
        end(session, running, FAILED, 0.1)
    assert refresh(database).builds == 1
    assert refresh(database).builds == 0
    expected["f44", FAILED, False, 0] += 1
    with database.begin() as session:
        assert counted(session) == expected
        assert session.scalars(select(UncountedBuild)).all() == []


def test_what_is_found_out_later_changes_nothing(database: Database) -> None:
    with filling(database) as world:
        foo = world.package("foo", world.collection("f44"))
        world.build(foo, COMPLETE, 30, real=True)
        world.build(foo, FAILED, 20, tasks={"x86_64": 5})
        gone = world.build(foo, RUNNING, 1)
    refresh(database)
    with database.begin() as session:
        before = counted(session)
        session.execute(update(Build).where(Build.real).values(untagged=True))
        session.execute(delete(Build).where(Build.id == gone.id))
    refresh(database)
    with database.begin() as session:
        session.execute(delete(Build))
    refresh(database)
    with database.begin() as session:
        assert counted(session) == before
        assert session.scalars(select(StatisticsTasks.tasks)).all() == [1]
        assert session.scalars(select(UncountedBuild)).all() == []


def test_a_branch_is_not_counted_for_what_was_built_before_it(database: Database) -> None:
    with filling(database) as world:
        foo = world.package("foo", world.collection("f44"))
        original = world.build(foo, COMPLETE, 30)
        copy = world.package("foo", world.collection("f43"))
        world.build(copy, COMPLETE, 30, copied_from=original.id, task_id=original.task_id)
        bar = world.package("bar", world.session.get_one(Collection, copy.collection_id))
        world.build(bar, RUNNING, 1, copied_from=original.id + 99)
    refresh(database)
    with database.begin() as session:
        assert {key[0] for key in counted(session)} == {"f44"}
        assert session.scalars(select(UncountedBuild)).all() == []


def test_a_build_whose_row_appears_late_is_not_passed_over(database: Database) -> None:
    with filling(database) as world:
        foo = world.package("foo", world.collection("f44"))
        bar = world.package("bar", world.session.get_one(Collection, foo.collection_id))
    with database.begin() as slow:
        late = World(slow)
        late.build(slow.get_one(Package, foo.id), COMPLETE, 3)
        with filling(database) as world:
            world.build(world.session.get_one(Package, bar.id), FAILED, 2)
        assert refresh(database).builds == 0
    assert refresh(database).builds == 2


def test_resources_are_summed_by_package_and_architecture(database: Database) -> None:
    with filling(database) as world:
        f44, f43 = world.collection("f44"), world.collection("f43")
        for collection in (f44, f43):
            world.build(world.package("foo", collection), COMPLETE, 3, tasks={"x86_64": 2, "s390x": 2}, minutes=10)
        world.build(world.package("bar", f44), SPOILED, 3, tasks={"x86_64": 5}, minutes=1)
        unfinished = world.build(world.package("baz", f44), CANCELED, 3, tasks={"x86_64": 0}, minutes=1)
        world.session.flush()
        world.session.execute(text("UPDATE koji_task SET finished = NULL WHERE build_id = :id"), {"id": unfinished.id})
    refresh(database)
    with database.begin() as session:
        rows = session.scalars(select(ResourceConsumption).order_by(ResourceConsumption.name, ResourceConsumption.arch))
        assert [(r.name, r.arch, r.tasks, r.seconds) for r in rows] == [
            ("bar", "x86_64", 1, 60),
            ("foo", "s390x", 2, 1200),
            ("foo", "x86_64", 2, 1200),
        ]
        assert session.get_one(StatisticsTasks, (f44.id, TODAY, "x86_64")).seconds == 660
        assert session.get_one(StatisticsRefresh, 1).task_seconds == 2460


def test_a_refresh_that_is_killed_counts_nothing_twice_and_loses_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "BATCH", 10)
    with filling(database) as world:
        f44 = world.collection("f44")
        for number in range(45):
            world.build(world.package(f"p{number:02}", f44), COMPLETE, 3, tasks={"x86_64": 2}, minutes=1)

    class KilledError(Exception):
        pass

    for survivors in range(1, 40, 3):
        left = survivors

        def kill(*_: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KilledError

        event.listen(database.engine, "before_cursor_execute", kill)
        try:
            refresh(database)
        except KilledError:
            pass
        finally:
            event.remove(database.engine, "before_cursor_execute", kill)
    refresh(database)
    with database.begin() as session:
        assert counted(session) == {("f44", COMPLETE, False, 0): 45}
        assert session.execute(select(func.sum(ResourceConsumption.tasks))).scalar_one() == 45
        assert session.get_one(StatisticsRefresh, 1).task_seconds == 45 * 60


def test_much_history_is_counted_in_portions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "BATCH", 10)
    monkeypatch.setattr(statistics, "BATCHES", 2)
    with filling(database) as world:
        foo = world.package("foo", world.collection("f44"))
        for hours in range(45):
            world.build(foo, COMPLETE, hours + 1)
    assert [refresh(database) for _ in range(3)] == [
        statistics.Refreshed(20, 0, behind=True),
        statistics.Refreshed(20, 0, behind=True),
        statistics.Refreshed(5, 0, behind=False),
    ]
    stopped = statistics.refresh(database, Config(), NOW, stopping=lambda: True)
    assert stopped == statistics.Refreshed(0, 0, behind=False)


@pytest.mark.parametrize("seed", range(4))
def test_any_history_is_counted_exactly(database: Database, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "BATCH", 7)
    chance = random.Random(seed)
    expected: Counter[tuple[str, BuildState, bool, int]] = Counter()
    running: list[Build] = []
    with filling(database) as world:
        collection = world.collection("f44")
        packages = [world.package(f"p{number}", collection).id for number in range(80)]
    free = list(packages)
    for _ in range(25):
        with filling(database) as world:
            for _ in range(chance.randint(0, 4)):
                hours = chance.uniform(1, 90)
                if free and chance.random() < 0.6:
                    package = world.session.get_one(Package, free.pop())
                    running.append(world.build(package, RUNNING, hours))
                else:
                    package = world.session.get_one(Package, chance.choice(packages))
                    world.build(package, COMPLETE, hours, real=True, minutes=0)
                    expected["f44", COMPLETE, True, (TODAY - ago(hours).date()).days] += 1
            for _ in range(chance.randint(0, 3)):
                if running:
                    build = running.pop(chance.randrange(len(running)))
                    if chance.random() < 0.2:
                        world.session.execute(delete(Build).where(Build.id == build.id))
                        continue
                    state = chance.choice((COMPLETE, FAILED, SPOILED, CANCELED))
                    hours = chance.uniform(0, 70)
                    end(world.session, build, state, hours)
                    expected["f44", state, False, (TODAY - ago(hours).date()).days] += 1
        if chance.random() < 0.4:
            refresh(database)
    refresh(database)
    with database.begin() as session:
        assert counted(session) == expected
        assert set(session.scalars(select(UncountedBuild.build_id))) == {build.id for build in running}


# --- Days


def test_today_is_how_packages_are_now(database: Database) -> None:
    with filling(database) as world:
        f44 = world.collection("f44")
        world.build(world.package("good", f44), COMPLETE, 50)
        world.build(world.package("bad", f44), FAILED, 50)
        world.package("sad", f44, resolved=False)
        world.package("new", f44)
        world.package("idle", f44, tracked=False)
        world.package("dead", f44, blocked=True)
        world.collection("empty")
    refresh(database)
    with database.begin() as session:
        row = day(session, "f44")
        assert row is not None
        assert (row.ok, row.failing, row.unresolved, row.unknown, row.untracked, row.blocked) == (1, 1, 1, 1, 1, 1)
        empty = day(session, "empty")
        assert empty is not None
        assert empty.ok == 0


def test_a_day_is_written_down_as_it_was_at_its_end_and_missing_days_are_made_up_for(database: Database) -> None:
    with filling(database) as world:
        f44 = world.collection("f44")
        foo = world.package("foo", f44)
        world.build(foo, COMPLETE, 24 * 9)
        world.moved(foo, UNKNOWN, OK, 24 * 9)
    refresh(database, NOW - 7 * DAY)
    with filling(database) as world:
        foo = world.session.get_one(Package, foo.id)
        # Late on the day on which statistics were last counted, it broke; some days later it was mended.
        bad = world.build(foo, FAILED, 24 * 7 - 3)
        world.moved(foo, OK, FAILING, 24 * 7 - 4, build=bad)
        good = world.build(foo, COMPLETE, 24 * 3)
        world.moved(foo, FAILING, OK, 24 * 3 - 1, build=good)
    refresh(database)
    with database.begin() as session:
        rows = [day(session, "f44", number) for number in range(10)]
        assert [row and (row.ok, row.failing) for row in rows] == [
            (1, 0),
            (1, 0),
            (1, 0),
            (1, 0),
            (0, 1),
            (0, 1),
            (0, 1),
            (0, 1),
            (1, 0),
            (1, 0),
        ]
        before = day(session, "f44", 10)
        assert before is not None
        assert (before.ok, before.unknown) == (0, 1)
        assert day(session, "f44", 11) is None


def test_days_that_nobody_counted_are_made_up_for_in_portions(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "DAYS_BACK", 3)
    with filling(database) as world:
        foo = world.package("foo", world.collection("f44"))
        world.build(foo, FAILED, 24 * 8)
        world.moved(foo, UNKNOWN, FAILING, 24 * 8)
    lengths = []
    for _ in range(4):
        refresh(database)
        with database.begin() as session:
            lengths.append(session.execute(select(func.count()).select_from(StatisticsDay)).scalar_one())
    assert lengths == [4, 7, 10, 10]


def test_packages_that_wait_are_sampled(database: Database) -> None:
    with filling(database) as world:
        f44 = world.collection("f44")
        for name in ("one", "two"):
            world.build(world.package(name, f44, manual_priority=500), COMPLETE, 50)
        world.build(world.package("content", f44), COMPLETE, 50)
    assert refresh(database).waiting == 2
    with database.begin() as session:
        session.execute(update(Package).values(manual_priority=0))
    assert refresh(database).waiting == 0
    with database.begin() as session:
        row = day(session, "f44")
        assert row is not None
        assert (row.queue_samples, row.queue_sum) == (2, 2)


def test_the_way_of_repositories_is_noted(database: Database) -> None:
    with filling(database) as world:
        f44 = world.collection("f44")
        world.repository(f44, 1, 3, 20, repo_created=ago(4))
        world.repository(f44, 2, 2, 10)
        world.repository(f44, 3, 1, None)
        world.repository(f44, 4, 1, 0, base_resolved=False)
    refresh(database)
    refresh(database)
    with database.begin() as session:
        row = day(session, "f44")
        assert row is not None
        assert (row.repositories, row.resolve_seconds) == (2, 1800)
        assert (row.dated_repositories, row.wait_seconds) == (1, 80 * 60)
        session.execute(delete(RepositoryResolution))
    refresh(database)
    with database.begin() as session:
        row = day(session, "f44")
        assert row is not None
        assert row.repositories == 2


def test_a_collection_takes_its_statistics_along_but_not_what_packages_cost(database: Database) -> None:
    with filling(database) as world:
        for name in ("f44", "f43"):
            world.build(world.package("foo", world.collection(name)), COMPLETE, 3, tasks={"x86_64": 2})
    refresh(database)
    branching.delete(database, ALICE, "f43", force=True)
    refresh(database)
    with database.begin() as session:
        for table in (StatisticsBuilds, StatisticsTasks, StatisticsDay):
            assert session.execute(select(func.count()).select_from(table)).scalar_one() == 1
        assert session.scalars(select(ResourceConsumption.tasks)).all() == [2]


def test_nothing_at_all_is_counted_as_nothing(database: Database) -> None:
    assert refresh(database) == statistics.Refreshed(0, 0, behind=False)
    with database.begin() as session:
        assert session.get_one(StatisticsRefresh, 1).refreshed == NOW
