"""Resolving a collection: what is stored for each package, when it is announced, and that little is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update

from demo.hub import Binary
from koschei.dependencies import load_dependencies
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
)
from koschei.rules.states import CollectionState, PackageState
from tests.koji_world import KojiWorld, koji_world, source
from tests.resolving import (
    LIBRARY,
    SOURCES,
    examine,
    new_repo,
    problems,
    resolve_builds,
    unapplied,
)


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, SOURCES) as world:
        world.poll()
        yield world


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
