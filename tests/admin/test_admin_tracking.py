"""Commands about tracking and architectures, seen from the shell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select

from koschei import packages
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.model import BasePackage, Cause, Collection, Environment, LogEntry, Package, PackageStateChange
from tests.admin.conftest import Shell, audit_log, package


def tracked(database: Database) -> set[str]:
    with database.begin() as session:
        query = select(Package.name, Collection.name).join(Collection).where(Package.tracked)
        return {f"{name}@{collection}" for name, collection in session.execute(query)}


def overrides(database: Database) -> dict[str, str]:
    with database.begin() as session:
        query = select(Package.name, Collection.name, Package.arch_override).join(Collection)
        rows = session.execute(query.where(Package.arch_override.is_not(None)))
        return {f"{name}@{collection}": value for name, collection, value in rows if value is not None}


def test_packages_are_tracked_by_name_in_one_collection_or_in_all(shell: Shell, database: Database) -> None:
    assert shell.ok("track", "-c", "f27", "foo") == "Package foo in f27: tracked\n"
    assert shell.ok("track", "foo", "--all-collections") == "Package foo in f28: tracked\n"
    assert tracked(database) == {"foo@f27", "foo@f28"}
    assert shell.ok("--collection", "f28", "untrack", "foo") == "Package foo in f28: not tracked any more\n"
    assert tracked(database) == {"foo@f27"}
    result = shell.run("untrack", "-c", "f28", "foo")
    assert (result.exit_code, result.stdout) == (0, "")
    with database.begin() as session:
        assert audit_log(session) == [
            ("alice", "Package foo in f27: tracked"),
            ("alice", "Package foo in f28: tracked"),
            ("alice", "Package foo in f28: not tracked any more"),
        ]
        foo = package(session, "foo", "f27")
        assert foo.needs_resolution
        assert [entry.base_id for entry in session.scalars(select(LogEntry))] == [foo.base_id] * 3
        causes = session.scalars(select(PackageStateChange.cause)).all()
        assert causes == [Cause.TRACKED] * 3


def test_a_group_is_tracked_where_it_has_packages(shell: Shell, database: Database) -> None:
    shell.ok("add-group", "mine", "foo")
    shell.ok("track", "--group", "mine", "--all-collections")
    assert tracked(database) == {"foo@f27", "foo@f28"}
    shell.ok("untrack", "--group", "mine", "-c", "f28")
    assert tracked(database) == {"foo@f27"}
    assert shell.run("track", "--group", "mime", "-c", "f28").exit_code == 1


def test_a_file_says_what_to_track(shell: Shell, database: Database) -> None:
    file = shell.folder / "list"
    file.write_text("foo\nbar\n")
    shell.ok("track", "-c", "f28", "--from-file", str(file))
    assert tracked(database) == {"foo@f28", "bar@f28"}


def test_everything_is_tracked_and_untracked_only_on_purpose(shell: Shell, database: Database) -> None:
    shell.ok("track", "-c", "f27", "--all")
    assert tracked(database) == {"foo@f27", "bar@f27"}
    result = shell.run("untrack", "-c", "f27", "--all")
    assert result.exit_code == 1
    assert "Stop testing all 2 packages of f27? Nobody is there to be asked: say --force" in result.stderr
    assert tracked(database) == {"foo@f27", "bar@f27"}
    assert len(shell.ok("untrack", "-c", "f27", "--all", "--dry-run").splitlines()) == 2
    assert tracked(database) == {"foo@f27", "bar@f27"}
    shell.ok("untrack", "-c", "f27", "--all", "--force")
    assert tracked(database) == set()


def test_a_dry_run_changes_nothing_and_says_what_would_be(shell: Shell, database: Database) -> None:
    result = shell.run("track", "-c", "f27", "foo", "--dry-run")
    assert result.stdout == "Package foo in f27: tracked\n"
    assert "nothing was changed" in result.stderr
    assert tracked(database) == set()
    with database.begin() as session:
        assert audit_log(session) == []


@pytest.mark.parametrize("command", ["track", "untrack"])
@pytest.mark.parametrize(
    "words",
    [
        ("-c", "f27"),
        ("foo",),
        ("foo", "-c", "f27", "--all-collections"),
        ("foo", "-c", "f27", "--all"),
        ("foo", "-c", "f27", "--group", "mine"),
    ],
)
def test_what_and_where_must_be_said(shell: Shell, database: Database, command: str, words: tuple[str, ...]) -> None:
    assert shell.run(command, *words).exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("foo", "nope", "-c", "f27"), "Packages don't exist in f27: nope"),
        (("foo", "nope", "--all-collections"), "Packages don't exist: nope"),
        (("foo", "-c", "f72"), "Collection not found: f72"),
    ],
)
def test_one_unknown_name_stops_all(shell: Shell, database: Database, words: tuple[str, ...], said: str) -> None:
    result = shell.run("track", *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert tracked(database) == set()


def many(database: Database, count: int) -> None:
    with database.begin() as session:
        f27 = session.scalars(select(Collection.id).where(Collection.name == "f27")).one()
        names = [f"many{number:05}" for number in range(count)]
        bases = session.execute(
            insert(BasePackage).returning(BasePackage.id, BasePackage.name), [{"name": name} for name in names]
        )
        rows = [{"base_id": base_id, "name": name, "collection_id": f27} for base_id, name in bases]
        session.execute(insert(Package), rows)


def test_many_packages_are_tracked_and_the_screen_is_spared(shell: Shell, database: Database) -> None:
    many(database, 150)
    lines = shell.ok("track", "-c", "f27", "--all").splitlines()
    assert len(lines) == 101
    assert lines[-1] == "... and 52 more packages tracked"
    assert len(tracked(database)) == 152
    with database.begin() as session:
        assert len(audit_log(session)) == 152


def test_tracking_by_id_does_what_tracking_by_name_does(database: Database) -> None:
    actor = Actor(Environment.ADMIN, "alice")
    now = datetime(2026, 11, 22, tzinfo=UTC)

    def facts(change: Callable[[], list[str]]) -> object:
        said = change()
        foo = package(session, "foo", "f27")
        return said, foo.tracked, foo.needs_resolution, foo.state, foo.state_since

    with database.begin() as session:
        f27 = session.scalars(select(Collection).where(Collection.name == "f27")).one()
        foo = package(session, "foo", "f27").id
        by_name = facts(lambda: packages.track(session, actor, f27, ["foo"], now=now))
        session.rollback()
    with database.begin() as session:
        assert facts(lambda: packages.set_tracked(session, actor, [foo, 99999], True, now=now)) == by_name
        assert packages.set_tracked(session, actor, [foo], True, now=now) == []


# resolution


def test_packages_are_exempt_from_resolution_until_it_is_undone(shell: Shell, database: Database) -> None:
    def exempt() -> set[tuple[str, str]]:
        with database.begin() as session:
            query = select(Package.name, Collection.name).join(Collection).where(Package.skip_resolution)
            return {(name, collection) for name, collection in session.execute(query)}

    assert shell.ok("skip-resolution", "-c", "f27", "foo") == "Package foo in f27: dependency resolution switched off\n"
    assert exempt() == {("foo", "f27")}
    shell.ok("add-group", "mine", "foo", "bar")
    shell.ok("skip-resolution", "--group", "mine", "-c", "f28")
    assert exempt() == {("foo", "f27"), ("foo", "f28"), ("bar", "f28")}
    assert "foo in f28: dependency resolution switched on" in shell.ok("skip-resolution", "--undo", "foo", "bar")
    assert exempt() == set()
    assert shell.run("skip-resolution", "-c", "f27", "foo", "nope").exit_code == 1
    assert exempt() == set()
    with database.begin() as session:
        assert audit_log(session)[0] == ("alice", "Package foo in f27: dependency resolution switched off")


# architectures


def test_architectures_are_set_where_the_package_is(shell: Shell, database: Database) -> None:
    shell.ok("set-arch-override", "foo", "x86_64,  i386")
    assert overrides(database) == {"foo@f27": "x86_64 i386", "foo@f28": "x86_64 i386"}
    shell.ok("set-arch-override", "-c", "f28", "foo", "bar", "^i386")
    assert overrides(database) == {"foo@f27": "x86_64 i386", "foo@f28": "^i386", "bar@f28": "^i386"}
    assert len(shell.ok("set-arch-override", "foo", "bar", "").splitlines()) == 3
    assert overrides(database) == {}


def test_architectures_are_set_for_a_group(shell: Shell, database: Database) -> None:
    shell.ok("add-group", "a/mine", "foo", "bar")
    shell.ok("set-arch-override", "--group", "a/mine", "x86_64", "-c", "f27", "--dry-run")
    assert overrides(database) == {}
    shell.ok("set-arch-override", "--group", "a/mine", "x86_64", "-c", "f27")
    assert overrides(database) == {"foo@f27": "x86_64", "bar@f27": "x86_64"}
    shell.ok("set-arch-override", "--group", "a/mine", "")
    assert overrides(database) == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("foo", "z80"), "z80"),
        (("foo", "x86_64 ^i386"), "^i386"),
        (("foo", "nope", "x86_64"), "Packages don't exist: nope"),
        (("foo", "x86_64", "i386"), "Packages don't exist: x86_64"),
        (("--group", "foo", "x86_64"), "Group foo not found"),
    ],
)
def test_wrong_architectures_and_names_change_nothing(
    shell: Shell, database: Database, words: tuple[str, ...], said: str
) -> None:
    result = shell.run("set-arch-override", *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert overrides(database) == {}
