"""Real builds as the tag lists them: registered, untagged, tagged again, and never lost to a bad listing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from demo.hub import Outcome
from koschei import builds, real_builds, submission
from koschei.audit import BACKEND
from koschei.koji import tagging
from koschei.model import Build, Cause, Collection, KojiTask, Package, PackageStateChange
from koschei.packages import sync_package_list
from koschei.real_builds import mark_untagged, refresh
from koschei.rules.states import BuildState, PackageState
from koschei.submission import Submitted
from tests.koji_world import KojiWorld, koji_world, lie, source


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, (source("foo", "1", "gcc"), source("bar", "2", "foo"))) as world:
        world.poll()
        yield world


def collection(world: KojiWorld) -> Collection:
    with world.database.begin() as session:
        return session.scalars(select(Collection)).one()


def look(world: KojiWorld, name: str | None = None) -> int:
    return refresh(world.database, world.koji, world.config, collection(world), world.now, name=name).registered


def scratch_build(world: KojiWorld, name: str, outcome: Outcome | None = None) -> Build:
    with world.database.begin() as session:
        session.execute(update(Collection).values(latest_repo_id=2, latest_repo_resolved=True))
    world.hub.outcome = lambda context: outcome if context.scratch else None
    result = submission.submit(
        world.database, world.koji, world.config, world.package(name).id, actor=BACKEND, now=world.now
    )
    assert isinstance(result, Submitted)
    for _ in range(10):
        world.later(seconds=10)
    assert builds.refresh(world.database, world.koji, world.config, world.now) == 1
    return world.builds(name)[0]


def test_the_tagged_build_of_each_package_is_registered_with_its_tasks(world: KojiWorld) -> None:
    build = world.builds("foo")[0]
    assert (build.real, build.state, build.version, build.repo_id) == (True, BuildState.COMPLETE, "1", 1)
    assert build.deps_resolved is None, "its dependencies are to be found out"
    with world.database.begin() as session:
        count = session.execute(select(func.count()).where(KojiTask.build_id == build.id)).scalar_one()
    assert count >= 1
    assert world.package("foo").state is PackageState.OK


def test_looking_again_registers_nothing_and_asks_koji_about_no_task(world: KojiWorld) -> None:
    world.hub.calls.clear()
    assert look(world) == 0
    assert set(world.hub.calls.count) <= {"listTagged", "multiCall"}


def test_a_maintainers_build_answers_everything_and_is_told(world: KojiWorld) -> None:
    scratch_build(world, "foo", Outcome("arch_failed"))
    assert world.package("foo").state is PackageState.FAILING
    world.set("foo", manual_priority=100)
    world.later(hours=1)
    world.hub.import_build("f43", source("foo", "2"))
    world.later(seconds=1)
    assert look(world) == 1
    package = world.package("foo")
    assert package.state is PackageState.OK
    assert (package.manual_priority, package.build_priority) == (0, 0)
    with world.database.begin() as session:
        last = session.scalars(select(PackageStateChange).order_by(PackageStateChange.id.desc()).limit(1)).one()
        assert (last.prev, last.new, last.cause) == (PackageState.FAILING, PackageState.OK, Cause.REAL_BUILD)


def test_a_real_build_of_the_version_that_koschei_built_is_registered_too(world: KojiWorld) -> None:
    world.hub.import_build("f43", source("foo", "2"))
    scratch_build(world, "foo")
    assert look(world) == 1
    assert {(b.real, b.version) for b in world.builds("foo")} == {(True, "1"), (True, "2"), (False, "2")}


def test_an_imported_build_is_registered_once_and_asks_for_a_build_of_our_own(world: KojiWorld) -> None:
    world.hub.add_package("f43", "imp")
    world.hub.import_build("f43", source("imp", "3"), imported=True)
    world.later(seconds=1)
    world.poll()
    world.poll()
    (build,) = world.builds("imp")
    assert (build.task_id, build.repo_id, build.deps_resolved) == (None, None, False)
    assert world.package("imp").build_priority == world.config.priorities.newly_added
    assert world.package("imp").state is PackageState.OK


def test_untagging_the_newest_build_brings_the_one_before_back(world: KojiWorld) -> None:
    world.later(hours=1)
    world.hub.import_build("f43", source("foo", "2"))
    world.later(seconds=1)
    look(world)
    failed = scratch_build(world, "foo", Outcome("arch_failed"))
    assert world.package("foo").state is PackageState.FAILING
    world.hub.untag_build("f43", "foo-2-1.fc43")
    look(world)
    assert {b.version: b.untagged for b in world.builds("foo")} == {"2": True, "1": False}
    assert world.package("foo").state is PackageState.OK
    world.hub.tag_build("f43", "foo-2-1.fc43")
    look(world)
    assert world.package("foo").last_build_id == failed.id
    assert world.package("foo").state is PackageState.FAILING


def test_a_package_without_any_tagged_build_has_no_known_build(world: KojiWorld) -> None:
    world.hub.untag_build("f43", "foo-1-1.fc43")
    look(world, "foo")
    package = world.package("foo")
    assert (package.last_build_id, package.state) == (None, PackageState.UNKNOWN)
    world.hub.tag_build("f43", "foo-1-1.fc43")
    look(world, "foo")
    assert world.package("foo").state is PackageState.OK


def test_an_empty_listing_untags_nothing(world: KojiWorld) -> None:
    with world.database.begin() as session:
        assert mark_untagged(session, session.scalars(select(Collection)).one(), [], world.now) == 0
    assert world.package("foo").last_build_id is not None


@pytest.mark.parametrize("looked_at_one_by_one", [200, 0])
def test_a_tag_that_lost_its_builds_is_doubted_until_somebody_vouches_for_it(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch, looked_at_one_by_one: int
) -> None:
    monkeypatch.setattr(real_builds, "SECOND_LOOKS", looked_at_one_by_one)
    for tagged in tagging.latest_builds(world.koji, "f43"):
        world.hub.untag_build("f43", tagged.nvr)
    place = world.database, world.koji, world.config, collection(world), world.now
    report = refresh(*place)
    assert report.refused is not None
    assert "has none of 4 of the 4 packages with builds in f43 (bar, bash, foo, gcc), too many" in report.refused
    assert "`koschei-admin reconcile -c f43 --believe` has it believed" in report.refused
    assert world.package("foo").last_build_id is not None
    assert refresh(*place, believe=True) == real_builds.Report(0)
    assert (world.package("foo").last_build_id, world.package("bar").last_build_id) == (None, None)
    assert refresh(*place) == real_builds.Report(0), "it is doubted no more"


def test_one_packages_listing_does_not_touch_the_others(world: KojiWorld) -> None:
    assert look(world, "foo") == 0
    assert world.package("bar").last_build_id is not None


def test_untracked_packages_are_registered_only_when_the_collection_wants_it(tmp_path: Path, database_url: str) -> None:
    with koji_world(tmp_path, database_url, (source("foo"),)) as world:
        with world.database.begin() as session:
            session.execute(update(Collection).values(poll_untracked=False))
        with world.database.begin() as session:
            home = session.scalars(select(Collection)).one()
            sync_package_list(session, home, tagging.packages(world.koji, "f43"), now=world.now)
        assert look(world) == 0
        with world.database.begin() as session:
            session.execute(update(Collection).values(poll_untracked=True))
        assert look(world) == 3
        with world.database.begin() as session:
            assert session.execute(select(func.count()).select_from(Package).where(Package.tracked)).scalar_one() == 0


def test_a_list_that_a_message_has_overtaken_untags_nothing(world: KojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the whole tag is being listed, the watcher hears of a new build and registers it."""
    world.later(hours=1)
    listed = tagging.latest_builds(world.koji, "f43")
    world.hub.import_build("f43", source("foo", "2"))
    world.later(seconds=1)
    look(world, "foo")
    before = world.package("foo")
    honest = tagging.latest_builds
    with monkeypatch.context() as patch:
        patch.setattr(
            tagging, "latest_builds", lambda koji, tag, package=None: honest(koji, tag, package) if package else listed
        )
        look(world)
    assert {b.version: b.untagged for b in world.builds("foo")} == {"2": False, "1": False}
    assert world.package("foo").last_build_id == before.last_build_id


def test_an_imported_build_is_registered_once_by_two_processes(world: KojiWorld) -> None:
    world.hub.add_package("f43", "imp")
    world.hub.import_build("f43", source("imp", "3"), imported=True)
    world.later(seconds=1)
    world.poll()
    (tagged,) = tagging.latest_builds(world.koji, "f43", "imp")
    late = [real_builds.NewBuild(world.package("imp").id, tagged)]
    real_builds.register(world.database, world.koji, late, world.config, world.now)
    assert len(world.builds("imp")) == 1


@pytest.mark.parametrize("epoch", [2**31, 2**32, 2**40])
def test_a_version_that_cannot_be_compared_is_left_alone_and_stops_nobody(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    world.hub.import_build("f43", source("bar", "3"))
    world.later(seconds=1)

    def odd(truth: Any, *args: Any, **options: Any) -> Any:
        return [{**row, "epoch": epoch, "task_id": 999} if row["name"] == "foo" else row for row in truth()]

    lie(monkeypatch, "listTagged", odd)
    assert look(world) == 1
    assert world.builds("bar")[0].version == "3"
    assert [(b.version, b.untagged) for b in world.builds("foo")] == [("1", False)]


def test_a_package_without_any_source_is_not_unresolvable_for_ever(world: KojiWorld) -> None:
    world.set("foo", resolved=False)
    assert world.package("foo").state is PackageState.UNRESOLVED
    world.hub.untag_build("f43", "foo-1-1.fc43")
    look(world)
    package = world.package("foo")
    assert (package.resolved, package.state) == (None, PackageState.UNKNOWN), "nobody would look at it again"


def test_many_packages_that_changed_at_once_are_handled_at_once(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_builds, "SECOND_LOOKS", 0)
    world.hub.untag_build("f43", "foo-1-1.fc43")
    world.hub.calls.clear()
    look(world)
    assert world.package("foo").last_build_id is None
    assert world.hub.calls.count["listTagged"] == 1
