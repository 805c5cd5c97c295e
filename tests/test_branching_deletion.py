"""Deleting collections: all of one goes, nothing of another, and an interruption does no harm."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from koschei import branching
from koschei.db.engine import Database
from koschei.db.locks import LockSpace, trying_lock
from koschei.errors import NotAllowedError, NotFoundError, ServiceError
from koschei.model import Base, Collection, LogEntry
from koschei.rules.states import PackageState
from tests.support import wait_for_a_waiter
from tests.test_branching import ALICE, evidence, named, package, rows
from tests.world import filling


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    yield found
    found.dispose()


def two_collections(database: Database) -> None:
    with filling(database) as world:
        for name in ("f1", "f2"):
            collection = world.collection(name)
            evidence(world, collection)
            world.repository(collection, 7, 1, 1)
            world.collection_group(f"group-{name}", "Group", collection)


def contents(session: Session) -> dict[str, int]:
    """How many rows each table has."""
    tables = (table for table in Base.metadata.sorted_tables if table.name not in ("log_entry", "user"))
    return {table.name: session.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}


SHARED = {"base_package", "dependency", "collection_group"}


def test_a_collection_with_packages_is_not_deleted_by_mistake(database: Database) -> None:
    two_collections(database)
    with database.begin() as session:
        before = contents(session)
    with pytest.raises(NotAllowedError, match=r"f1 has 3 packages.*--force"):
        branching.delete(database, ALICE, "f1", force=False)
    with database.begin() as session:
        assert contents(session) == before
        assert rows(session, LogEntry) == []


def test_an_empty_collection_is_deleted_without_much_ado(database: Database) -> None:
    with filling(database) as world:
        world.collection("f1")
    assert branching.delete(database, ALICE, "f1", force=False) == ["Collection f1 deleted"]
    with database.begin() as session:
        assert rows(session, Collection) == []


def test_a_collection_goes_with_all_that_is_in_it_and_another_one_stays(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branching, "BATCH", 2)
    two_collections(database)
    with database.begin() as session:
        before = contents(session)
    seen: list[tuple[int, int]] = []
    said: list[str] = []
    messages = branching.delete(
        database, ALICE, "f1", force=True, say=said.append, progress=lambda done, total: seen.append((done, total))
    )
    assert messages == ["Collection f1 deleted"]
    assert seen == [(2, 3), (3, 3)]
    assert said[0].startswith("Deletion of collection f1 begun: 3 packages")
    with database.begin() as session:
        after = contents(session)
        assert {name: after[name] for name in SHARED} == {name: before[name] for name in SHARED}
        halved = {name: number for name, number in before.items() if name not in SHARED}
        assert {name: after[name] * 2 for name in halved} == halved
        assert named(session, "f2").latest_repo_id is not None
        assert package(session, "foo", "f2").state is PackageState.FAILING


@contextmanager
def pressed_after(database: Database, transactions: int) -> Iterator[Any]:
    left = [transactions]

    @contextmanager
    def begin() -> Iterator[Session]:
        with database.begin() as session:
            yield session
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt

    yield begin


@pytest.mark.parametrize("transactions", range(6))
def test_an_interrupted_deletion_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch, transactions: int
) -> None:
    monkeypatch.setattr(branching, "BATCH", 1)
    two_collections(database)
    with pressed_after(database, transactions) as begin, pytest.raises(KeyboardInterrupt):
        branching.delete(database, ALICE, "f1", force=True, begin=begin)
    with database.begin() as session:
        assert named(session, "f1")
    assert branching.delete(database, ALICE, "f1", force=True) == ["Collection f1 deleted"]
    with database.begin() as session:
        assert [row["name"] for row in rows(session, Collection)] == ["f2"]
        assert contents(session)["package"] == 3


def test_what_came_at_the_last_moment_goes_with_all_that_is_in_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_collections(database)
    with database.begin() as session:
        before = contents(session)
    monkeypatch.setattr(branching, "_delete_some", lambda begin, collection_id: 0)
    branching.delete(database, ALICE, "f1", force=True)
    with database.begin() as session:
        after = contents(session)
    assert {name: after[name] * (1 if name in SHARED else 2) for name in after} == before


def test_a_deletion_begins_when_the_resolver_is_done_and_keeps_it_away_until_its_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_collections(database)
    with database.begin() as session:
        number = named(session, "f1").id
    free: list[bool] = []

    def looked(begin: Any, collection_id: int) -> int:
        with trying_lock(database.engine, LockSpace.REPO_RESOLVER, collection_id) as mine:
            free.append(mine)
        return delete_some(begin, collection_id)

    delete_some = branching._delete_some
    monkeypatch.setattr(branching, "_delete_some", looked)
    said: list[str] = []
    with deleting_while_resolved(database, number, said) as deletion, database.begin() as session:
        assert named(session, "f1").latest_repo_id == 6_700_000
        assert rows(session, LogEntry) == []
    assert deletion.result() == ["Collection f1 deleted"]
    assert said[0].startswith("The repo-resolver, or another deletion, is at work in f1: waiting for its end, 15 min")
    assert free == [False, False]


@contextmanager
def deleting_while_resolved(database: Database, number: int, said: list[str]) -> Iterator[Future[list[str]]]:
    """A deletion of f1 that waits for the resolver, which goes on to the end of the block."""
    with ThreadPoolExecutor() as other:
        with trying_lock(database.engine, LockSpace.REPO_RESOLVER, number) as mine:
            assert mine
            deletion = other.submit(branching.delete, database, ALICE, "f1", force=True, say=said.append)
            wait_for_a_waiter(database)
            yield deletion
        deletion.result(30)


def test_a_deletion_that_waits_for_the_resolver_in_vain_changes_nothing(database: Database) -> None:
    two_collections(database)
    with database.begin() as session:
        before, number = contents(session), named(session, "f1").id
    with (
        trying_lock(database.engine, LockSpace.REPO_RESOLVER, number),
        pytest.raises(ServiceError, match=r"nothing was deleted\. Try again later, or stop the repo-resolver"),
    ):
        branching.delete(database, ALICE, "f1", force=True, patience=timedelta(seconds=0.1))
    with database.begin() as session:
        assert contents(session) == before
        assert named(session, "f1").latest_repo_id == 6_700_000
        assert rows(session, LogEntry) == []
    assert branching.delete(database, ALICE, "f1", force=True) == ["Collection f1 deleted"]


def test_nobody_deletes_what_is_not_there(database: Database) -> None:
    with pytest.raises(NotFoundError, match="Collection not found: f9"):
        branching.delete(database, ALICE, "f9", force=True)
