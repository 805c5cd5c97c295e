"""Resolving a collection: what is stored for each package, when it is announced, and that little is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select, text, update

from demo.hub import Binary
from koschei.build_resolution import BuildResolution, pending
from koschei.buildroots import Buildroots
from koschei.dependencies import DependencyIds, load_dependencies
from koschei.errors import RepositoryGone
from koschei.model import (
    AppliedChange,
    Build,
    BuildrootProblem,
    Cause,
    Collection,
    OutboxEvent,
    Package,
    PackageStateChange,
    RepositoryResolution,
    ResolutionChange,
    UnappliedChange,
)
from koschei.resolution import Resolution
from koschei.rules.states import BuildState, CollectionState, PackageState
from tests.koji_world import KojiWorld, koji_world, source

LIBRARY = source(
    "lib",
    "1",
    binaries=[Binary("lib", provides=("pkgconfig(lib) = 1",)), Binary("lib-devel", requires=("lib",))],
)
SOURCES = (
    LIBRARY,
    source("direct", "1", "lib-devel"),
    source("far", "1", "direct"),
    source("alone", "1", "gcc"),
    source("rich", "1", "(nothing or pkgconfig(lib))"),
)


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, SOURCES) as world:
        world.poll()
        yield world


def resolution(world: KojiWorld, **options: object) -> Resolution:
    return Resolution(
        world.database,
        world.koji,
        world.config,
        Buildroots(world.koji, world.config),
        DependencyIds(1000),
        clock=lambda: world.now,
        **options,  # type: ignore[arg-type]
    )


def examine(world: KojiWorld, **options: object) -> bool:
    with world.database.begin() as session:
        collection_id = session.scalars(select(Collection.id)).one()
    return resolution(world, **options).examine(collection_id)


def resolve_builds(world: KojiWorld) -> int:
    work = BuildResolution(
        world.database,
        world.koji,
        world.config,
        Buildroots(world.koji, world.config),
        DependencyIds(1000),
        clock=lambda: world.now,
    )
    with world.database.begin() as session:
        waiting = pending(session)
    return sum(work.resolve(item) for item in waiting)


def new_repo(world: KojiWorld) -> None:
    world.hub.new_repo("f43-build")
    for _ in range(3):
        world.later(seconds=30)


def unapplied(world: KojiWorld, name: str) -> set[tuple[str | None, str | None, int | None]]:
    with world.database.begin() as session:
        query = (
            select(UnappliedChange).join(Package, Package.id == UnappliedChange.package_id).where(Package.name == name)
        )
        return {
            (
                f"{row.prev.name}-{row.prev.version}" if row.prev else None,
                f"{row.curr.name}-{row.curr.version}" if row.curr else None,
                row.distance,
            )
            for row in session.scalars(query)
        }


def problems(world: KojiWorld, name: str) -> list[list[str]]:
    with world.database.begin() as session:
        query = (
            select(ResolutionChange)
            .join(Package, Package.id == ResolutionChange.package_id)
            .where(Package.name == name)
            .order_by(ResolutionChange.id)
        )
        return [[p.problem for p in row.problems] for row in session.scalars(query)]


def test_the_newest_repository_is_resolved_for_every_package(world: KojiWorld) -> None:
    assert examine(world)
    with world.database.begin() as session:
        collection = session.scalars(select(Collection)).one()
        run = session.scalars(select(RepositoryResolution)).one()
        assert (collection.latest_repo_id, collection.state) == (2, CollectionState.OK)
        assert (run.repo_id, run.resolved, run.unresolved, run.finished) == (2, 7, 0, world.now)
    assert all(world.package(item.name).resolved for item in SOURCES)
    assert not examine(world), "there is nothing more to do"


def test_builds_get_their_dependencies_and_packages_the_changes_since(world: KojiWorld) -> None:
    assert resolve_builds(world) == len(SOURCES), "the first builds of the group were made in no repository at all"
    examine(world)
    with world.database.begin() as session:
        build = session.scalars(
            select(Build).join(Package, Package.id == Build.package_id).where(Package.name == "alone")
        ).one()
        assert build.deps_resolved
        assert {d.name for d in load_dependencies(session, [build.id])[build.id]} == {"bash", "gcc"}
    assert unapplied(world, "alone") == set()


def test_a_changed_library_is_a_change_with_its_distance_and_weight(world: KojiWorld) -> None:
    new_repo(world)
    for name in ("direct", "far"):
        world.hub.import_build("f43", source(name, "2", *({"direct": ["lib-devel"], "far": ["direct"]}[name])))
    new_repo(world)
    world.poll()
    resolve_builds(world)
    examine(world)
    assert unapplied(world, "direct") == set()
    world.hub.import_build("f43", source("lib", "2", binaries=LIBRARY.binaries))
    new_repo(world)
    examine(world)
    assert unapplied(world, "direct") == {("lib-devel-1", "lib-devel-2", 1), ("lib-1", "lib-2", 2)}
    assert world.package("direct").dependency_priority == 256 + 128
    assert unapplied(world, "far") == {("direct-1", "direct-2", 1)}, "lib is not among what far needs"


def test_a_package_that_can_no_longer_be_built_says_why_and_is_announced(world: KojiWorld) -> None:
    examine(world)
    world.hub.untag_build("f43", "lib-1-1.fc43")
    new_repo(world)
    examine(world)
    assert world.package("direct").state is PackageState.UNRESOLVED
    assert problems(world, "direct") == [[], ["No package found for: lib-devel"]]
    assert world.package("rich").state is PackageState.UNRESOLVED
    assert "(nothing or pkgconfig(lib))" in problems(world, "rich")[-1][0]
    assert world.package("alone").state is PackageState.OK
    with world.database.begin() as session:
        told = {
            (event.body["name"], event.body["old"], event.body["new"])
            for event in session.scalars(select(OutboxEvent).where(OutboxEvent.kind == "package.state.change"))
            if event.body["new"] == "unresolved"
        }
        assert told == {("direct", "ok", "unresolved"), ("rich", "ok", "unresolved")}
        change = session.scalars(
            select(PackageStateChange).where(PackageStateChange.new == PackageState.UNRESOLVED).limit(1)
        ).one()
        assert (change.cause, change.repo_id) == (Cause.RESOLUTION, 3)


def test_history_grows_only_when_the_answer_or_its_problems_change(world: KojiWorld) -> None:
    examine(world)
    world.hub.untag_build("f43", "lib-1-1.fc43")
    new_repo(world)
    examine(world)
    new_repo(world)
    examine(world)
    assert len(problems(world, "direct")) == 2
    world.hub.tag_build("f43", "lib-1-1.fc43")
    new_repo(world)
    examine(world)
    assert problems(world, "direct") == [[], ["No package found for: lib-devel"], []]


def test_an_unchanged_package_is_not_written_again(world: KojiWorld) -> None:
    resolve_builds(world)
    examine(world)

    def versions() -> list[tuple[int, str]]:
        with world.database.begin() as session:
            return [tuple(r) for r in session.execute(text("SELECT id, xmin::text FROM package ORDER BY id"))]

    before = versions()
    new_repo(world)
    examine(world)
    assert versions() == before


def test_a_broken_base_buildroot_stops_the_collection_and_nothing_else_changes(world: KojiWorld) -> None:
    examine(world)
    world.hub.import_build("f43", source("gcc", "2", binaries=[Binary("gcc", requires=("gone",))]))
    new_repo(world)
    examine(world)
    with world.database.begin() as session:
        collection = session.scalars(select(Collection)).one()
        assert collection.state is CollectionState.UNRESOLVED
        assert any("gone" in problem for problem in session.scalars(select(BuildrootProblem.problem)))
        event = session.scalars(
            select(OutboxEvent).where(OutboxEvent.kind == "collection.state.change").order_by(OutboxEvent.id.desc())
        ).first()
        assert event is not None
        assert (event.body["old"], event.body["new"], event.body["repo_id"]) == ("ok", "unresolved", "3")
    assert world.package("direct").state is PackageState.OK
    assert not examine(world)
    world.hub.untag_build("f43", "gcc-2-1.fc43")
    new_repo(world)
    examine(world)
    with world.database.begin() as session:
        assert session.scalars(select(Collection)).one().state is CollectionState.OK
        assert session.execute(select(func.count()).select_from(BuildrootProblem)).scalar_one() == 0


def test_a_missing_build_group_is_a_broken_base_buildroot_in_words(world: KojiWorld) -> None:
    with world.database.begin() as session:
        session.execute(update(Collection).values(build_group="nonesuch"))
    examine(world)
    with world.database.begin() as session:
        assert session.scalars(select(BuildrootProblem.problem)).all() == [
            "Koji has no group 'nonesuch' in the tag f43-build"
        ]


def test_an_interrupted_resolution_goes_on_where_it_stopped(world: KojiWorld) -> None:
    small = world.config.model_copy(
        update={"dependency": world.config.dependency.model_copy(update={"persist_chunk_size": 2})}
    )
    world.config = small
    asked = iter([False] * 4 + [True] * 100)
    examine(world, stopping=lambda: next(asked))
    with world.database.begin() as session:
        run = session.scalars(select(RepositoryResolution)).one()
        assert (run.position, run.finished, run.resolved) == ("far", None, 4)
    assert world.package("rich").resolved is None
    assert examine(world)
    with world.database.begin() as session:
        run = session.scalars(select(RepositoryResolution)).one()
        assert (run.resolved, run.finished) == (7, world.now)
    assert world.package("rich").resolved


def test_a_newly_tracked_package_is_resolved_without_a_new_repository(world: KojiWorld) -> None:
    world.set("direct", tracked=False)
    examine(world)
    assert world.package("direct").resolved is None
    world.set("direct", tracked=True, needs_resolution=True)
    assert examine(world)
    assert world.package("direct").resolved


def test_an_exempted_package_is_never_resolved(world: KojiWorld) -> None:
    world.set("direct", skip_resolution=True)
    examine(world)
    assert world.package("direct").resolved is None


def test_a_repository_deleted_half_way_is_said_to_be_gone_and_the_next_one_is_taken(world: KojiWorld) -> None:
    examine(world)
    world.hub.delete_repo(2)
    world.set("direct", needs_resolution=True)
    with pytest.raises(RepositoryGone, match="Repository 2 cannot be used"):
        examine(world)
    new_repo(world)
    assert examine(world)


def test_builds_in_a_repository_that_is_gone_ask_for_a_new_build(world: KojiWorld) -> None:
    world.hub.delete_repo(1)
    resolve_builds(world)
    build = world.builds("direct")[0]
    assert build.deps_resolved is False
    assert world.package("direct").build_priority == world.config.priorities.newly_added


def test_the_changes_of_a_build_are_those_since_the_build_before(world: KojiWorld) -> None:
    new_repo(world)
    world.hub.import_build("f43", source("direct", "2", "lib-devel"))
    world.later(minutes=1)
    world.hub.import_build("f43", source("lib", "2", binaries=LIBRARY.binaries))
    world.poll()
    new_repo(world)
    world.hub.import_build("f43", source("direct", "3", "lib-devel"))
    world.later(minutes=1)
    world.poll()
    resolve_builds(world)
    newest = world.builds("direct")[0]
    with world.database.begin() as session:
        rows = session.scalars(select(AppliedChange).where(AppliedChange.build_id == newest.id)).all()
        found = {(r.prev.version, r.curr.version, r.curr.name, r.distance) for r in rows if r.prev and r.curr}
    assert newest.version == "3"
    assert found == {("1", "2", "lib-devel", 1), ("1", "2", "lib", 2)}


# --- Koji and people change things meanwhile


def build_work(world: KojiWorld) -> BuildResolution:
    return BuildResolution(
        world.database,
        world.koji,
        world.config,
        Buildroots(world.koji, world.config),
        DependencyIds(1000),
        clock=lambda: world.now,
    )


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
