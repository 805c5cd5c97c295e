"""What people ask the services for: who is woken, what is on record, what is refused, and what is left out and why."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import product

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from koschei import requests
from koschei.audit import Actor
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.notify import Listener
from koschei.errors import InvalidInputError, NotFoundError
from koschei.model import Build, Collection, Environment, LogEntry, Package
from koschei.resolution import eligible
from koschei.rights import Person
from koschei.rules.states import BuildState
from tests.support import wait_for_a_waiter
from tests.world import NOW, filling

ALICE = Actor(Environment.FRONTEND, "alice")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """f43 has foo, which is being built, and bar; f44, whose buildroot is broken, has foo too. All were built once."""
    database = Database(database_url)
    with filling(database) as world:
        f43, f44 = world.collection("f43", "Fedora 43"), world.collection("f44", "Fedora 44", resolved=False)
        foo = world.package("foo", f43)
        for package in (foo, world.package("bar", f43), world.package("foo", f44)):
            world.build(package, BuildState.COMPLETE, 10)
        world.build(foo, BuildState.RUNNING, 1)
    with database.begin() as session:
        session.execute(update(Package).values(needs_resolution=False))  # the resolver has answered about the builds
    yield database
    database.dispose()


def named(session: Session, name: str, collection: str = "f43") -> Package:
    query = select(Package).join(Collection).where(Package.name == name, Collection.name == collection)
    return session.scalars(query).one()


def running(session: Session) -> Build:
    return session.scalars(select(Build).where(Build.state == BuildState.RUNNING)).one()


def on_record(session: Session) -> list[tuple[str | None, str, int | None]]:
    """Who did what to which package."""
    entries = session.scalars(select(LogEntry).order_by(LogEntry.id))
    return [(entry.user.name if entry.user else None, entry.message, entry.base_id) for entry in entries]


# Cancelling


def test_a_running_build_is_marked_and_polling_is_woken(database: Database) -> None:
    listener = Listener(database.url, "polling")
    listener.listen()
    try:
        with database.begin() as session:
            build_id = running(session).id
            said = requests.cancel_build(session, ALICE, build_id)
        assert listener.wait(60)
    finally:
        listener.close()
    assert said == f"Build {build_id} of foo in f43: cancelation requested"
    with database.begin() as session:
        build = running(session)
        assert build.cancel_requested
        assert on_record(session) == [("alice", said, named(session, "foo").base_id)]


def test_a_build_is_cancelled_once(database: Database) -> None:
    with database.begin() as session:
        build_id = running(session).id
        requests.cancel_build(session, ALICE, build_id)
    with database.begin() as session:
        with pytest.raises(InvalidInputError, match=f"already has pending cancelation request.*build {build_id}"):
            requests.cancel_build(session, ALICE, build_id)
        assert len(on_record(session)) == 1


@pytest.mark.parametrize("state", [BuildState.COMPLETE, BuildState.FAILED, BuildState.CANCELED])
def test_a_build_that_has_ended_is_not_cancelled(database: Database, state: BuildState) -> None:
    with database.begin() as session:
        build = session.scalars(select(Build).where(Build.state != BuildState.RUNNING)).first()
        assert build is not None
        build.state = state
        session.flush()
        with pytest.raises(InvalidInputError, match=f"Build {build.id} is {state.word}"):
            requests.cancel_build(session, ALICE, build.id)
        assert not build.cancel_requested
        assert on_record(session) == []


@pytest.mark.parametrize("build_id", [0, -1, 987654321])
def test_a_build_that_nobody_knows_is_named(database: Database, build_id: int) -> None:
    with database.begin() as session, pytest.raises(NotFoundError, match=f"There is no build {build_id}"):
        requests.cancel_build(session, ALICE, build_id)


def test_of_two_who_cancel_at_once_one_is_told_that_it_was_done(database: Database) -> None:
    answers: list[str] = []

    def second(build_id: int) -> None:
        try:
            with database.begin() as session:
                answers.append(requests.cancel_build(session, ALICE, build_id))
        except InvalidInputError as error:
            answers.append(str(error))

    with database.begin() as session:
        build_id = running(session).id
        requests.cancel_build(session, ALICE, build_id)
        other = threading.Thread(target=second, args=(build_id,))
        other.start()
        try:
            wait_for_a_waiter(database)
        finally:
            session.commit()
            other.join(30)
    assert len(answers) == 1
    assert "already has pending cancelation request" in answers[0]
    with database.begin() as session:
        assert len(on_record(session)) == 1


# Resolving again


def test_packages_are_marked_and_the_resolver_is_woken(database: Database) -> None:
    listener = Listener(database.url, "repo-resolver")
    listener.listen()
    try:
        with database.begin() as session:
            asked = requests.resolve(session, ALICE, [named(session, "foo"), named(session, "bar")])
        assert listener.wait(60)
    finally:
        listener.close()
    assert asked.messages == (
        "Package bar in f43: resolution requested",
        "Package foo in f43: resolution requested",
    )
    assert asked.left_out == ()
    with database.begin() as session:
        bar, foo = named(session, "bar"), named(session, "foo")
        assert asked.waiting == (bar.id, foo.id)
        assert bar.needs_resolution
        assert foo.needs_resolution
        assert [(message, base_id) for _, message, base_id in on_record(session)] == list(
            zip(asked.messages, (bar.base_id, foo.base_id), strict=True)
        )


def test_a_package_that_waits_already_goes_on_waiting(database: Database) -> None:
    for _ in range(2):
        with database.begin() as session:
            assert len(requests.resolve(session, ALICE, [named(session, "bar")]).waiting) == 1
    with database.begin() as session:
        assert named(session, "bar").needs_resolution
        assert len(on_record(session)) == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"blocked": True}, "it is blocked in Koji"),
        ({"tracked": False}, "it is not tracked"),
        ({"skip_resolution": True, "resolved": None}, "its resolution is switched off"),
    ],
)
def test_what_the_resolver_would_not_look_at_is_left_out_with_the_reason(
    database: Database, values: dict[str, object], words: str
) -> None:
    with database.begin() as session:
        session.execute(update(Package).where(Package.id == named(session, "bar").id).values(**values))
    with database.begin() as session:
        asked = requests.resolve(session, ALICE, [named(session, "bar"), named(session, "foo")])
        assert asked.left_out == (f"Package bar in f43 is not resolved: {words}",)
        assert asked.waiting == (named(session, "foo").id,)
        assert len(on_record(session)) == 1
        assert not named(session, "bar").needs_resolution


def test_a_broken_buildroot_is_named_and_nothing_is_asked_in_vain(database: Database) -> None:
    with database.begin() as session:
        foo = named(session, "foo", "f44")
        with pytest.raises(InvalidInputError, match="the base buildroot of Fedora 44 cannot be installed"):
            requests.resolve(session, ALICE, [foo])
        assert not foo.needs_resolution
        assert on_record(session) == []


def test_no_package_at_all_is_refused(database: Database) -> None:
    with database.begin() as session, pytest.raises(InvalidInputError, match="No package was named"):
        requests.resolve(session, ALICE, [])


@pytest.mark.parametrize(
    ("blocked", "tracked", "skipped", "built"), list(product([False, True], repeat=4)), ids=lambda value: "NY"[value]
)
def test_exactly_those_are_asked_for_that_the_resolver_looks_at(
    database: Database, blocked: bool, tracked: bool, skipped: bool, built: bool
) -> None:
    with database.begin() as session:
        bar = named(session, "bar")
        values: dict[str, object] = {"blocked": blocked, "tracked": tracked, "skip_resolution": skipped}
        if skipped:
            values["resolved"] = None
        if not built:
            session.execute(text("DELETE FROM build WHERE package_id = :id"), {"id": bar.id})
        session.execute(update(Package).where(Package.id == bar.id).values(**values))
        session.expire_all()
        asked = requests.resolve(session, ALICE, [bar, named(session, "foo")])
        session.flush()
        looked_at = {subject.name for subject in eligible(session, bar.collection)}
        assert {package.name for package in requests.packages_of(session, asked.waiting)} == looked_at


# Building


@pytest.mark.parametrize(
    ("admin", "static", "words"),
    [
        (
            True,
            -(2**31 - 1),
            "2147483647 is the highest that you may give. Its static priority of -2147483647 puts it off",
        ),
        (
            False,
            -50000,
            "10000 is the highest that you may give. Its static priority of -50000 puts it off: ask people",
        ),
    ],
)
def test_nobody_puts_a_package_first_with_more_than_the_highest_priority_that_one_may_give(
    database: Database, admin: bool, static: int, words: str
) -> None:
    with database.begin() as session:
        bar = named(session, "bar")
        bar.resolved, bar.static_priority = True, static
        session.flush()
        with pytest.raises(InvalidInputError, match=f"cannot be put first.*{words}"):
            requests.rebuild(session, ALICE, Person(1, "alice", admin), bar.id, Config(), NOW)
        assert bar.manual_priority == 0
        assert on_record(session) == []


def test_who_administers_has_a_package_built_that_was_put_off(database: Database) -> None:
    with database.begin() as session:
        bar = named(session, "bar")
        bar.resolved, bar.static_priority = True, -50000
        session.flush()
        requests.rebuild(session, ALICE, Person(1, "alice", admin=True), bar.id, Config(), NOW)
        assert bar.manual_priority > 50000


def test_the_answer_is_waited_for_until_the_resolver_has_given_it(database: Database) -> None:
    with database.begin() as session:
        bar = named(session, "bar")
        ids = requests.resolve(session, ALICE, [named(session, "foo"), bar]).waiting
        session.flush()
        assert requests.unanswered(session, ids) == 2
        bar.needs_resolution = False
        session.flush()
        assert requests.unanswered(session, ids) == 1
        assert requests.unanswered(session, []) == 0
        assert [package.name for package in requests.packages_of(session, ids)] == ["bar", "foo"]
