"""Binary packages as ids, and the set of a build packed into few bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from koschei.db.engine import Database
from koschei.dependencies import DependencyIds, load_dependencies, pack, store_dependencies, unpack
from koschei.depsolve.interface import Nevra
from koschei.model import Dependency
from tests.world import filling

NEVRAS = [Nevra(f"lib{i}", i % 3, f"1.{i}", "1.fc43", "x86_64") for i in range(20)]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


@given(st.sets(st.integers(min_value=0, max_value=2**32 - 1), max_size=200))
def test_packing_loses_nothing(ids: set[int]) -> None:
    assert unpack(pack(ids)) == sorted(ids)


def test_ids_too_far_apart_are_refused_instead_of_garbled() -> None:
    with pytest.raises(OverflowError, match="too far apart"):
        pack([1, 2**32 + 1])


def test_the_set_of_a_typical_build_takes_few_bytes() -> None:
    assert len(pack(range(100_000, 300_000, 731))) < 500


def test_each_package_has_one_id_whoever_asks(database: Database) -> None:
    with database.begin() as session:
        first = DependencyIds(100).ids(session, NEVRAS)
    with database.begin() as session:
        second = DependencyIds(100).ids(session, [*reversed(NEVRAS), NEVRAS[0]])
        assert session.execute(select(func.count()).select_from(Dependency)).scalar_one() == len(NEVRAS)
    assert first == second
    assert len(set(first.values())) == len(NEVRAS)


def test_remembered_ids_are_not_looked_up_again_and_the_least_used_are_forgotten(database: Database) -> None:
    ids = DependencyIds(10)
    with database.begin() as session:
        found = ids.ids(session, NEVRAS)
        ids.remember({nevra: found[nevra] for nevra in NEVRAS})
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    with database.begin() as session:
        ids.ids(session, NEVRAS[10:])
        assert [sql for sql in asked if "dependency AS d" in sql] == []
        assert len(asked) == 1  # the lock, and whether any was deleted
        ids.ids(session, NEVRAS[:1])
        assert len([sql for sql in asked if "dependency AS d" in sql]) == 1


def test_ids_of_a_transaction_that_failed_are_not_remembered(database: Database) -> None:
    ids = DependencyIds(100)
    with database.begin() as session:
        ids.ids(session, NEVRAS[:1])
        session.rollback()
    with database.begin() as session:
        number = ids.ids(session, NEVRAS[:1])[NEVRAS[0]]
        assert session.get(Dependency, number) is not None


def test_two_processes_that_meet_the_same_packages_agree(database: Database) -> None:
    barrier = threading.Barrier(2, timeout=60)
    answers: list[dict[Nevra, int]] = []

    def work(order: list[Nevra]) -> None:
        with database.begin() as session:
            barrier.wait()
            answers.append(DependencyIds(100).ids(session, order))

    threads = [threading.Thread(target=work, args=(order,)) for order in (NEVRAS, NEVRAS[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 2
    assert answers[0] == answers[1]


def test_a_builds_set_is_stored_once_and_read_back(database: Database) -> None:
    with filling(database) as world:
        package = world.package("foo", world.collection())
        build = world.build(package)
        empty = world.build(package, hours=5)
        ids = DependencyIds(100).ids(world.session, NEVRAS)
        store_dependencies(world.session, build.id, ids.values())
        store_dependencies(world.session, build.id, [])
        store_dependencies(world.session, empty.id, [])
        sets = load_dependencies(world.session, [build.id, empty.id, 4711])
        assert {d.id for d in sets[build.id]} == set(ids.values())
        assert sets[empty.id] == []
        assert 4711 not in sets
