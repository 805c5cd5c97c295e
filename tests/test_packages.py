"""What people decide about packages, and how Koji's package lists are believed or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from koschei import packages
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.db.notify import Listener
from koschei.errors import InvalidInputError, NotFoundError
from koschei.koji.records import TaggedPackage
from koschei.model import (
    BasePackage,
    Build,
    Cause,
    Collection,
    Dependency,
    Environment,
    LogEntry,
    OutboxEvent,
    Package,
    PackageStateChange,
    UnappliedChange,
)
from koschei.packages import Edit, SyncReport
from koschei.rules.evr import sort_key
from koschei.rules.states import BuildState, PackageState, SkipReason

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ALICE = Actor(Environment.ADMIN, "alice")
ARCHES = ("i386", "x86_64", "armhfp")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    with found.begin() as session:
        session.add(make_collection("f43"))
    yield found
    found.dispose()


def make_collection(name: str) -> Collection:
    return Collection(name=name, display_name=name.upper(), target=name, dest_tag=name, build_tag=f"{name}-build")


def collection(session: Session, name: str = "f43") -> Collection:
    return session.scalars(select(Collection).where(Collection.name == name)).one()


def real_build(package: Package) -> Build:
    moment = NOW - timedelta(days=1)
    return Build(
        package_id=package.id,
        real=True,
        state=BuildState.COMPLETE,
        started=moment,
        finished=moment,
        version="1",
        release="1",
        evr_key=sort_key(None, "1", "1"),
    )


def add(session: Session, *names: str, where: str = "f43", **values: object) -> None:
    for name in names:
        base = session.scalar(select(BasePackage).where(BasePackage.name == name)) or BasePackage(name=name)
        package = Package(name=name, base=base, collection=collection(session, where), **values)
        session.add(package)
    session.flush()


def package(session: Session, name: str, where: str = "f43") -> Package:
    query = select(Package).join(Collection).where(Package.name == name, Collection.name == where)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def audit_log(session: Session) -> list[str]:
    return list(session.scalars(select(LogEntry.message).order_by(LogEntry.id)))


def listing(*names: str, blocked: Sequence[str] = ()) -> list[TaggedPackage]:
    return [TaggedPackage(name, blocked=False) for name in names] + [TaggedPackage(name, True) for name in blocked]


def sync(session: Session, listed: Sequence[TaggedPackage], **options: bool) -> SyncReport:
    return packages.sync_package_list(session, collection(session), listed, now=NOW, **options)


def states(session: Session) -> dict[str, PackageState]:
    return dict(session.execute(select(Package.name, Package.state)).all())


# tracking


def test_tracking_is_audited_for_what_changed_and_nothing_else(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo", "bar", needs_resolution=False)
        add(session, "old", tracked=True, needs_resolution=False)
        messages = packages.track(session, ALICE, collection(session), ["old", "foo", "foo"], now=NOW)
        assert messages == ["Package foo in f43: tracked"]
        assert audit_log(session) == messages
        entry = session.scalars(select(LogEntry)).one()
        assert entry.user is not None
        assert (entry.user.name, entry.environment) == ("alice", Environment.ADMIN)
        assert entry.base_id == package(session, "foo").base_id
        assert [package(session, name).tracked for name in ("foo", "bar", "old")] == [True, False, True]
        assert [package(session, name).needs_resolution for name in ("foo", "bar", "old")] == [True, False, False]
        change = session.scalars(select(PackageStateChange)).one()
        assert (change.prev, change.new, change.cause) == (PackageState.UNTRACKED, PackageState.UNKNOWN, Cause.TRACKED)


def test_unknown_names_are_all_listed_and_nothing_is_tracked(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo")
        with pytest.raises(NotFoundError, match="in f43: nope, zzz\\."):
            packages.track(session, ALICE, collection(session), ["zzz", "foo", "nope"], now=NOW)
        assert not package(session, "foo").tracked
        assert audit_log(session) == []


def test_a_package_of_another_collection_is_unknown_in_this_one(database: Database) -> None:
    with database.begin() as session:
        session.add(make_collection("f44"))
        add(session, "foo", where="f44")
        with pytest.raises(NotFoundError, match="foo"):
            packages.track(session, ALICE, collection(session), ["foo"], now=NOW)


def test_untracking_tells_the_bus_that_a_failing_package_is_ignored(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo", tracked=True, resolved=False)
        assert packages.untrack(session, ALICE, collection(session), ["foo"], now=NOW) == [
            "Package foo in f43: not tracked any more"
        ]
        event = session.scalars(select(OutboxEvent)).one()
        assert (event.body["old"], event.body["new"]) == ("unresolved", "ignored")
        assert packages.untrack(session, ALICE, collection(session), ["foo"], now=NOW) == []


@pytest.mark.parametrize("service", ["repo-resolver", "polling"])
def test_tracking_wakes_the_services_that_look_at_new_packages(database: Database, service: str) -> None:
    with database.begin() as session:
        add(session, "foo")
    listener = Listener(database.url, service)
    try:
        listener.listen()
        with database.begin() as session:
            packages.track(session, ALICE, collection(session), ["foo"], now=NOW)
        assert listener.wait(60)
    finally:
        listener.close()


# priorities


def test_priorities_are_set_and_repeated_names_are_fine(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo", "bar")
        here = collection(session)
        messages = packages.set_priority(session, ALICE, here, ["foo", "bar", "foo"], 500, static=False, now=NOW)
        assert messages == [
            "Package bar in f43: manual priority changed from 0 to 500",
            "Package foo in f43: manual priority changed from 0 to 500",
        ]
        packages.set_priority(session, ALICE, here, ["foo"], -7, static=True, now=NOW)
        foo = package(session, "foo")
        assert (foo.manual_priority, foo.static_priority) == (500, -7)
        assert packages.set_priority(session, ALICE, here, ["foo"], -7, static=True, now=NOW) == []


def test_a_priority_of_an_unknown_package_changes_nothing(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo")
        with pytest.raises(NotFoundError, match="nope"):
            packages.set_priority(session, ALICE, collection(session), ["foo", "nope"], 5, static=True, now=NOW)
        assert package(session, "foo").static_priority == 0


@pytest.mark.parametrize("value", [2**31, -(2**31)])
def test_a_priority_that_no_column_can_hold_is_refused(database: Database, value: int) -> None:
    with database.begin() as session:
        add(session, "foo")
        with pytest.raises(InvalidInputError, match="out of range"):
            packages.set_priority(session, ALICE, collection(session), ["foo"], value, static=True, now=NOW)


# editing


def test_an_edit_leaves_alone_what_it_does_not_name(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo", tracked=True, manual_priority=3, arch_override="x86_64", skip_resolution=True)
        foo = package(session, "foo")
        assert packages.edit(session, ALICE, foo.id, Edit(), known_arches=ARCHES, now=NOW) == []
        packages.edit(session, ALICE, foo.id, Edit(manual_priority=9), known_arches=ARCHES, now=NOW)
        foo = package(session, "foo")
        assert (foo.tracked, foo.manual_priority, foo.arch_override, foo.skip_resolution) == (True, 9, "x86_64", True)


def test_switching_resolution_off_forgets_its_results(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo", tracked=True, resolved=False, dependency_priority=99)
        foo = package(session, "foo")
        dep = Dependency(name="gcc", epoch=0, version="1", release="1", arch="x86_64", evr_key=b"1")
        session.add(dep)
        session.flush()
        session.add(UnappliedChange(package_id=foo.id, curr_dep_id=dep.id, distance=1))
        session.flush()
        packages.edit(session, ALICE, foo.id, Edit(skip_resolution=True), known_arches=ARCHES, now=NOW)
        foo = package(session, "foo")
        assert (foo.resolved, foo.dependency_priority, foo.needs_resolution) == (None, 0, False)
        assert foo.state is PackageState.UNKNOWN
        assert session.scalars(select(UnappliedChange)).all() == []
        change = session.scalars(select(PackageStateChange)).one()
        assert (change.prev, change.new, change.cause) == (PackageState.UNRESOLVED, PackageState.UNKNOWN, Cause.EDITED)

        packages.edit(session, ALICE, foo.id, Edit(skip_resolution=False), known_arches=ARCHES, now=NOW)
        foo = package(session, "foo")
        assert (foo.skip_resolution, foo.needs_resolution) == (False, True)


def test_other_architectures_are_tried_at_once(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo", scheduler_skip_reason=SkipReason.NO_ARCH, retry_after=NOW + timedelta(hours=20))
        add(session, "bar", scheduler_skip_reason=SkipReason.NO_SRPM, retry_after=NOW + timedelta(hours=20))
        here = collection(session)
        packages.set_arch_override(session, ALICE, here, ["foo", "bar"], "x86_64", known_arches=ARCHES, now=NOW)
        foo, bar = package(session, "foo"), package(session, "bar")
        assert (foo.scheduler_skip_reason, foo.retry_after) == (None, None)
        assert bar.scheduler_skip_reason is SkipReason.NO_SRPM
        packages.set_arch_override(session, ALICE, here, ["foo"], "", known_arches=ARCHES, now=NOW)
        assert package(session, "foo").arch_override is None


def test_a_package_that_is_gone_cannot_be_edited(database: Database) -> None:
    with database.begin() as session, pytest.raises(NotFoundError, match="12345"):
        packages.edit(session, ALICE, 12345, Edit(tracked=True), known_arches=ARCHES, now=NOW)


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        ("", ""),
        ("  ", ""),
        ("x86_64", "x86_64"),
        ("x86_64, i686\narmv7hl x86_64", "x86_64 i686 armv7hl"),
        ("^i386", "^i386"),
        ("^ i386 armhfp", "^i386 armhfp"),
        ("^i386 ^armhfp", "^i386 armhfp"),
    ],
)
def test_an_arch_override_is_stored_in_one_form(given_text: str, stored: str) -> None:
    assert packages.parse_arch_override(given_text, ARCHES) == stored


@pytest.mark.parametrize(("override", "named"), [("x86_64 vax", "vax"), ("x86_64 ^i386", "in front"), ("^", "alone")])
def test_an_arch_override_that_makes_no_sense_is_refused(override: str, named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        packages.parse_arch_override(override, ARCHES)


# package lists


def test_new_names_become_untracked_packages_with_kojis_flag(database: Database) -> None:
    with database.begin() as session:
        report = sync(session, listing("foo", "bar", blocked=["gone"]))
        assert report == SyncReport(added=3, blocked=0, unblocked=0)
        assert states(session) == {
            "foo": PackageState.UNTRACKED,
            "bar": PackageState.UNTRACKED,
            "gone": PackageState.BLOCKED,
        }
        assert sync(session, listing("foo", "bar", blocked=["gone"])) == SyncReport(0, 0, 0)


def test_new_names_can_be_tracked_at_once(database: Database) -> None:
    with database.begin() as session:
        sync(session, listing("foo"), track_new=True)
        assert package(session, "foo").tracked
        assert package(session, "foo").needs_resolution


def test_two_collections_share_the_identity_of_a_package(database: Database) -> None:
    with database.begin() as session:
        session.add(make_collection("f44"))
        sync(session, listing("foo"))
        packages.sync_package_list(session, collection(session, "f44"), listing("foo"), now=NOW)
        assert package(session, "foo").base_id == package(session, "foo", "f44").base_id


def test_blocking_and_unblocking_follow_koji_and_leave_history(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo", tracked=True, resolved=False, needs_resolution=False)
        add(session, "bar", tracked=True, blocked=True, needs_resolution=False)
        report = sync(session, listing("bar", blocked=["foo"]))
        assert report == SyncReport(added=0, blocked=1, unblocked=1)
        assert states(session) == {"foo": PackageState.BLOCKED, "bar": PackageState.UNKNOWN}
        assert package(session, "bar").needs_resolution
        rows = session.execute(
            select(PackageStateChange.prev, PackageStateChange.new, PackageStateChange.cause).order_by("prev")
        ).all()
        assert [tuple(row) for row in rows] == [
            (PackageState.BLOCKED, PackageState.UNKNOWN, Cause.BLOCKED),
            (PackageState.UNRESOLVED, PackageState.BLOCKED, Cause.BLOCKED),
        ]
        assert [event.body["new"] for event in session.scalars(select(OutboxEvent))] == ["ignored"]


def test_a_package_listed_twice_is_blocked_only_if_both_say_so(database: Database) -> None:
    with database.begin() as session:
        sync(session, listing("foo", blocked=["foo", "bar", "bar"]))
        assert states(session) == {"foo": PackageState.UNTRACKED, "bar": PackageState.BLOCKED}


def test_a_few_absent_packages_are_blocked(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo", "bar", "baz")
        assert sync(session, listing("foo", "bar")) == SyncReport(0, 1, 0, gone=("baz",))
        assert states(session)["baz"] is PackageState.BLOCKED


def test_an_empty_answer_blocks_nothing(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo")
        report = sync(session, [])
        assert (report.blocked, states(session)) == (0, {"foo": PackageState.UNTRACKED})
        assert report.refused is not None
        assert "f43 is empty" in report.refused
        assert "`koschei-admin reconcile -c f43 --believe` has it believed" in report.refused


def test_an_empty_answer_about_an_empty_collection_is_believed(database: Database) -> None:
    with database.begin() as session:
        assert sync(session, []) == SyncReport(0, 0, 0)


def test_a_shrunken_answer_blocks_only_what_koji_blocks_and_still_adds(database: Database) -> None:
    with database.begin() as session:
        names = [f"p{number:03}" for number in range(300)]
        add(session, *names)
        report = sync(session, listing(*names[:200], "new", blocked=["p200"]))
        assert (report.added, report.blocked, report.unblocked) == (1, 1, 0)
        assert report.refused is not None
        assert (
            "lacks 99 of the 300 unblocked packages of f43 (p201, p202, p203, p204, p205 and 94 more)" in report.refused
        )
        assert "`koschei-admin reconcile -c f43 --believe` has it believed" in report.refused
        blocked = [name for name, state in states(session).items() if state is PackageState.BLOCKED]
        assert blocked == ["p200"]


@pytest.mark.parametrize("left", [0, 200])
def test_a_shrunken_answer_that_somebody_vouches_for_blocks_all_that_is_not_in_it(
    database: Database, left: int
) -> None:
    with database.begin() as session:
        names = [f"p{number:03}" for number in range(300)]
        add(session, *names)
        assert sync(session, listing(*names[:left])).refused
        report = sync(session, listing(*names[:left]), believe=True)
        assert report == SyncReport(0, 300 - left, 0, gone=tuple(names[left:]))
        blocked = [name for name, state in states(session).items() if state is PackageState.BLOCKED]
        assert blocked == names[left:]
        assert not left or sync(session, listing(*names[:left])) == SyncReport(0, 0, 0), "it is doubted no more"


WRITTEN = text("SELECT n_tup_ins + n_tup_upd FROM pg_stat_xact_user_tables WHERE relname = 'package'")


def test_only_what_changed_is_written(database: Database) -> None:
    with database.begin() as session:
        add(session, *NAMES)
    with database.begin() as session:
        before = session.scalar(WRITTEN) or 0
        sync(session, listing(*NAMES))
        assert session.scalar(WRITTEN) == before
        sync(session, listing(*NAMES[1:], blocked=NAMES[:1]))
        assert session.scalar(WRITTEN) == before + 2  # the flag, and since when the state is so


NAMES = [f"p{number:02}" for number in range(60)]


@settings(max_examples=40)
@given(
    known=st.dictionaries(st.sampled_from(NAMES), st.booleans()),
    listed=st.dictionaries(st.sampled_from(NAMES), st.booleans()),
)
def test_absence_never_blocks_wholesale(database: Database, known: dict[str, bool], listed: dict[str, bool]) -> None:
    with database.begin() as session:
        session.execute(delete(BasePackage))
        session.flush()
        for name, blocked in known.items():
            add(session, name, blocked=blocked)
        report = sync(session, [TaggedPackage(name, blocked) for name, blocked in listed.items()])
        after = {name: state is PackageState.BLOCKED for name, state in states(session).items()}

    unblocked = {name for name, blocked in known.items() if not blocked}
    absent = unblocked - listed.keys()
    lost = {name for name in absent if after[name]}
    assert lost in (set(), absent)
    assert len(lost) <= max(10, 0.05 * len(unblocked))
    assert not (lost and lost == unblocked)
    assert (report.refused is not None) == bool((absent and not lost) or (known and not listed))
    # What Koji does say is obeyed, whatever it does not say.
    assert {name: after[name] for name in listed} == listed
    assert after.keys() == known.keys() | listed.keys()
    assert report.added == len(listed.keys() - known.keys())
    assert report.blocked == len(lost) + sum(listed.get(name, False) for name in unblocked)


def test_an_unresolved_package_comes_back_as_such_when_it_is_unblocked(database: Database) -> None:
    with database.begin() as session:
        add(session, "foo", tracked=True, blocked=True)
        session.add(real_build(session.scalars(select(Package)).one()))
        session.flush()
        session.execute(update(Package).values(resolved=False))
        sync(session, listing("foo"))
        event = session.scalars(select(OutboxEvent)).one()
        assert (event.body["old"], event.body["new"]) == ("ignored", "unresolved")
