"""What happens when Koji, people and the file server change things while packages and builds are being resolved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select, text, update

from koschei.build_resolution import pending
from koschei.errors import RepositoryGone
from koschei.model import (
    AppliedChange,
    Build,
    Collection,
    RepositoryResolution,
)
from koschei.rules.states import BuildState
from tests.koji_world import KojiWorld, koji_world, source
from tests.resolving import (
    LIBRARY,
    SOURCES,
    build_work,
    examine,
    new_repo,
    resolution,
    resolve_builds,
    unapplied,
)


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, SOURCES) as world:
        world.poll()
        yield world


def edit_collection(world: KojiWorld, **values: Any) -> None:
    with world.database.begin() as session:
        session.execute(update(Collection).values(**values))


def the_collection(world: KojiWorld) -> Collection:
    with world.database.begin() as session:
        return session.scalars(select(Collection)).one()


def runs(world: KojiWorld) -> list[tuple[int, int]]:
    with world.database.begin() as session:
        query = select(RepositoryResolution).order_by(RepositoryResolution.id)
        return [(run.repo_id, run.resolved) for run in session.scalars(query)]


def test_a_repository_is_judged_again_when_what_was_known_of_it_was_forgotten(world: KojiWorld) -> None:
    """As after an edit of the build group or tag, to and fro, or when an operator empties both columns by hand."""
    examine(world)
    edit_collection(world, latest_repo_id=None, latest_repo_resolved=None)
    assert examine(world)
    assert the_collection(world).latest_repo_id == 2
    assert runs(world) == [(2, 7)]


def test_a_restored_hub_whose_numbers_are_lower_is_believed(world: KojiWorld) -> None:
    examine(world)
    edit_collection(world, latest_repo_id=1_000_000)
    assert examine(world)
    assert the_collection(world).latest_repo_id == 2
    assert not examine(world)


def test_an_older_repository_is_no_news_while_koji_knows_the_newer_one(world: KojiWorld) -> None:
    examine(world)
    world.hub.expire_repo(2)
    assert not examine(world), "repository 1 is ready"
    assert the_collection(world).latest_repo_id == 2


@pytest.mark.parametrize("when", ["base", "packages"])
def test_an_answer_about_another_buildroot_is_dropped(world: KojiWorld, when: str) -> None:
    """The build tag is edited while the old one is being resolved."""
    work = resolution(world)
    edited: list[bool] = []

    def edit() -> None:
        if not edited:
            edited.append(True)
            edit_collection(world, build_tag="f43", latest_repo_id=None, latest_repo_resolved=None)

    if when == "base":
        opened = work.buildroots.open

        def open_and_edit(*args: Any) -> Any:
            edit()
            return opened(*args)

        work.buildroots.open = open_and_edit  # type: ignore[method-assign]
    else:
        work.stopping = lambda: bool(edit())
    work.examine(the_collection(world).id)
    assert edited
    assert the_collection(world).latest_repo_id is None
    assert world.package("direct").resolved is None


def test_a_collection_that_is_deleted_meanwhile_stops_quietly(world: KojiWorld) -> None:
    work = resolution(world)

    def drop() -> bool:
        with world.database.begin() as session:
            session.execute(text("DELETE FROM collection"))
        return False

    work.stopping = drop
    assert work.examine(the_collection(world).id)
    with world.database.begin() as session:
        assert session.scalar(select(func.count()).select_from(RepositoryResolution)) == 0


def test_a_ready_repository_without_files_is_left_alone_for_a_while_and_the_one_before_still_serves(
    world: KojiWorld,
) -> None:
    work = resolution(world)
    collection_id = the_collection(world).id
    assert work.examine(collection_id)
    new_repo(world)
    world.hub.faults.files(404)
    with pytest.raises(RepositoryGone, match="404"):
        work.examine(collection_id)
    world.hub.calls.clear()
    world.set("direct", resolved=None, needs_resolution=True)
    with pytest.raises(RepositoryGone, match="404"):
        work.examine(collection_id)
    assert world.package("direct").resolved, "in the repository before, which is in the cache"
    assert world.hub.calls.count["getTagGroups"] == 1, "only that one was opened"
    world.hub.faults.clear()
    world.later(seconds=6)
    assert work.examine(collection_id)
    assert the_collection(world).latest_repo_id == 3


def test_koji_is_not_asked_all_the_time_for_a_source_package_that_it_does_not_have(world: KojiWorld) -> None:
    work = resolution(world)
    collection_id = the_collection(world).id
    world.hub.faults.hide_srpm("direct-1-1.fc43")
    work.examine(collection_id)
    assert world.package("direct").resolved is None
    world.hub.calls.clear()
    for _ in range(5):
        assert not work.examine(collection_id)
    assert world.hub.calls.count["getRPMDeps"] == 0
    world.hub.faults.clear()
    world.later(minutes=31)
    assert work.examine(collection_id)
    assert world.package("direct").resolved


def test_builds_wait_while_koji_says_that_their_repository_is_there(world: KojiWorld) -> None:
    """A file server that answers 404 for an hour must not have the whole distribution rebuilt."""
    work = build_work(world)
    recent = update(Build).values(finished=world.now)
    with world.database.begin() as session:
        session.execute(recent)
        (item,) = pending(session)
    world.hub.faults.files(404)
    with pytest.raises(RepositoryGone, match="404"):
        work.resolve(item)
    assert world.builds("alone")[0].deps_resolved is None
    assert world.package("alone").build_priority == 0
    world.hub.calls.clear()
    with pytest.raises(RepositoryGone, match="404"):
        work.resolve(item)
    assert world.hub.calls.requests == 0, "it is left alone for a while"
    world.hub.faults.clear()
    world.later(seconds=6)
    assert work.resolve(item) == len(SOURCES)
    assert world.builds("alone")[0].deps_resolved


def test_builds_do_not_wait_for_ever(world: KojiWorld) -> None:
    world.hub.faults.files(404)
    world.later(days=4)
    assert resolve_builds(world) == len(SOURCES)
    assert world.builds("direct")[0].deps_resolved is False
    assert world.package("direct").build_priority == world.config.priorities.newly_added


def test_a_build_whose_source_package_is_missing_for_a_moment_waits(world: KojiWorld) -> None:
    work = build_work(world)
    with world.database.begin() as session:
        session.execute(update(Build).values(finished=world.now))
        (item,) = pending(session)
    world.hub.faults.hide_srpm("alone-1-1.fc43")
    assert work.resolve(item) == len(SOURCES) - 1
    assert world.builds("alone")[0].deps_resolved is None
    world.hub.calls.clear()
    assert work.resolve(item) == 0
    assert world.hub.calls.requests == 0
    world.hub.faults.clear()
    world.later(minutes=31)
    assert work.resolve(item) == 1
    assert world.builds("alone")[0].deps_resolved


def test_a_build_made_in_a_side_tag_is_resolved_there(world: KojiWorld) -> None:
    world.hub.add_tag("f43-side", arches="x86_64 i686", parents=["f43-build"])
    side = world.hub.new_repo("f43-side", wait=True)
    world.hub.import_build("f43", source("direct", "2", "lib-devel"), repo_id=side)
    world.later(seconds=1)
    world.poll()
    resolve_builds(world)
    build = world.builds("direct")[0]
    assert (build.version, build.repo_id, build.deps_resolved) == ("2", side, True)


@pytest.mark.parametrize("state", [BuildState.SPOILED, BuildState.CANCELED])
def test_a_build_that_did_not_count_hides_no_changes_from_the_one_that_does(
    world: KojiWorld, state: BuildState
) -> None:
    """It was resolved while it ran, with the new library already."""

    def build(version: str) -> Build:
        world.hub.import_build("f43", source("direct", version, "lib-devel"))
        world.later(minutes=1)
        world.poll()
        resolve_builds(world)
        return world.builds("direct")[0]

    assert build("2").deps_resolved
    world.hub.import_build("f43", source("lib", "2", binaries=LIBRARY.binaries))
    new_repo(world)
    did_not_count = build("3")
    with world.database.begin() as session:
        session.execute(
            update(Build).where(Build.id == did_not_count.id).values(state=state, real=False, submission={})
        )
    newest = build("4")
    with world.database.begin() as session:
        rows = session.scalars(select(AppliedChange).where(AppliedChange.build_id == newest.id)).all()
        assert {row.curr.name for row in rows if row.curr} == {"lib", "lib-devel"}


def test_resolving_many_builds_asks_the_database_as_often_as_resolving_few(world: KojiWorld) -> None:
    asked: list[str] = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    work = build_work(world)
    with world.database.begin() as session:
        (item,) = pending(session)
        asked.clear()
        builds = work._waiting(session, item)
        names = {build.package.name for build in builds}
    assert names == {item.name for item in SOURCES}
    assert len(asked) == 1


def test_a_package_whose_last_build_is_unknown_is_compared_with_the_one_before(world: KojiWorld) -> None:
    needs = {"direct": "lib-devel", "far": "direct"}
    for name, need in needs.items():
        world.hub.import_build("f43", source(name, "2", need))
    world.later(minutes=1)
    world.poll()
    resolve_builds(world)
    world.hub.import_build("f43", source("lib", "2", binaries=LIBRARY.binaries))
    for name, need in needs.items():
        world.hub.import_build("f43", source(name, "3", need), imported=True)
    new_repo(world)
    world.poll()
    asked: list[str] = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    examine(world)
    assert unapplied(world, "direct") == {("lib-devel-1", "lib-devel-2", 1), ("lib-1", "lib-2", 2)}
    assert len([query for query in asked if "SELECT b.package_id, e.id" in query]) == 1, "one for the whole chunk"
