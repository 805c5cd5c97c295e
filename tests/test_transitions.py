"""The one way to change packages: what it derives, records and tells, held against a plain recomputation."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from koschei.db.engine import Database
from koschei.db.notify import Listener
from koschei.model import BasePackage, Build, Cause, Collection, OutboxEvent, Package, PackageStateChange
from koschei.rules.states import BuildState, PackageState, message_state, package_state
from koschei.transitions import changing, lock_packages
from tests.support import wait_for_a_waiter

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DERIVED = (
    "last_build_id",
    "last_build_started",
    "last_complete_build_id",
    "last_complete_build_state",
    "running_build_id",
)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


@pytest.fixture
def ids(database: Database) -> list[int]:
    """Six packages without builds, tracked and resolved."""
    with database.begin() as session:
        collection = Collection(name="f43", display_name="Fedora 43", target="f43", dest_tag="f43", build_tag="f43-b")
        packages = [
            Package(base=BasePackage(name=name), name=name, collection=collection, tracked=True, resolved=True)
            for name in ("a", "b", "c", "d", "e", "f")
        ]
        session.add_all(packages)
        session.flush()
        return sorted(package.id for package in packages)


def build(package_id: int, state: BuildState, started: datetime, **values: object) -> Build:
    scratch = {"task_id": None, "repo_id": 1, "submission": {}} if not values.get("real") else {}
    fields = {
        "package_id": package_id,
        "state": state,
        "started": started,
        "finished": started if state.finished else None,
        "version": "1",
        "release": "1",
        "evr_key": b"",
        **scratch,
        **values,
    }
    if fields.get("task_id") is None and state.counted:
        fields["task_id"] = next(TASKS)
    return Build(**fields)


TASKS = iter(range(1, 10**9))


# --- A plain recomputation


@dataclass(frozen=True)
class Expected:
    last_build_id: int | None
    last_build_started: datetime | None
    last_complete_build_id: int | None
    last_complete_build_state: BuildState | None
    running_build_id: int | None


def recomputed(session: Session, package_id: int) -> Expected:
    builds = [b for b in session.scalars(select(Build).where(Build.package_id == package_id)) if not b.untagged]
    builds.sort(key=lambda b: (b.started, b.id), reverse=True)
    counted = [b for b in builds if b.state in (BuildState.RUNNING, BuildState.COMPLETE, BuildState.FAILED)]
    complete = [b for b in counted if b.state.counted]
    everything = session.scalars(select(Build).where(Build.package_id == package_id))
    running = [b for b in everything if b.state is BuildState.RUNNING]
    return Expected(
        counted[0].id if counted else None,
        counted[0].started if counted else None,
        complete[0].id if complete else None,
        complete[0].state if complete else None,
        running[0].id if running else None,
    )


def derived(session: Session, package_id: int) -> Expected:
    package = session.get_one(Package, package_id, populate_existing=True)
    return Expected(*(getattr(package, column) for column in DERIVED))


def a_change(session: Session, package: Package, chance: random.Random, now: datetime) -> None:
    """One of the things that services and people do."""
    running = session.scalar(select(Build.id).where(Build.package_id == package.id, Build.state == BuildState.RUNNING))
    known = list(session.scalars(select(Build.id).where(Build.package_id == package.id, Build.id != (running or 0))))
    match chance.randrange(9):
        case 0 if running is None:
            session.add(build(package.id, BuildState.RUNNING, now))
        case 0 | 1 if running is not None:
            state = chance.choice([s for s in BuildState if s.finished])
            values = {"state": state, "finished": now, "task_id": next(TASKS), "repo_id": 1}
            session.execute(update(Build).where(Build.id == running).values(**values))
        case 2:  # a real build that we hear of late
            verdict = chance.choice([BuildState.COMPLETE, BuildState.FAILED])
            session.add(
                build(package.id, verdict, now - timedelta(minutes=chance.choice([0, 0, 1, 2, 3, 90])), real=True)
            )
        case 3 if known:
            session.execute(update(Build).where(Build.id == chance.choice(known)).values(untagged=~Build.untagged))
        case 4:
            package.resolved = chance.choice([None, False, True])
        case 5:
            package.tracked = not package.tracked
        case 6:
            package.blocked = not package.blocked
        case 7 if known:
            session.execute(delete(Build).where(Build.id == chance.choice(known)))
        case _:
            package.needs_resolution = False


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_columns_history_and_events_agree_with_a_plain_recomputation(
    database: Database, ids: list[int], seed: int
) -> None:
    chance = random.Random(seed)
    states = {package_id: [PackageState.UNKNOWN] for package_id in ids}
    for step in range(40):
        now = NOW + timedelta(minutes=step)
        some = chance.sample(ids, chance.randint(1, 4))
        with database.begin() as session:
            before = {i: (derived(session, i), session.get_one(Package, i).needs_resolution) for i in some}
            with changing(session, some, chance.choice(list(Cause)), now=now) as packages:
                assert [package.id for package in packages] == sorted(some)
                for package in packages:
                    a_change(session, package, chance, now)
        with database.begin() as session:
            for package_id in ids:
                assert derived(session, package_id) == recomputed(session, package_id)
            for package_id in some:
                package = session.get_one(Package, package_id)
                old, _ = before[package_id]
                if old.last_complete_build_id != package.last_complete_build_id:
                    assert package.needs_resolution, "its answer rests on another source now"
                expected = package_state(
                    blocked=package.blocked,
                    tracked=package.tracked,
                    resolved=package.resolved,
                    last_complete=package.last_complete_build_state,
                )
                assert package.state is expected
                if states[package_id][-1] is not expected:
                    states[package_id].append(expected)
                    assert package.state_since == now
    with database.begin() as session:
        check_history(session, ids, states)


def check_history(session: Session, ids: list[int], states: dict[int, list[PackageState]]) -> None:
    """Each package went through `states`, and history and outbox say so without a gap."""
    for package_id in ids:
        chain = session.scalars(
            select(PackageStateChange)
            .where(PackageStateChange.package_id == package_id)
            .order_by(PackageStateChange.id)
        ).all()
        passed = states[package_id]
        assert [(change.prev, change.new) for change in chain] == list(pairwise(passed))
        assert [change.timestamp for change in chain] == sorted(change.timestamp for change in chain)
        visible = [
            (message_state(prev), message_state(new))
            for prev, new in pairwise(passed)
            if message_state(prev) != message_state(new)
        ]
        events = session.scalars(
            select(OutboxEvent).where(OutboxEvent.package_id == package_id).order_by(OutboxEvent.id)
        ).all()
        assert [(event.body["old"], event.body["new"]) for event in events] == visible


# --- One thing at a time


def versions(session: Session) -> list[tuple[str, ...]]:
    """Which transaction wrote each row of the tables that may be touched."""
    tables = ("package", "build", "package_state_change", "outbox_event")
    return [tuple(session.scalars(text(f"SELECT xmin || ':' || ctid FROM {table} ORDER BY ctid"))) for table in tables]


def test_nothing_is_written_when_nothing_changes(database: Database, ids: list[int]) -> None:
    with database.begin() as session, changing(session, ids, Cause.BUILD, now=NOW):
        session.add(build(ids[0], BuildState.COMPLETE, NOW))
        session.add(build(ids[1], BuildState.RUNNING, NOW))
    with database.begin() as session:
        before = versions(session)
    with database.begin() as session, changing(session, ids, Cause.BUILD, now=NOW):
        pass
    with database.begin() as session, changing(session, ids, Cause.RESOLUTION, now=NOW) as packages:
        packages[0].resolved = True
    with database.begin() as session, changing(session, [], Cause.BUILD, now=NOW) as packages:
        assert packages == []
    with database.begin() as session:
        assert versions(session) == before


def test_only_rows_that_differ_are_written(database: Database, ids: list[int]) -> None:
    with database.begin() as session:
        before = dict(session.execute(text("SELECT id, xmin::text FROM package")).all())
    with database.begin() as session, changing(session, ids, Cause.BUILD, now=NOW):
        session.add(build(ids[2], BuildState.FAILED, NOW))
    with database.begin() as session:
        after = dict(session.execute(text("SELECT id, xmin::text FROM package")).all())
    assert [i for i in ids if before[i] != after[i]] == [ids[2]]


@pytest.mark.parametrize("cause", list(Cause))
def test_a_change_is_stored_with_its_evidence(database: Database, ids: list[int], cause: Cause) -> None:
    with database.begin() as session, changing(session, ids[:1], cause, now=NOW, repo_id=77):
        session.add(build(ids[0], BuildState.FAILED, NOW))
    with database.begin() as session:
        change = session.scalars(select(PackageStateChange)).one()
        assert (change.prev, change.new, change.cause) == (PackageState.UNKNOWN, PackageState.FAILING, cause)
        assert (change.timestamp, change.repo_id) == (NOW, 77)
        newest = session.scalars(select(Build.id)).one()
        decided = cause in (Cause.BUILD, Cause.REAL_BUILD, Cause.UNTAGGED)
        assert change.build_id == (newest if decided else None)


def test_a_change_that_is_rolled_back_leaves_neither_history_nor_event(database: Database, ids: list[int]) -> None:
    def change_and_fail() -> None:
        with database.begin() as session, changing(session, ids, Cause.RESOLUTION, now=NOW) as packages:
            for package in packages:
                package.resolved = False
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_fail()
    with database.begin() as session:
        assert session.scalar(select(func.count()).select_from(PackageStateChange)) == 0
        assert session.scalar(select(func.count()).select_from(OutboxEvent)) == 0
        assert set(session.scalars(select(Package.state))) == {PackageState.UNKNOWN}


def test_packages_that_are_gone_are_left_out(database: Database, ids: list[int]) -> None:
    with database.begin() as session, changing(session, [ids[0], 10**9], Cause.RESOLUTION, now=NOW) as packages:
        assert [package.id for package in packages] == ids[:1]
        packages[0].resolved = False
    with database.begin() as session:
        assert session.get_one(Package, ids[0]).state is PackageState.UNRESOLVED


def test_the_caller_sees_what_was_derived(database: Database, ids: list[int]) -> None:
    with database.begin() as session:
        with changing(session, ids[:1], Cause.BUILD, now=NOW) as packages:
            session.add(build(ids[0], BuildState.COMPLETE, NOW))
        assert packages[0].state is PackageState.OK
        assert packages[0].state_since == NOW


def test_a_visible_change_wakes_the_scheduler_and_the_watcher(
    database: Database, database_url: str, ids: list[int]
) -> None:
    listeners = [Listener(database_url, name) for name in ("scheduler", "watcher")]
    for listener in listeners:
        listener.listen()
    with database.begin() as session, changing(session, ids[:1], Cause.RESOLUTION, now=NOW) as packages:
        packages[0].resolved = False
    for listener in listeners:
        assert listener.wait(60)
        listener.close()


def test_packages_are_locked_in_the_order_of_their_ids(database: Database, ids: list[int]) -> None:
    """A transaction that waits for one package holds those below it and none above."""
    low, middle, high = ids[:3]
    reached: list[list[int]] = []

    def take_all() -> None:
        with database.begin() as session, changing(session, [high, low, middle], Cause.EDITED, now=NOW) as packages:
            reached.append([package.id for package in packages])

    def free(session: Session, package_id: int) -> bool:
        try:
            with session.begin_nested():
                session.execute(text("SELECT 1 FROM package WHERE id = :i FOR UPDATE NOWAIT"), {"i": package_id})
        except OperationalError:
            return False
        return True

    thread = threading.Thread(target=take_all)
    with database.begin() as holder:
        lock_packages(holder, [middle])
        thread.start()
        wait_for_a_waiter(database)
        with database.begin() as observer:
            assert [free(observer, package_id) for package_id in (low, middle, high)] == [False, False, True]
    thread.join(60)
    assert reached == [[low, middle, high]]


def test_transactions_that_want_the_same_packages_never_lock_each_other_out(database: Database, ids: list[int]) -> None:
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for step in range(15):
                some = chance.sample(ids, 4)
                with (
                    database.begin() as session,
                    changing(session, some, Cause.RESOLUTION, now=NOW + timedelta(minutes=step)) as packages,
                ):
                    for package in packages:
                        package.resolved = not package.resolved
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    with database.begin() as session:
        for package_id in ids:
            chain = session.scalars(
                select(PackageStateChange)
                .where(PackageStateChange.package_id == package_id)
                .order_by(PackageStateChange.id)
            ).all()
            assert chain[0].prev is PackageState.UNKNOWN
            assert all(one.new is next_one.prev for one, next_one in pairwise(chain))
            assert chain[-1].new is session.get_one(Package, package_id).state


def test_a_change_of_the_newest_verdict_asks_for_a_new_resolution(database: Database, ids: list[int]) -> None:
    with database.begin() as session:
        session.execute(update(Package).values(needs_resolution=False))
    with database.begin() as session, changing(session, ids, Cause.BUILD, now=NOW):
        session.add(build(ids[0], BuildState.COMPLETE, NOW))
        session.add(build(ids[1], BuildState.RUNNING, NOW))
        session.add(build(ids[2], BuildState.CANCELED, NOW))
    with database.begin() as session:
        assert list(session.scalars(select(Package.id).where(Package.needs_resolution))) == [ids[0]]


@pytest.mark.parametrize("state", [BuildState.CANCELED, BuildState.SPOILED])
def test_a_build_that_says_nothing_changes_no_state(database: Database, ids: list[int], state: BuildState) -> None:
    with database.begin() as session, changing(session, ids[:1], Cause.BUILD, now=NOW):
        session.add(build(ids[0], BuildState.COMPLETE, NOW))
    with database.begin() as session, changing(session, ids[:1], Cause.BUILD, now=NOW):
        session.add(build(ids[0], state, NOW + timedelta(hours=1)))
    with database.begin() as session:
        package = session.get_one(Package, ids[0])
        assert (package.state, package.last_build_started) == (PackageState.OK, NOW)
        assert session.scalar(select(func.count()).select_from(OutboxEvent)) == 1


def test_of_builds_that_started_at_the_same_moment_the_later_one_counts(database: Database, ids: list[int]) -> None:
    with database.begin() as session, changing(session, ids[:1], Cause.REAL_BUILD, now=NOW):
        for verdict in (BuildState.COMPLETE, BuildState.FAILED, BuildState.COMPLETE, BuildState.FAILED):
            session.add(build(ids[0], verdict, NOW, real=True))
            session.flush()
    with database.begin() as session:
        newest = session.scalar(select(func.max(Build.id)))
        package = session.get_one(Package, ids[0])
        assert (package.last_build_id, package.last_complete_build_id) == (newest, newest)
        assert package.state is PackageState.FAILING
