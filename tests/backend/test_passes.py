"""One pass of each service against a small world: what is broken stops nothing else, and limits hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import koji
import pytest
from sqlalchemy import select, update

from backend import build_resolver, polling, repo_resolver, scheduler
from backend.apart import apart
from backend.frame import Context, PassReport, Runner, Service
from backend.health import Pulse
from koschei import packages, status
from koschei.config import Config
from koschei.config.schema import PagureConfig
from koschei.db.locks import LockSpace, trying_lock
from koschei.errors import DatabaseError, KojiAuthError, KojiOutage
from koschei.model import BasePackage, Build, Collection, Package
from koschei.queries import scheduling
from koschei.rules.states import BuildState, PackageState
from tests.koji_world import KojiWorld, koji_world, lie, source

SOURCES = (source("foo", "1", "gcc"), source("bar", "2", "gcc"), source("noarch", "1", "gcc"))


class At(Context):
    """A context whose time is the world's."""

    world: KojiWorld

    def now(self) -> datetime:
        return self.world.now


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, SOURCES) as world:
        yield world


def context(world: KojiWorld) -> Context:
    made = At(world.config, world.database, world.koji, threading.Event(), Pulse("test"))
    made.world = world
    return made


def one_pass(world: KojiWorld, service: Service) -> PassReport:
    return service.prepare(context(world))()


def add_collection(world: KojiWorld, name: str, tag: str, *, order: int = 1000) -> None:
    """Another collection; a high order puts it in front of the sound one."""
    with world.database.begin() as session:
        session.add(
            Collection(name=name, display_name=name, target=tag, dest_tag=tag, build_tag=f"{tag}-build", order=order)
        )


def add_packages(world: KojiWorld, collection: str, count: int, **columns: Any) -> None:
    """Packages that would all like to be built, with a build each."""
    with world.database.begin() as session:
        home = session.scalars(select(Collection).where(Collection.name == collection)).one()
        home.latest_repo_id, home.latest_repo_resolved = 2, True
        for number in range(count):
            name = f"{collection}-{number:02}"
            package = Package(base=BasePackage(name=name), name=name, collection=home, tracked=True, resolved=True)
            session.add(package)
            session.flush()
            build = Build(package_id=package.id, version="1", release="1", evr_key=b"1", real=True)
            build.state, build.started, build.finished = BuildState.COMPLETE, world.now, world.now
            session.add(build)
            session.flush()
            package.last_build_id = package.last_complete_build_id = build.id
            package.last_build_started = world.now
            for column, value in columns.items():
                setattr(package, column, value)


def ready(world: KojiWorld, **priorities: int) -> None:
    """Everything polled and resolvable, with these manual priorities."""
    world.poll()
    with world.database.begin() as session:
        session.execute(update(Collection).values(latest_repo_id=2, latest_repo_resolved=True))
        session.execute(update(Package).values(resolved=True, needs_resolution=False, build_priority=0))
    for name, value in priorities.items():
        world.set(name, manual_priority=value)


def running(world: KojiWorld) -> list[str]:
    query = select(Package.name).join(Build, Build.package_id == Package.id).where(Build.state == BuildState.RUNNING)
    with world.database.begin() as session:
        return sorted(session.scalars(query))


# --- one among others


def test_what_fails_is_reported_and_the_rest_goes_on() -> None:
    report = PassReport()
    done = []
    for number, error in enumerate((KojiOutage("away"), ValueError("odd\nand long"), None)):
        with apart(report, f"part {number}"):
            if error:
                raise error
            done.append(number)
    assert done == [2]
    assert report.errors == ["part 0: away", "part 1: ValueError: odd"]


# --- what the health port hears


def test_each_answer_of_koji_says_that_a_long_pass_goes_on(world: KojiWorld) -> None:
    settings = {"db_url": world.database.url, "koji_config": world.config.koji_config}
    runner = Runner(polling.SERVICE, Config.model_validate({**settings, "services": {"polling": {"health_port": 0}}}))
    before = runner.pulse._progressed
    runner.context.koji.read("getAPIVersion")
    assert runner.pulse._progressed > before
    runner._close()


@pytest.mark.parametrize("service", [repo_resolver.SERVICE, build_resolver.SERVICE], ids=lambda service: service.name)
def test_a_download_says_that_a_long_pass_goes_on(
    world: KojiWorld, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.poll()
    told = []
    quiet = context(world)
    monkeypatch.setattr(quiet, "stopping", quiet.stop.is_set)
    monkeypatch.setattr(quiet.pulse, "progress", lambda: told.append(1))
    assert service.prepare(quiet)().errors == []
    assert told


# --- polling


def test_polling_sees_packages_builds_and_ends(world: KojiWorld) -> None:
    report = one_pass(world, polling.SERVICE)
    assert report.errors == []
    assert world.package("foo").last_build_id is not None
    assert report.detail["real_builds"] == 5


def test_a_collection_with_an_unknown_tag_does_not_stop_polling_the_others(world: KojiWorld) -> None:
    add_collection(world, "broken", "nosuch")
    report = one_pass(world, polling.SERVICE)
    assert len(report.errors) == 1
    assert report.errors[0].startswith("broken: ")
    assert world.package("foo").last_build_id is not None


def test_a_mistake_of_ours_about_one_collection_does_not_stop_polling_the_others(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.hub.add_tag("odd", arches="x86_64")
    add_collection(world, "odd", "odd")
    original = packages.sync_package_list

    def fails(session: Any, collection: Collection, *args: Any, **options: Any) -> Any:
        if collection.name == "odd":
            raise ZeroDivisionError("a mistake")
        return original(session, collection, *args, **options)

    monkeypatch.setattr(packages, "sync_package_list", fails)
    report = one_pass(world, polling.SERVICE)
    assert report.errors == ["odd: ZeroDivisionError: a mistake"]
    assert world.package("foo").last_build_id is not None


def test_polling_survives_empty_lists_and_tells_of_them(world: KojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    one_pass(world, polling.SERVICE)
    lie(monkeypatch, "listPackages", lambda truth, **_: [])
    lie(monkeypatch, "listTagged", lambda truth, *_, **__: [])
    of_packages, of_builds = one_pass(world, polling.SERVICE).errors
    assert of_packages.startswith("f43: Koji's package list of f43 is empty")
    assert of_builds.startswith("f43: Koji's list of builds tagged f43 has none of 5 of the 5 packages with builds")
    with world.database.begin() as session:
        packages = session.scalars(select(Package)).all()
        assert [package.name for package in packages if package.blocked or package.last_build_id is None] == []


def test_a_source_of_maintainers_that_is_away_is_told_and_fails_no_pass(world: KojiWorld) -> None:
    pagure = PagureConfig(owner_alias_url="http://127.0.0.1:9/alias.json")
    world.config = world.config.model_copy(update={"pagure": pagure})
    report = one_pass(world, polling.SERVICE)
    assert report.errors == []
    assert "127.0.0.1:9/alias.json cannot be read" in report.detail["maintainers"]["error"]


def test_nonsense_about_one_build_stops_no_part_of_polling(world: KojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    ready(world, foo=500)
    one_pass(world, scheduler.SERVICE)
    lie(monkeypatch, "getTaskInfo", lambda truth, *_, **__: {"id": "x"})
    world.hub.add_package("f43", "new")
    report = one_pass(world, polling.SERVICE)
    assert report.errors == []
    assert world.package("new").name == "new"
    assert running(world) == ["foo"]


def test_polling_settles_submissions_while_there_is_no_scheduler(world: KojiWorld) -> None:
    ready(world, foo=500)
    world.hub.faults.cut_reply_after("build", 1)
    one_pass(world, scheduler.SERVICE)
    assert world.builds("foo")[0].task_id is None
    one_pass(world, polling.SERVICE)
    assert world.builds("foo")[0].task_id is not None


# --- resolvers


def test_a_collection_with_an_unknown_tag_does_not_stop_the_others_from_being_resolved(world: KojiWorld) -> None:
    world.poll()
    add_collection(world, "broken", "nosuch")
    report = one_pass(world, repo_resolver.SERVICE)
    assert report.detail["resolved"] == ["f43"]
    assert [error.split(":")[0] for error in report.errors] == ["broken"]
    assert world.package("foo").resolved


def test_nonsense_about_one_source_package_does_not_stop_the_others_from_being_resolved(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.poll()
    lie(monkeypatch, "getRPMDeps", lambda truth, nvra, *_: [7] if nvra["name"] == "foo" else truth())
    report = one_pass(world, repo_resolver.SERVICE)
    assert report.errors == []
    assert (world.package("foo").resolved, world.package("bar").resolved) == (None, True)


def test_a_collection_that_another_process_resolves_is_left_to_it(world: KojiWorld) -> None:
    world.poll()
    with world.database.begin() as session:
        number = session.scalars(select(Collection.id)).one()
    with trying_lock(world.database.engine, LockSpace.REPO_RESOLVER, number):
        assert one_pass(world, repo_resolver.SERVICE).detail["resolved"] == []
    assert one_pass(world, repo_resolver.SERVICE).detail["resolved"] == ["f43"]


def test_a_repository_that_cannot_be_read_does_not_stop_the_builds_of_others(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.poll()
    later = world.hub.new_repo("f43-build", wait=True)
    world.hub.import_build("f43", source("bar", "3", "gcc"), repo_id=later)
    world.later(seconds=1)
    world.poll()
    lie(monkeypatch, "repoInfo", lambda truth, number, *_: {"id": "x"} if number == 1 else truth())
    report = one_pass(world, build_resolver.SERVICE)
    assert [error.split(":")[0] for error in report.errors] == ["repository 1"]
    assert world.builds("bar")[0].deps_resolved
    assert world.builds("foo")[0].deps_resolved is None, "it waits"
    monkeypatch.undo()
    assert one_pass(world, build_resolver.SERVICE).errors == []
    assert world.builds("foo")[0].deps_resolved


# --- scheduler


def test_the_scheduler_submits_one_a_pass_and_the_highest_first(world: KojiWorld) -> None:
    ready(world, foo=500, bar=600)
    assert one_pass(world, scheduler.SERVICE).detail["submitted"] == "bar"
    assert running(world) == ["bar"]
    assert one_pass(world, scheduler.SERVICE).detail["submitted"] == "foo"
    report = one_pass(world, scheduler.SERVICE)
    assert (report.idle, running(world)) == (True, ["bar", "foo"])


def told(world: KojiWorld, report: PassReport) -> str:
    """What the page of a package in the queue says of that pass."""
    now = world.now
    with world.database.begin() as session:
        status.started(session, "scheduler", "pod", 5, now)
        status.pass_finished(session, "scheduler", now, report.detail)
        room = scheduling.room(session)
    assert room is not None
    return room.words


def test_the_scheduler_honours_the_limit_of_builds(tmp_path: Path, database_url: str) -> None:
    with koji_world(tmp_path, database_url, SOURCES, max_builds=1) as world:
        ready(world, foo=500, bar=600)
        one_pass(world, scheduler.SERVICE)
        report = one_pass(world, scheduler.SERVICE)
        assert report.detail["waiting_for"] == "running builds to end"
        assert running(world) == ["bar"]
        assert told(world, report) == "1 of at most 1 builds are running; it waits for running builds to end"


def test_the_scheduler_honours_the_load(world: KojiWorld) -> None:
    ready(world, foo=500, bar=600)
    with world.hub.locked():
        for host in world.hub.world.hosts.values():
            host.ready = False
    report = one_pass(world, scheduler.SERVICE)
    assert (running(world), report.errors) == ([], [])
    assert len(report.detail["obstacles"]) == 2
    assert "; bar: Koji's load for " in told(world, report)
    assert report.idle, "a busy Koji is not asked every three seconds"


def test_a_package_that_cannot_be_submitted_makes_room_for_the_next(world: KojiWorld) -> None:
    ready(world, foo=500, bar=600)
    world.set("bar", arch_override="s390x")
    assert one_pass(world, scheduler.SERVICE).detail["submitted"] == "foo"


def test_a_broken_collection_that_has_all_first_places_does_not_stop_the_others(world: KojiWorld) -> None:
    ready(world, foo=500)
    add_collection(world, "broken", "nosuch")
    add_packages(world, "broken", 30, manual_priority=9000)
    report = one_pass(world, scheduler.SERVICE)
    assert report.detail["submitted"] == "foo"
    assert [error.split(":")[0] for error in report.errors] == ["broken"]


def test_nonsense_about_one_package_does_not_stop_the_scheduler(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(world, foo=500, bar=600)
    bar = next(row["build_id"] for row in world.koji.read("listTagged", "f43") if row["package_name"] == "bar")
    lie(monkeypatch, "listRPMs", lambda truth, **o: [{"arch": "src"}] if o["buildID"] == bar else truth())
    assert one_pass(world, scheduler.SERVICE).detail["submitted"] == "foo"
    assert one_pass(world, scheduler.SERVICE).idle, "bar waits"


def test_a_version_that_cannot_be_stored_does_not_stop_the_scheduler(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(world, foo=500, bar=600)

    def odd(truth: Any, *_: Any, **__: Any) -> Any:
        return [{**row, "epoch": 2**40} if row["package_name"] == "bar" else row for row in truth()]

    lie(monkeypatch, "listTagged", odd)
    report = one_pass(world, scheduler.SERVICE)
    assert report.detail["submitted"] == "foo"
    assert "epoch" in report.errors[0]


def test_an_outage_ends_the_pass(world: KojiWorld) -> None:
    ready(world, foo=500, bar=600)
    world.hub.faults.offline()
    with pytest.raises(KojiOutage):
        one_pass(world, scheduler.SERVICE)
    assert running(world) == []


def test_that_we_may_not_submit_ends_the_pass_and_spoils_no_build(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(world, foo=500, bar=600)

    def refused(*_: Any, **__: Any) -> Any:
        raise koji.ActionNotAllowed("you must be logged in for this operation")

    lie(monkeypatch, "build", refused)
    world.hub.calls.clear()
    for asked in (1, 2):
        with pytest.raises(KojiAuthError, match="you must be logged in"):
            one_pass(world, scheduler.SERVICE)
        assert world.hub.calls.count["build"] == asked, "one question a pass"
    with world.database.begin() as session:
        assert session.scalars(select(Build).where(~Build.real)).all() == []
    monkeypatch.undo()
    assert one_pass(world, scheduler.SERVICE).detail["submitted"] == "bar"


def test_a_build_that_koji_refuses_is_told_and_the_next_has_its_turn_in_the_next_pass(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(world, foo=500, bar=600)

    def refused(truth: Any, source: str, *_: Any, **__: Any) -> Any:
        if "/bar-" in source:
            raise koji.GenericError("invalid channel policy")
        return truth()

    lie(monkeypatch, "build", refused)
    report = one_pass(world, scheduler.SERVICE)
    assert [error.split(":")[0] for error in report.errors] == ["f43/bar"]
    assert "invalid channel policy" in report.errors[0]
    assert (running(world), report.idle) == ([], False)
    assert one_pass(world, scheduler.SERVICE).detail["submitted"] == "foo"


def test_what_a_broken_database_says_ends_the_pass(world: KojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    ready(world, foo=500)

    def away(*_: Any) -> Any:
        raise DatabaseError("PostgreSQL does not answer")

    monkeypatch.setattr("koschei.submission._intend", away)
    with pytest.raises(DatabaseError):
        one_pass(world, scheduler.SERVICE)
    monkeypatch.undo()
    assert one_pass(world, scheduler.SERVICE).detail["submitted"] == "foo"


def test_a_whole_life_in_passes(world: KojiWorld) -> None:
    """Polled, resolved, built, ended, resolved again: no service needs more than the others' rows."""
    one_pass(world, polling.SERVICE)
    with world.database.begin() as session:
        session.execute(update(Package).values(tracked=True))
    for service in (build_resolver.SERVICE, repo_resolver.SERVICE):
        assert one_pass(world, service).errors == []
    world.set("foo", manual_priority=9000)
    assert one_pass(world, scheduler.SERVICE).detail["submitted"] == "foo"
    for _ in range(10):
        world.later(seconds=10)
    assert one_pass(world, polling.SERVICE).detail["builds_ended"] == 1
    assert one_pass(world, build_resolver.SERVICE).detail["builds_resolved"] == 1
    assert one_pass(world, repo_resolver.SERVICE).detail["resolved"] == ["f43"]
    package = world.package("foo")
    assert (package.state, package.needs_resolution, package.manual_priority) == (PackageState.OK, False, 0)
    assert one_pass(world, repo_resolver.SERVICE).detail["resolved"] == []
