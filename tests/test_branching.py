"""Branching and forking collections: what is copied, what is not, and that nobody notices too much of it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from koschei import branching, builds, submission
from koschei.audit import BACKEND, Actor
from koschei.branching import Wish
from koschei.db.engine import Database
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from koschei.model import (
    AppliedChange,
    Base,
    Build,
    BuildDependencies,
    Cause,
    Collection,
    CollectionGroup,
    Environment,
    KojiTask,
    LogEntry,
    OutboxEvent,
    Package,
    PackageStateChange,
    ResolutionChange,
    ResolutionProblem,
    UnappliedChange,
)
from koschei.queries import package as queries
from koschei.rules.states import BuildState, PackageState
from koschei.transitions import derive
from tests.koji_world import KojiWorld, koji_world, source
from tests.support import wait_for_a_waiter
from tests.world import NOW, World, filling

ALICE = Actor(Environment.ADMIN, "alice")
BRANCHED = Wish("Fedora 43", "f44", bugzilla_version="43")
MONTHS = 24 * 70


@pytest.fixture
def koji(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    """A hub with the targets f43 and f44, and the collection f43, which has no package yet."""
    with koji_world(tmp_path, database_url, (source("foo", "1", "gcc"),)) as world:
        world.hub.add_tag("f44", arches="x86_64")
        world.hub.add_tag("f44-build", arches="x86_64", parents=["f44"])
        world.hub.add_target("f44", build_tag="f44-build", dest_tag="f44")
        yield world


def named(session: Session, name: str) -> Collection:
    return session.scalars(select(Collection).where(Collection.name == name)).one()


def branch(koji: KojiWorld, wish: Wish = BRANCHED, old: str = "f43", new: str = "f44", now: Any = NOW) -> list[str]:
    return branching.branch(koji.database, ALICE, koji.koji, old, new, wish, now=now)


def fork(koji: KojiWorld) -> list[str]:
    wish = Wish("A fork", "f44")
    return branching.fork(koji.database, ALICE, koji.koji, "f43", "side", wish, now=NOW)


def package(session: Session, name: str, collection: str) -> Package:
    query = select(Package).join(Collection).where(Package.name == name, Collection.name == collection)
    return session.scalars(query).one()


def rows(session: Session, model: type[Base]) -> list[dict[str, Any]]:
    """Everything in a table."""
    table = Base.metadata.tables[model.__tablename__]
    found = session.execute(select(table).order_by(*table.primary_key.columns)).mappings()
    return [dict(row) for row in found]


def evidence(world: World, collection: Collection) -> None:
    """One package with everything that can be copied, and some that must not be."""
    foo = world.package("foo", collection, static_priority=7, manual_priority=3, arch_override="x86_64")
    ancient = world.build(foo, BuildState.FAILED, hours=2 * MONTHS, evr="0.1-1")
    bad = world.build(
        foo,
        BuildState.FAILED,
        hours=MONTHS,
        evr="1.0-1",
        tasks={"x86_64": 5, "noarch": 2},
        changes=[("gcc", "1-1", "2-1", 1), ("new", None, "1-1", None)],
        fault_code=1000,
        fault_text="it does not compile",
    )
    world.session.add(BuildDependencies(build_id=bad.id, packed_ids=b"123"))
    world.build(foo, BuildState.SPOILED, hours=30)
    world.moved(foo, PackageState.UNKNOWN, PackageState.OK, 3 * MONTHS, build=ancient)
    world.moved(foo, PackageState.OK, PackageState.FAILING, 2 * MONTHS, build=ancient)
    world.moved(foo, PackageState.FAILING, PackageState.OK, 1.5 * MONTHS)
    world.moved(foo, PackageState.OK, PackageState.FAILING, MONTHS, build=bad)
    world.resolution(foo, 3 * MONTHS, "nothing provides x", "nothing provides y")
    world.resolution(foo, 2 * MONTHS)
    world.pending(foo, ("gcc", "2-1", "3-1", 1))
    world.problems(collection, "bash is missing")
    running = world.package("running", collection, blocked=True)
    world.build(running, hours=4)
    world.build(running, BuildState.RUNNING, hours=1)
    world.package("bare", collection, tracked=False, skip_resolution=True, resolved=None)


def test_the_collection_becomes_the_new_release_and_a_copy_keeps_its_name(koji: KojiWorld) -> None:
    with filling(koji.database) as world:
        old = named(world.session, "f43")
        old.display_name, old.order, old.bugzilla_product, old.bugzilla_version = "Rawhide", 43, "Fedora", "rawhide"
        old.priority_coefficient, old.poll_untracked, old.build_group = 0.5, False, "build"
        old.latest_repo_id, old.latest_repo_resolved = 5, True
        world.collection_group("fedora", "Fedora", old)
        old_id = old.id
    messages = branch(koji)
    assert messages[-1] == "Collection f43 branched: it is f44 now, and its copy f43 has 0 packages and 0 builds"
    with koji.database.begin() as session:
        new, copy = named(session, "f44"), named(session, "f43")
        assert new.id == old_id
        assert (new.display_name, new.order, new.bugzilla_version) == ("Rawhide", 44, "rawhide")
        assert (new.target, new.build_tag, new.dest_tag) == ("f44", "f44-build", "f44-build")
        assert (new.latest_repo_id, new.latest_repo_resolved) == (None, None)  # it was another buildroot's
        assert (copy.display_name, copy.order, copy.bugzilla_product) == ("Fedora 43", 43, "Fedora")
        assert (copy.target, copy.build_tag, copy.dest_tag) == ("f43", "f43-build", "f43")
        assert (copy.bugzilla_version, copy.priority_coefficient, copy.poll_untracked) == ("43", 0.5, False)
        assert (copy.latest_repo_id, copy.latest_repo_resolved) == (None, None)
        group = session.scalars(select(CollectionGroup)).one()
        assert [collection.name for collection in group.collections] == ["f44", "f43"]
        assert list(session.scalars(select(LogEntry.message).order_by(LogEntry.id))) == messages


def test_a_tag_that_is_given_is_the_new_releases(koji: KojiWorld) -> None:
    branch(koji, Wish("Fedora 43", "f44", dest_tag="f44"))
    with koji.database.begin() as session:
        assert named(session, "f44").dest_tag == "f44"
        assert named(session, "f43").bugzilla_version is None


def test_packages_take_their_history_with_them(koji: KojiWorld) -> None:
    with filling(koji.database) as world:
        evidence(world, named(world.session, "f43"))
    branch(koji)
    with koji.database.begin() as session:
        old, new = package(session, "foo", "f44"), package(session, "foo", "f43")
        assert (new.static_priority, new.manual_priority, new.arch_override) == (7, 3, "x86_64")
        assert (new.state, new.state_since, new.resolved) == (PackageState.FAILING, old.state_since, True)
        assert (new.needs_resolution, package(session, "bare", "f43").needs_resolution) == (True, False)

        history, copies = (queries.history(session, found.id, None, 10).builds for found in (old, new))
        assert [build.state.word for build in copies] == [build.state.word for build in history[:2]]
        assert [build.copied_from for build in copies] == [build.id for build in history[:2]]
        assert [build.task_id for build in copies] == [build.task_id for build in history[:2]]
        bad = copies[1]
        assert (bad.id, bad.fault_text) == (new.last_complete_build_id, "it does not compile")
        tasks = session.scalars(select(KojiTask).where(KojiTask.build_id == bad.id).order_by(KojiTask.arch))
        assert [(task.arch, task.state) for task in tasks] == [("noarch", 2), ("x86_64", 5)]
        packed = session.scalars(select(BuildDependencies.packed_ids).where(BuildDependencies.build_id == bad.id))
        assert packed.one() == b"123"
        changes = select(AppliedChange).where(AppliedChange.build_id == bad.id).order_by(AppliedChange.position)
        found = [
            (change.prev and change.prev.version, change.curr and change.curr.version, change.distance)
            for change in session.scalars(changes)
        ]
        assert found == [("1", "2", 1), (None, "1", None)]

        answers = [
            [(answer.resolved, answer.problems) for answer in queries.resolutions(session, found.id, None, 10)]
            for found in (old, new)
        ]
        assert answers[0] == answers[1] != []
        assert session.scalar(select(func.count()).select_from(ResolutionProblem)) == 4
        moves = queries.state_changes(session, new.id, 10)
        assert [(move.new, move.build_id) for move in moves] == [
            (PackageState.FAILING, bad.id),
            (PackageState.OK, None),
        ]


def test_what_belongs_to_the_moment_is_not_copied(koji: KojiWorld) -> None:
    with filling(koji.database) as world:
        evidence(world, named(world.session, "f43"))
    branch(koji)
    with koji.database.begin() as session:
        ids = select(Package.id).where(Package.collection_id == named(session, "f43").id)
        assert session.scalars(select(UnappliedChange).where(UnappliedChange.package_id.in_(ids))).all() == []
        assert session.scalars(select(OutboxEvent)).all() == []


def test_nothing_of_the_old_packages_changes(koji: KojiWorld) -> None:
    with filling(koji.database) as world:
        evidence(world, named(world.session, "f43"))
    tables = (Package, Build, KojiTask, BuildDependencies, AppliedChange, ResolutionChange, PackageStateChange)
    with koji.database.begin() as session:
        before = {model: rows(session, model) for model in tables}
    branch(koji)
    with koji.database.begin() as session:
        for model in tables:
            after = rows(session, model)
            assert [row for row in after if row in before[model]] == before[model]
            assert len(after) > len(before[model])


def test_a_fork_has_what_states_rest_on_and_the_other_collection_stays(koji: KojiWorld) -> None:
    with filling(koji.database) as world:
        evidence(world, named(world.session, "f43"))
        before = rows(world.session, Collection)
    assert fork(koji)[-1] == "Collection f43 forked: side has 3 packages and 2 builds"
    with koji.database.begin() as session:
        assert rows(session, Collection)[:-1] == before
        side = named(session, "side")
        assert (side.display_name, side.target, side.dest_tag, side.order) == ("A fork", "f44", "f44-build", 100)
        running = package(session, "running", "side")
        assert running.running_build_id is None
        assert running.last_build_id == running.last_complete_build_id is not None
        foo = package(session, "foo", "side")
        assert foo.state is PackageState.FAILING
        assert [build.version for build in queries.history(session, foo.id, None, 10).builds] == ["1.0"]
        assert [move.new for move in queries.state_changes(session, foo.id, 10)] == [
            PackageState.FAILING,
            PackageState.OK,
        ]
        assert [answer.resolved for answer in queries.resolutions(session, foo.id, None, 10)] == [True]


def chaos(world: World, collection: Collection, seed: int) -> None:
    """Packages with builds of all kinds at all times, some begun in the same moment."""
    dice = random.Random(seed)
    for number in range(40):
        found = world.package(f"p{number}", collection, resolved=dice.choice([True, False, None]))
        for _ in range(dice.randrange(6)):
            state = dice.choice([BuildState.COMPLETE, BuildState.FAILED, BuildState.SPOILED, BuildState.CANCELED])
            world.build(
                found,
                state,
                hours=dice.choice([1, 1, 20, 300, 743, 745, 2000]),
                untagged=dice.random() < 0.2,
                real=state.counted and dice.random() < 0.4,
            )
        if dice.random() < 0.4:
            intention: dict[str, Any] = {"task_id": None, "submission": {"source": "x", "target": "y"}}
            columns = intention if dice.random() < 0.5 else {}
            world.build(found, BuildState.RUNNING, hours=dice.choice([0.5, 2, 1000]), **columns)


@pytest.mark.parametrize("forked", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_copies_are_as_if_they_had_been_derived(koji: KojiWorld, seed: int, forked: bool) -> None:
    with filling(koji.database) as world:
        chaos(world, named(world.session, "f43"), seed)
    if forked:
        fork(koji)
    else:
        branch(koji)
    with koji.database.begin() as session:
        assert session.scalar(select(func.count()).select_from(Package)) == 80
        before = rows(session, Package)
        derive(session, session.scalars(select(Package.id)).all())
        assert rows(session, Package) == before
        copies = session.scalars(select(Build).where(Build.copied_from.is_not(None))).all()
        assert copies
        assert all(build.task_id is not None for build in copies)


def test_a_target_that_is_changed_while_koji_is_asked_is_not_overlooked(koji: KojiWorld) -> None:
    @contextmanager
    def begin() -> Iterator[Session]:
        with koji.database.begin() as session:
            named(session, "f43").target = "f44"
        with koji.database.begin() as session:
            yield session

    with pytest.raises(InvalidInputError, match="f43 was given another target just now"):
        branching.branch(koji.database, ALICE, koji.koji, "f43", "f44", BRANCHED, now=NOW, begin=begin)
    with koji.database.begin() as session:
        assert session.scalars(select(Collection.name)).all() == ["f43"]


def test_copies_of_copies_are_made_over_one_connection(koji: KojiWorld) -> None:
    database = Database(koji.database.url, pool_size=1, max_overflow=0)
    with filling(database) as world:
        chaos(world, named(world.session, "f43"), 1)
    for new in ("f44", "f45"):
        branching.branch(database, ALICE, koji.koji, "f43", new, BRANCHED, now=NOW)
    with database.begin() as session:
        counts = session.execute(select(func.count(Package.id)).group_by(Package.collection_id)).all()
        assert counts == [(40,)] * 3
    database.dispose()


def test_a_running_build_is_followed_to_its_end_in_both(koji: KojiWorld) -> None:
    koji.poll()
    with koji.database.begin() as session:
        found = named(session, "f43")
        found.latest_repo_id, found.latest_repo_resolved = 2, True
    koji.set("foo", resolved=True, needs_resolution=False)
    foo = koji.package("foo")
    answer = submission.submit(koji.database, koji.koji, koji.config, foo.id, actor=BACKEND, now=koji.now)
    assert isinstance(answer, submission.Submitted)
    branch(koji, now=koji.now)
    for _ in range(10):
        koji.later(seconds=10)
    task = answer.task_id
    assert builds.refresh(koji.database, koji.koji, koji.config, koji.now, task_id=task) == 2
    with koji.database.begin() as session:
        for collection in ("f43", "f44"):
            found_package = package(session, "foo", collection)
            assert found_package.running_build_id is None
            assert found_package.last_complete_build_state is BuildState.COMPLETE
            build = session.get(Build, found_package.last_complete_build_id)
            assert build is not None
            assert (build.task_id, build.real) == (task, False)


def test_a_submission_without_an_answer_is_reconciled_once(koji: KojiWorld) -> None:
    koji.poll()
    foo = koji.package("foo")
    with koji.database.begin() as session:
        intention = {"source": "cli-build/foo.src.rpm", "target": "f43", "opts": {"scratch": True}}
        build = Build(package_id=foo.id, started=koji.now, version="1", release="1", evr_key=b"", submission=intention)
        session.add(build)
        session.flush()
        derive(session, [foo.id])
    branch(koji, now=koji.now)
    with koji.database.begin() as session:
        assert package(session, "foo", "f43").running_build_id is None
        assert package(session, "foo", "f44").running_build_id is not None
        task = session.scalars(select(Build.id).where(Build.state == BuildState.RUNNING)).all()
        assert len(task) == 1
    later = koji.later(seconds=koji.config.koji_config.submit_grace + 60)
    assert submission.reconcile(koji.database, koji.koji, koji.config, later) == 1


@pytest.mark.parametrize(
    ("old", "new", "target", "error", "words"),
    [
        ("f99", "f44", "f44", NotFoundError, "Collection not found: f99"),
        ("f43", "f43", "f44", AlreadyExistsError, "Branched collection exists already: f43"),
        ("f43", "f44", "f99", NotFoundError, "Target not found in Koji: f99"),
    ],
)
def test_what_cannot_be_branched_stays(
    koji: KojiWorld, old: str, new: str, target: str, error: type[Exception], words: str
) -> None:
    with koji.database.begin() as session:
        before = rows(session, Collection)
    with pytest.raises(error, match=words):
        branch(koji, Wish("x", target), old, new)
    with koji.database.begin() as session:
        assert rows(session, Collection) == before
        assert rows(session, LogEntry) == []


def test_a_collection_that_is_changed_at_the_same_moment_is_branched_as_it_is_then(koji: KojiWorld) -> None:
    said: list[str] = []
    with koji.database.begin() as session:
        named(session, "f43").order = 7
        session.flush()
        thread = threading.Thread(target=lambda: said.extend(branch(koji)))
        thread.start()
        wait_for_a_waiter(koji.database)
    thread.join(30)
    assert said
    with koji.database.begin() as session:
        assert (named(session, "f43").order, named(session, "f44").order) == (7, 8)


def test_a_name_that_is_taken_at_the_same_moment_is_refused_as_any_other(koji: KojiWorld) -> None:
    caught: list[Exception] = []

    def work() -> None:
        try:
            branch(koji)
        except AlreadyExistsError as error:
            caught.append(error)

    with filling(koji.database) as world:
        world.collection("f44")
        thread = threading.Thread(target=work)
        thread.start()
        wait_for_a_waiter(koji.database)
    thread.join(30)
    assert [str(error) for error in caught] == ["Branched collection exists already: f44. Choose another name"]


def test_the_branch_of_a_deleted_collection_lives_on(koji: KojiWorld) -> None:
    with filling(koji.database) as world:
        evidence(world, named(world.session, "f43"))
    branch(koji)
    branching.delete(koji.database, ALICE, "f44", force=True)
    with koji.database.begin() as session:
        before = rows(session, Package)
        assert len(before) == 3
        derive(session, [row["id"] for row in before])
        assert rows(session, Package) == before
        assert queries.state_changes(session, package(session, "foo", "f43").id, 1)[0].cause is Cause.BUILD
