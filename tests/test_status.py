"""The pulse of the services, and the operator's report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, event, select
from sqlalchemy.orm import Session

from koschei import status
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import (
    AdminNotice,
    BasePackage,
    Build,
    Collection,
    OutboxEvent,
    Package,
    RepositoryResolution,
    ServiceStatus,
)
from koschei.rules.states import BuildState, CollectionState, PackageState
from koschei.status import SERVICES, Health, ServiceReport

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CONFIG = Config()


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    database = Database(database_url)
    with database.begin() as session:
        yield session
    database.dispose()


def after(**delta: float) -> datetime:
    return NOW + timedelta(**delta)


def row(session: Session) -> ServiceStatus:
    return session.scalars(select(ServiceStatus).execution_options(populate_existing=True)).one()


def service(session: Session, now: datetime, name: str = "polling") -> ServiceReport:
    found = {item.service: item for item in status.report(session, CONFIG, now).services}
    session.expire_all()
    return found[name]


def run(session: Session, start: datetime, end: datetime, error: str | None = None) -> None:
    status.pass_started(session, "polling", "pod-1", 60, start)
    if error is None:
        status.pass_finished(session, "polling", end, {"packages": 7})
    else:
        status.pass_failed(session, "polling", end, error)


def test_services_that_never_reported_are_named(session: Session) -> None:
    report = status.report(session, CONFIG, NOW)
    assert [item.service for item in report.services] == list(SERVICES)
    assert {item.health for item in report.services} == {Health.NEVER_SEEN}
    assert not report.well


def test_a_service_that_finishes_its_passes_is_well(session: Session) -> None:
    status.started(session, "polling", "pod-1", 60, NOW)
    run(session, NOW, after(seconds=5))
    found = service(session, after(seconds=30))
    assert (found.health, found.last_success, found.detail) == (Health.OK, after(seconds=5), {"packages": 7})
    assert found.instance == "pod-1"


def test_an_error_is_counted_dated_from_the_first_and_over_with_a_success(session: Session) -> None:
    run(session, NOW, after(seconds=1))
    run(session, after(minutes=1), after(minutes=1, seconds=1), "Koji is away")
    run(session, after(minutes=2), after(minutes=2, seconds=1), "Koji is still away")
    found = service(session, after(minutes=3))
    assert (found.health, found.error, found.failures) == (Health.FAILING, "Koji is still away", 2)
    assert (found.error_since, found.last_success) == (after(minutes=1, seconds=1), after(seconds=1))
    run(session, after(minutes=3), after(minutes=3, seconds=1))
    found = service(session, after(minutes=4))
    assert (found.health, found.error, found.error_since, found.failures) == (Health.OK, None, None, 0)


def test_a_restart_does_not_hide_that_passes_fail(session: Session) -> None:
    run(session, NOW, after(seconds=1), "broken")
    status.started(session, "polling", "pod-2", 60, after(seconds=10))
    found = service(session, after(seconds=11))
    assert (found.health, found.instance, found.error_since) == (Health.FAILING, "pod-2", after(seconds=1))


def test_a_silent_service_lags_after_three_intervals_and_a_minute(session: Session) -> None:
    run(session, NOW, NOW)
    assert service(session, after(minutes=4)).health is Health.OK
    assert service(session, after(minutes=4, seconds=1)).health is Health.LAGGING


def test_a_pass_that_is_under_way_may_take_an_hour(session: Session) -> None:
    run(session, NOW, NOW)
    status.pass_started(session, "polling", "pod-1", 60, after(minutes=1))
    assert service(session, after(minutes=60)).health is Health.OK
    assert service(session, after(minutes=65)).health is Health.LAGGING


def test_a_service_whose_row_was_lost_gets_one_again(session: Session) -> None:
    run(session, NOW, NOW)
    session.execute(delete(ServiceStatus))
    run(session, after(minutes=1), after(minutes=2))
    assert row(session).last_success == after(minutes=2)


def test_an_endless_error_is_cut(session: Session) -> None:
    run(session, NOW, NOW, "x\0" * 5000)
    assert row(session).error == "x" * 1000


def fill(session: Session) -> None:
    """A collection with a package in most states, two of them being built."""
    collection = Collection(
        name="f43",
        display_name="Fedora 43",
        target="f43",
        dest_tag="f43",
        build_tag="f43-build",
        latest_repo_id=9,
        latest_repo_resolved=True,
    )
    session.add(collection)
    session.flush()
    packages = [
        {"name": "ok", "tracked": True, "resolved": True, "needs_resolution": False, "static_priority": 5000},
        {"name": "broken", "tracked": True, "resolved": False, "needs_resolution": False},
        {"name": "new", "tracked": True},
        {"name": "other"},
        {"name": "gone", "tracked": True, "blocked": True},
        {"name": "unasked", "tracked": True, "skip_resolution": True},
    ]
    made = {}
    for values in packages:
        made[values["name"]] = Package(base=BasePackage(name=values["name"]), collection_id=collection.id, **values)
    session.add_all(made.values())
    session.flush()
    for number, name in enumerate(("broken", "new")):
        build = Build(
            package_id=made[name].id,
            task_id=None if number else 77,
            started=after(minutes=-10 + number),
            version="1",
            release="1",
            evr_key=b"",
            submission={},
        )
        session.add(build)
        session.flush()
        made[name].running_build_id = build.id
    done = Build(
        package_id=made["ok"].id,
        real=True,
        state=BuildState.COMPLETE,
        started=after(days=-1),
        finished=NOW,
        version="1",
        release="1",
        evr_key=b"",
    )
    session.add(done)
    session.flush()
    ok = made["ok"]
    ok.last_build_id = ok.last_complete_build_id = done.id
    ok.last_complete_build_state, ok.last_build_started = BuildState.COMPLETE, done.started
    session.add(
        RepositoryResolution(
            collection_id=collection.id,
            repo_id=9,
            base_resolved=True,
            started=after(minutes=-30),
            finished=after(minutes=-28),
        )
    )
    session.add(OutboxEvent(kind="package.state.change", body={}, created=after(minutes=-3)))
    session.add(AdminNotice(key="global_notice", content="Hello"))
    session.flush()
    session.expire_all()


def test_the_report_has_collections_builds_queue_and_events(session: Session) -> None:
    fill(session)
    report = status.report(session, CONFIG, NOW)
    (collection,) = report.collections
    assert (collection.name, collection.state, collection.repo_id) == ("f43", CollectionState.OK, 9)
    assert collection.resolution_finished == after(minutes=-28)
    assert collection.resolution_took == timedelta(minutes=2)
    assert collection.packages == {
        PackageState.BLOCKED: 1,
        PackageState.UNTRACKED: 1,
        PackageState.UNRESOLVED: 1,
        PackageState.OK: 1,
        PackageState.UNKNOWN: 2,
    }
    assert collection.needing_resolution == 1
    assert [(build.package, build.task_id, build.age) for build in report.running] == [
        ("broken", 77, timedelta(minutes=10)),
        ("new", None, timedelta(minutes=9)),
    ]
    assert (report.queue, report.max_builds, report.notice) == (1, 30, "Hello")
    assert (report.outbox, report.outbox_oldest) == (1, after(minutes=-3))


def test_the_report_takes_as_many_queries_for_many_collections_as_for_one(session: Session) -> None:
    def queries() -> int:
        seen: list[str] = []

        def count(conn: object, cursor: object, statement: str, *rest: object) -> None:
            seen.append(statement)

        event.listen(session.connection(), "before_cursor_execute", count)
        session.expire_all()
        status.report(session, CONFIG, NOW)
        event.remove(session.connection(), "before_cursor_execute", count)
        return len(seen)

    fill(session)
    before = queries()
    for name in "abcdef":
        session.add(Collection(name=name, display_name=name, target=name, dest_tag=name, build_tag=name))
    session.flush()
    assert queries() == before
