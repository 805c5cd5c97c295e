"""The outbox: events are queued with what they tell of, and taken out in order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from sqlalchemy import select, text

from koschei import outbox
from koschei.db.engine import Database
from koschei.model import BasePackage, Collection, OutboxEvent, Package, PackageGroup, PackageGroupRelation
from koschei.rules.states import CollectionState, PackageState

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TOLD = {PackageState.OK: "ok", PackageState.FAILING: "failing", PackageState.UNRESOLVED: "unresolved"}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    with database.begin() as session:
        collection = Collection(name="f43", display_name="Fedora 43", target="f43", dest_tag="f43", build_tag="f43-b")
        for name in ("bar", "foo", "lone"):
            session.add(Package(base=BasePackage(name=name), name=name, collection=collection, tracked=True))
            session.flush()
        for namespace, group, members in (
            (None, "c", ("foo",)),
            ("ana", "xml", ("foo", "bar")),
            ("ana", "abc", ("foo",)),
        ):
            made = PackageGroup(namespace=namespace, name=group)
            session.add(made)
            session.flush()
            for member in members:
                base = session.scalars(select(BasePackage).where(BasePackage.name == member)).one()
                session.add(PackageGroupRelation(group_id=made.id, base_id=base.id))
    yield database
    database.dispose()


def ids(database: Database) -> dict[str, int]:
    with database.begin() as session:
        return {name: found for found, name in session.execute(select(Package.id, Package.name))}


def move(database: Database, **states: tuple[PackageState, PackageState]) -> None:
    known = ids(database)
    with database.begin() as session:
        outbox.package_states_changed(session, {known[name]: states[name] for name in states})


def events(database: Database) -> list[OutboxEvent]:
    with database.begin() as session:
        return outbox.unsent(session)


def test_an_event_names_the_package_its_states_and_its_groups(database: Database) -> None:
    move(database, foo=(PackageState.OK, PackageState.FAILING))
    (event,) = events(database)
    assert event.kind == "package.state.change"
    assert event.package_id == ids(database)["foo"]
    assert sorted(event.body.pop("groups")) == ["ana/abc", "ana/xml", "c"]
    assert event.body == {
        "name": "foo",
        "old": "ok",
        "new": "failing",
        "repo": "f43",
        "collection": "f43",
        "collection_name": "Fedora 43",
    }


def test_packages_that_moved_together_have_an_event_each_in_a_fixed_order(database: Database) -> None:
    change = (PackageState.OK, PackageState.UNRESOLVED)
    move(database, lone=change, foo=change, bar=change)
    assert [event.body["name"] for event in events(database)] == ["bar", "foo", "lone"]
    assert [event.body["groups"] for event in events(database)][2] == []
    assert len({event.message_id for event in events(database)}) == 3


def test_only_changes_that_messages_can_tell_have_events(database: Database) -> None:
    for prev, new in product(PackageState, repeat=2):
        if prev == new:
            continue
        move(database, foo=(prev, new))
        told = [(event.body["old"], event.body["new"]) for event in events(database)]
        expected = (TOLD.get(prev, "ignored"), TOLD.get(new, "ignored"))
        assert told == ([expected] if expected[0] != expected[1] else [])
        with database.begin() as session:
            session.execute(text("DELETE FROM outbox_event"))


def test_nothing_moved_is_nothing_to_tell(database: Database) -> None:
    move(database)
    assert events(database) == []


def test_a_collection_event_fits_its_schema(database: Database) -> None:
    with database.begin() as session:
        collection = session.scalars(select(Collection)).one()
        outbox.collection_state_changed(session, collection, CollectionState.OK, CollectionState.UNRESOLVED, 77)
    (event,) = events(database)
    assert event.kind == "collection.state.change"
    assert event.body == {
        "old": "ok",
        "new": "unresolved",
        "collection": "f43",
        "collection_name": "Fedora 43",
        "repo_id": "77",
    }


def test_events_are_taken_oldest_first_until_they_are_sent(database: Database) -> None:
    for _ in range(5):
        move(database, foo=(PackageState.OK, PackageState.FAILING))
    all_of_them = [event.id for event in events(database)]
    assert all_of_them == sorted(all_of_them)
    with database.begin() as session:
        outbox.mark_failed(session, all_of_them[0], "the broker is away")
        outbox.mark_failed(session, all_of_them[0], "the broker is still away")
        outbox.mark_sent(session, all_of_them[1], NOW)
    with database.begin() as session:
        assert [event.id for event in outbox.unsent(session, limit=2)] == [all_of_them[0], all_of_them[2]]
        assert [event.id for event in outbox.unsent(session, after=all_of_them[2])] == all_of_them[3:]
        first = session.get_one(OutboxEvent, all_of_them[0])
        assert (first.attempts, first.last_error, first.sent) == (2, "the broker is still away", None)
        second = session.get_one(OutboxEvent, all_of_them[1])
        assert (second.attempts, second.last_error, second.sent) == (1, None, NOW)


def test_the_backlog_counts_what_waits_and_since_when(database: Database) -> None:
    with database.begin() as session:
        assert outbox.backlog(session) == (0, None)
    for _ in range(3):
        move(database, foo=(PackageState.OK, PackageState.FAILING))
    first, *_ = events(database)
    with database.begin() as session:
        session.execute(text("UPDATE outbox_event SET created = :t WHERE id = :i"), {"t": NOW, "i": first.id})
        assert outbox.backlog(session) == (3, NOW)
        outbox.mark_sent(session, first.id, NOW)
    with database.begin() as session:
        count, oldest = outbox.backlog(session)
    assert count == 2
    assert oldest is not None
    assert abs(oldest - datetime.now(UTC)) < timedelta(minutes=5)


def test_what_is_let_go_of_is_neither_sent_nor_waits(database: Database) -> None:
    for _ in range(3):
        move(database, foo=(PackageState.OK, PackageState.FAILING))
    first, second, third = (event.id for event in events(database))
    with database.begin() as session:
        for hours, event_id in ((1, third), (24, second), (25, first)):
            made = {"t": NOW - timedelta(hours=hours), "i": event_id}
            session.execute(text("UPDATE outbox_event SET created = :t WHERE id = :i"), made)
        assert outbox.let_go(session, NOW - timedelta(hours=24), NOW) == 1
        assert outbox.let_go(session, NOW - timedelta(hours=24), NOW) == 0
        assert [event.id for event in outbox.unsent(session)] == [second, third]
        assert outbox.backlog(session) == (2, NOW - timedelta(hours=24))
        assert session.get_one(OutboxEvent, first).skipped == NOW


def test_an_event_that_is_rolled_back_was_never_there(database: Database) -> None:
    known = ids(database)

    def change_and_fail() -> None:
        with database.begin() as session:
            outbox.package_states_changed(session, {known["foo"]: (PackageState.OK, PackageState.FAILING)})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_and_fail()
    assert events(database) == []
