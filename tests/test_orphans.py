"""Dependencies that nothing names are deleted while others work, and nothing ever names one that is not there."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text

from koschei import branching, orphans
from koschei.audit import Actor
from koschei.branching import Wish
from koschei.build_resolution import compare
from koschei.db.engine import Database
from koschei.dependencies import DependencyIds, naming, store_dependencies, unpack
from koschei.depsolve.interface import Nevra
from koschei.errors import ServiceError
from koschei.model import (
    AppliedChange,
    Build,
    BuildDependencies,
    Cause,
    Collection,
    Dependency,
    Environment,
    LogEntry,
    Package,
    UnappliedChange,
)
from koschei.retention import Kind
from koschei.rules.states import BuildState
from koschei.transitions import changing, lock_packages
from tests.support import wait_for_a_waiter
from tests.world import NOW, ago, filling

ALICE = Actor(Environment.ADMIN, "alice")
NEVRAS = [Nevra(name, 0, str(version), "1", "x86_64") for name in ("gcc", "glibc", "bash") for version in range(12)]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database."""
    database = Database(database_url)
    yield database
    database.dispose()


def quiet(kind: Kind, number: int) -> None:
    """Nobody looks."""


def sweep(database: Database) -> list[str]:
    return orphans.sweep(database, ALICE, "Retention", progress=quiet)


def fill_dependencies(database: Database) -> None:
    """Dependencies named in each of the ways there are, and two that nothing names."""
    with filling(database) as world:
        package = world.package("foo", world.collection())
        changes = [("before", "1-1", None, 1), ("after", None, "1-1", 1), ("both", "1-1", "2-1", 1)]
        build = world.build(package, changes=changes)
        world.pending(package, ("gone", "1-1", None, 1), ("come", None, "1-1", 1), ("pending", "1-1", "2-1", 1))
        brought = [("after", "1-1"), ("both", "2-1"), ("packed", "1-1")]
        store_dependencies(world.session, build.id, [world.dependency(*item) for item in brought])
        world.dependency("orphan", "1-1")
        world.dependency("both", "3-1")


def names(database: Database) -> list[str]:
    with database.begin() as session:
        rows = session.execute(select(Dependency.name, Dependency.version).order_by(Dependency.name, Dependency.id))
        return [f"{name}-{version}" for name, version in rows]


NAMED = ["after-1", "before-1", "both-1", "both-2", "come-1", "gone-1", "packed-1", "pending-1", "pending-2"]


def missing(database: Database) -> set[int]:
    """What is named anywhere and not there: of one snapshot."""
    with database.read() as session:
        there = set(session.scalars(select(Dependency.id)))
        found: set[int | None] = set()
        for table in (AppliedChange, UnappliedChange):
            found.update(session.scalars(select(table.prev_dep_id)))
            found.update(session.scalars(select(table.curr_dep_id)))
        for packed in session.scalars(select(BuildDependencies.packed_ids)):
            found.update(unpack(packed))
        return {number for number in found if number is not None} - there


def test_only_dependencies_that_nothing_names_go(database: Database) -> None:
    fill_dependencies(database)
    assert orphans.count(database) == 2
    assert sweep(database) == ["Retention: Deleted 2 orphaned dependencies"]
    assert sorted(names(database)) == NAMED
    assert orphans.count(database) == 0
    assert sweep(database) == []


def test_they_go_in_portions_and_each_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "CANDIDATES_AT_ONCE", 3)
    monkeypatch.setattr(orphans, "RANGE", 5)
    monkeypatch.setattr(orphans, "SETS_AT_ONCE", 1)
    monkeypatch.setattr(orphans, "CHANGES_AT_ONCE", 1)
    fill_dependencies(database)
    with database.begin() as session:
        DependencyIds(100).ids(session, NEVRAS)
    told: list[int] = []
    orphans.sweep(database, ALICE, "x", progress=lambda kind, number: told.append(number))
    assert sum(told) == 2 + len(NEVRAS)
    assert max(told) <= 3
    assert sorted(names(database)) == NAMED


def test_what_was_deleted_before_ctrl_c_is_on_record(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "CANDIDATES_AT_ONCE", 1)
    fill_dependencies(database)

    def pressed(kind: Kind, number: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        orphans.sweep(database, ALICE, "Retention", progress=pressed)
    with database.begin() as session:
        message = session.scalars(select(LogEntry.message)).one()
    assert message == "Retention: Deleted 1 orphaned dependencies, then was interrupted"
    assert sweep(database) == ["Retention: Deleted 1 orphaned dependencies"]


# While others work


def test_an_id_that_is_remembered_but_deleted_is_made_anew(database: Database) -> None:
    ids = DependencyIds(100)
    with database.begin() as session:
        first = ids.ids(session, NEVRAS)
    ids.remember(first)
    assert sweep(database) == [f"Retention: Deleted {len(NEVRAS)} orphaned dependencies"]
    with database.begin() as session:
        second = ids.ids(session, NEVRAS)
        assert set(session.scalars(select(Dependency.id))) == set(second.values())
    assert not set(first.values()) & set(second.values())


def test_what_somebody_is_about_to_name_stays(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver holds ids that nothing names yet: the sweep waits for its end, and sees what it stored."""
    monkeypatch.setattr(orphans, "PAUSE", 0.01)
    with filling(database) as world:
        build = world.build(world.package("foo", world.collection()))
        world.dependency("gcc", "0-1")
    sweeping = threading.Thread(target=sweep, args=(database,))
    with database.begin() as session:
        numbers = DependencyIds(100).ids(session, NEVRAS[:5]).values()
        sweeping.start()
        wait_for_a_waiter(database)
        store_dependencies(session, build.id, numbers)
    sweeping.join(60)
    assert not sweeping.is_alive()
    with database.begin() as session:
        assert set(session.scalars(select(Dependency.id))) == set(numbers)


def test_what_is_named_after_the_sweep_has_looked_stays(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each of the ways there are, and by an old build: what counts is when it was stored."""
    with filling(database) as world:
        package = world.package("foo", world.collection())
        old, new = world.build(package, hours=20), world.build(package, hours=10)
        store_dependencies(world.session, new.id, [])
        ids = [world.dependency("gcc", f"{i}-1") for i in range(6)]
    look = orphans._candidates

    def looked(*args: Any) -> Iterator[list[int]]:
        found = list(look(*args))
        assert found == [ids]
        with database.begin() as session:
            naming(session)
            store_dependencies(session, old.id, ids[:2])
            session.execute(insert(AppliedChange).values(build_id=old.id, position=0, prev_dep_id=ids[2]))
            session.execute(
                insert(UnappliedChange).values(package_id=package.id, prev_dep_id=ids[3], curr_dep_id=ids[4])
            )
        yield from found

    monkeypatch.setattr(orphans, "_candidates", looked)
    assert sweep(database) == ["Retention: Deleted 1 orphaned dependencies"]
    with database.begin() as session:
        assert list(session.scalars(select(Dependency.id).order_by(Dependency.id))) == ids[:5]


def test_much_that_came_at_once_is_read_while_others_go_on(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "SETS_AT_ONCE", 2)
    with filling(database) as world:
        package = world.package("foo", world.collection())
        builds = [world.build(package, hours=i) for i in range(1, 9)]
        ids = [world.dependency("gcc", f"{i}-1") for i in range(9)]
    look, alone = orphans._candidates, orphans._alone
    times: list[int] = []

    def looked(*args: Any) -> Iterator[list[int]]:
        yield from list(look(*args))

    def counted(*args: Any) -> Any:
        times.append(1)
        if len(times) == 2:
            with database.begin() as session:
                naming(session)
                for build, number in zip(builds, ids, strict=False):
                    store_dependencies(session, build.id, [number])
        return alone(*args)

    monkeypatch.setattr(orphans, "_candidates", looked)
    monkeypatch.setattr(orphans, "_alone", counted)
    assert sweep(database) == ["Retention: Deleted 1 orphaned dependencies"]
    assert len(times) == 3
    assert missing(database) == set()


def test_a_sweep_gives_up_when_others_never_stop_and_they_do_not_wait_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "PATIENCE", 0.3)
    monkeypatch.setattr(orphans, "PAUSE", 0.01)
    with database.begin() as session, database.begin() as other:
        naming(session)
        with pytest.raises(ServiceError, match=r"no moment without somebody storing.*Run this again"):
            sweep(database)
        other.execute(text("SET LOCAL lock_timeout = '5s'"))
        naming(other)


def test_a_branch_copies_what_a_sweep_left_not_what_was_there_before(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the sweep with its snapshot still to be taken: or it would copy builds that are gone by then."""
    with filling(database) as world:
        package = world.package("foo", world.collection("f1"))
        build = world.build(package, hours=20)
        world.build(package, hours=10)
        store_dependencies(world.session, build.id, [world.dependency("gcc", "1-1")])
    thread = threading.Thread(target=branch, args=(database, "f1", "f2"))
    with database.begin() as session:
        session.execute(orphans.EXCLUSIVE)
        thread.start()
        wait_for_a_waiter(database)
        session.execute(delete(Build).where(Build.id == build.id))
        session.execute(delete(Dependency))
    thread.join(60)
    with database.begin() as session:
        assert session.scalar(select(func.count()).select_from(Collection)) == 2
        assert session.scalar(select(func.count()).select_from(Build)) == 2
    assert missing(database) == set()


class Targets:
    """All that branching asks of Koji: it has every target."""

    def read(self, method: str, name: str) -> dict[str, object]:
        tags = {"build_tag": 1, "build_tag_name": f"{name}-build", "dest_tag": 2, "dest_tag_name": name}
        return {"id": 1, "name": name, **tags}


def branch(database: Database, old: str, new: str) -> None:
    koji: Any = Targets()
    branching.branch(database, ALICE, koji, old, new, Wish(new, new), now=NOW)


class Work:
    """What goes on at random: each method is a transaction of a service or an operator, as they would do it."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.dice = random.Random(seed)
        self.ids = DependencyIds(self.dice.choice([3, 100]))

    def package(self) -> int:
        with self.database.begin() as session:
            return self.dice.choice(session.scalars(select(Package.id)).all())

    def resolve_build(self) -> None:
        """A new build with its set, and its changes against the one before it."""
        package_id, seen = self.package(), self.dice.sample(NEVRAS, 6)
        new = {}
        try:
            with (
                self.database.begin() as session,
                changing(session, [package_id], Cause.BUILD, now=NOW) as packages,
            ):
                if packages:
                    build = Build(package_id=package_id, state=BuildState.COMPLETE, real=True, deps_resolved=True)
                    build.started = build.finished = ago(self.dice.uniform(1, 500))
                    build.version, build.release, build.evr_key = "1", "1", b""
                    session.add(build)
                    session.flush()
                    new = self.ids.ids(session, seen)
                    store_dependencies(session, build.id, new.values())
                    compare(session, build, dict)
                    if self.dice.random() < 0.2:
                        raise CrashError
        except CrashError:
            return
        self.ids.remember(new)

    def resolve_package(self) -> None:
        """Pending changes of a package are others now."""
        package_id, seen = self.package(), self.dice.sample(NEVRAS, 2)
        with self.database.begin() as session:
            lock_packages(session, [package_id])
            new = self.ids.ids(session, seen)
            session.execute(delete(UnappliedChange).where(UnappliedChange.package_id == package_id))
            if session.get(Package, package_id) is not None:
                first, second = new.values()
                row = {"package_id": package_id, "prev_dep_id": first, "curr_dep_id": second}
                session.execute(insert(UnappliedChange), [row])
        self.ids.remember(new)

    def forget_builds(self) -> None:
        """Most builds of a package go, as by retention."""
        package_id = self.package()
        with self.database.begin() as session:
            lock_packages(session, [package_id])
            found = session.scalars(select(Build.id).where(Build.package_id == package_id)).all()
            gone = self.dice.sample(found, len(found) * 2 // 3)
            session.execute(delete(AppliedChange).where(AppliedChange.build_id.in_(gone)))
            session.execute(delete(Build).where(Build.id.in_(gone)))

    def branch_and_delete(self) -> None:
        """The collection becomes another one, which goes; its copy goes on."""
        new = f"f{self.dice.randrange(10**9)}"
        branch(self.database, "main", new)
        branching.delete(self.database, ALICE, new, force=True)

    def sweep(self) -> None:
        try:
            sweep(self.database)
        except ServiceError:
            return


class CrashError(Exception):
    """The process dies before it commits."""


@pytest.mark.parametrize("seed", range(2))
def test_nothing_ever_names_a_dependency_that_is_not_there(
    database: Database, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(orphans, "CANDIDATES_AT_ONCE", 2)
    monkeypatch.setattr(orphans, "SETS_AT_ONCE", 3)
    monkeypatch.setattr(orphans, "PAUSE", 0.002)
    monkeypatch.setattr(orphans, "PATIENCE", 2.0)
    with filling(database) as world:
        collection = world.collection("main")
        for name in "abcd":
            world.package(name, collection)
    until = time.monotonic() + 4
    troubles: list[BaseException] = []
    done: list[str] = []

    def work(seed: int, *chores: str) -> None:
        mine = Work(database, seed)
        try:
            while time.monotonic() < until and not troubles:
                chore = mine.dice.choice(chores)
                getattr(mine, chore)()
                done.append(chore)
        except BaseException as error:
            troubles.append(error)

    resolver = ("resolve_build", "resolve_package")
    chores = [resolver, resolver, ("forget_builds",), ("branch_and_delete",), ("sweep",)]
    threads = [threading.Thread(target=work, args=(10 * seed + i, *what)) for i, what in enumerate(chores)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert missing(database) == set()
        threads[0].join(0.05)
    if troubles:
        raise troubles[0]
    assert missing(database) == set()
    assert {chore for what in chores for chore in what} == set(done)
    with database.begin() as session:
        assert session.scalars(text("SELECT generation FROM dependency_sweep")).one() > 1


@given(st.lists(st.sets(st.integers(1, 5000))))
def test_what_is_named_is_remembered_exactly(sets: list[set[int]]) -> None:
    named = orphans.Named()
    for ids in sets:
        named.add(ids)
    assert {i for i in range(5100) if i in named} == {i for ids in sets for i in ids}
