"""The rules in SQL and in Python are the same rules: random packages, asked in one query and one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

from koschei.db.engine import Database
from koschei.model import BasePackage, Build, Collection, Package
from koschei.model import conditions as sql
from koschei.rules.priority import Priority, Weights, time_priority
from koschei.rules.schedulability import SchedulingFacts, schedulable
from koschei.rules.states import BuildState, SkipReason, package_state

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LIMIT = 2
PRIORITIES = st.integers(-5000, 5000)
# Around the edges of "today", of the time curve and of now, and anywhere.
MOMENTS = st.one_of(
    st.sampled_from([timedelta(0), timedelta(hours=24), timedelta(hours=6), timedelta(hours=168), timedelta(-1)]).map(
        lambda age: NOW - age
    ),
    st.sampled_from([timedelta(hours=24, microseconds=d) for d in (-1, 1)]).map(lambda age: NOW - age),
    st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)


@dataclass(frozen=True)
class Row:
    """A package, and what it needs of its collection and its builds."""

    tracked: bool
    blocked: bool
    resolved: bool | None
    skip_resolution: bool
    static: int
    manual: int
    build: int
    dependency: int
    last_complete: BuildState | None
    last_started: datetime | None
    retry_after: datetime | None
    skip_reason: SkipReason | None
    running: bool
    builds: tuple[tuple[bool, BuildState, datetime], ...]
    coefficient: float
    base_resolved: bool | None


@st.composite
def rows(draw: st.DrawFn) -> Row:
    skip = draw(st.booleans())
    return Row(
        tracked=draw(st.integers(0, 3)) > 0,
        blocked=draw(st.integers(0, 3)) == 0,
        resolved=None if skip else draw(st.sampled_from([None, False, True, True])),
        skip_resolution=skip,
        static=draw(PRIORITIES),
        manual=draw(PRIORITIES),
        build=draw(PRIORITIES),
        dependency=draw(PRIORITIES),
        last_complete=draw(st.sampled_from([None, BuildState.COMPLETE, BuildState.FAILED])),
        last_started=draw(st.none() | MOMENTS),
        retry_after=draw(st.none() | MOMENTS),
        skip_reason=draw(st.sampled_from([None, None, *SkipReason])),
        running=draw(st.integers(0, 3)) == 0,
        builds=tuple(
            draw(
                st.lists(
                    st.tuples(st.booleans(), st.sampled_from([BuildState.COMPLETE, BuildState.FAILED]), MOMENTS),
                    max_size=4,
                )
            )
        ),
        coefficient=draw(st.sampled_from([0.0, 0.2, 1.0, 2.5])),
        base_resolved=draw(st.sampled_from([None, False, True, True])),
    )


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


def store(database: Database, made: list[Row]) -> None:
    """Insert everything in a few statements; ids are positions, counted from 1."""
    collections, packages, builds = [], [], []
    tasks = iter(range(1, 10**6))
    for number, row in enumerate(made, 1):
        name = f"p{number}"
        collections.append(
            {"id": number, "name": name, "display_name": name, "target": "t", "dest_tag": "t", "build_tag": "t",
             "priority_coefficient": row.coefficient, "latest_repo_resolved": row.base_resolved,
             "latest_repo_id": None if row.base_resolved is None else 1}
        )  # fmt: skip
        common = {"package_id": number, "version": "1", "release": "1", "evr_key": b"", "finished": NOW, "repo_id": 1}
        first = len(builds) + 1
        stored = [*row.builds] or [(True, BuildState.COMPLETE, NOW - timedelta(days=99))]
        for real, state, started in stored:
            builds.append({**common, "id": len(builds) + 1, "real": real, "state": state, "started": started,
                           "task_id": next(tasks)})  # fmt: skip
        has = row.last_started is not None
        packages.append(
            {"id": number, "base_id": number, "name": name, "collection_id": number, "tracked": row.tracked,
             "blocked": row.blocked, "resolved": row.resolved, "skip_resolution": row.skip_resolution,
             "static_priority": row.static, "manual_priority": row.manual, "build_priority": row.build,
             "dependency_priority": row.dependency, "last_complete_build_state": row.last_complete,
             "last_build_started": row.last_started, "last_build_id": first if has else None,
             "running_build_id": first if row.running else None, "retry_after": row.retry_after,
             "scheduler_skip_reason": row.skip_reason}
        )  # fmt: skip
    with database.begin() as session:
        session.execute(text("TRUNCATE collection, base_package, package, build CASCADE"))
        session.execute(text("SET LOCAL session_replication_role = replica"))  # packages and builds name each other
        session.execute(insert(Collection), collections)
        session.execute(insert(BasePackage), [{"id": p["id"], "name": p["name"]} for p in packages])
        session.execute(insert(Package), packages)
        session.execute(insert(Build), builds)


def facts(row: Row) -> SchedulingFacts:
    today = sum(1 for real, _, started in row.builds if not real and started > NOW - timedelta(hours=24))
    return SchedulingFacts(
        tracked=row.tracked,
        blocked=row.blocked,
        resolved=row.resolved,
        skip_resolution=row.skip_resolution,
        has_running_build=row.running,
        has_known_build=row.last_started is not None,
        has_verdict=row.last_complete is not None,
        skip_reason=row.skip_reason,
        collection="f43",
        base_resolved=row.base_resolved,
        builds_today=today,
        builds_per_day_limit=LIMIT,
        retry_after=row.retry_after,
        now=NOW,
    )


def priority(row: Row, weights: Weights) -> float | None:
    if row.last_started is None:
        return None
    hours = (NOW - row.last_started) / timedelta(hours=1)
    elapsed = time_priority(hours, weights)
    return Priority(row.manual, row.static, row.dependency, row.build, elapsed, row.coefficient).total


@given(
    made=st.lists(rows(), min_size=1, max_size=60), t0=st.sampled_from([0.5, 6.0]), t1=st.sampled_from([30.0, 168.0])
)
@settings(max_examples=25)
def test_sql_and_python_say_the_same_of_any_package(database: Database, made: list[Row], t0: float, t1: float) -> None:
    weights = Weights(t0=t0, t1=t1)
    store(database, made)
    query = (
        select(
            Package.state,
            sql.priority(weights, NOW),
            sql.schedulable(NOW, LIMIT),
            sql.builds_today(NOW),
            sql.hours_since_last_build(NOW),
            sql.waiting(NOW),
        )
        .join(Collection, Collection.id == Package.collection_id)
        .order_by(Package.id)
    )
    with database.begin() as session:
        answers = session.execute(query).all()
    assert len(answers) == len(made)
    for row, (state, total, may, today, hours, waiting) in zip(made, answers, strict=True):
        expected = package_state(
            blocked=row.blocked, tracked=row.tracked, resolved=row.resolved, last_complete=row.last_complete
        )
        assert state is expected
        known = facts(row)
        assert today == known.builds_today
        assert may is schedulable(known)
        assert waiting is (row.retry_after is not None and row.retry_after > NOW)
        wanted = priority(row, weights)
        if wanted is None:
            assert total is None
            assert hours is None
        else:
            assert total == pytest.approx(wanted, rel=1e-9, abs=1e-6)


def test_at_the_edges_of_the_time_curve_both_are_exact(database: Database) -> None:
    weights = Weights()
    plain = {"tracked": True, "blocked": False, "resolved": True, "skip_resolution": False, "static": 0, "manual": 0,
             "build": 0, "dependency": 0, "last_complete": None, "retry_after": None, "skip_reason": None,
             "running": False, "builds": (), "coefficient": 1.0, "base_resolved": True}  # fmt: skip
    ages = [timedelta(hours=6), timedelta(hours=168), timedelta(0), timedelta(hours=-5), timedelta(days=4000)]
    made = [Row(last_started=NOW - age, **plain) for age in ages]  # type: ignore[arg-type]
    store(database, made)
    query = select(sql.priority(weights, NOW)).select_from(Package).join(Package.collection).order_by(Package.id)
    with database.begin() as session:
        found = list(session.scalars(query))
    assert found[:4] == [0.0, 256.0, -30.0, -30.0]
    assert found == [priority(row, weights) for row in made]
