"""`log` at the shell."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from koschei.db.engine import Database
from koschei.model import BasePackage, Environment, LogEntry, User
from tests.admin.conftest import Shell


@pytest.fixture
def logged(database: Database) -> Database:
    """Three entries: alice at a shell, bob about foo on a page, a service."""
    with database.begin() as session:
        alice, bob = User(name="alice"), User(name="bob")
        foo = session.query(BasePackage).filter_by(name="foo").one()
        session.add_all([alice, bob])
        session.flush()
        for day, environment, user, base, message in (
            (1, Environment.ADMIN, alice.id, None, "first"),
            (2, Environment.FRONTEND, bob.id, foo.id, "second"),
            (3, Environment.BACKEND, None, None, "third"),
        ):
            when = datetime(2026, 5, day, 12, tzinfo=UTC)
            session.add(LogEntry(environment=environment, user_id=user, base_id=base, message=message, timestamp=when))
    return database


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", ["third", "second", "first"]),
        ("--limit 2", ["third", "second"]),
        ("--limit 0", ["third", "second", "first"]),
        ("--user alice", ["first"]),
        ("--package foo", ["second"]),
        ("--environment backend", ["third"]),
        ("--since 2026-05-02T12:00", ["third", "second"]),
        ("--until 2026-05-02T12:00", ["first"]),
        ("--since 2026-05-02T14:00+02:00 --until 2026-05-03", ["second"]),
        ("--user bob --environment admin", []),
    ],
)
def test_entries_are_chosen_newest_first(shell: Shell, logged: Database, line: str, found: list[str]) -> None:
    entries = json.loads(shell.ok("log", "--json", *line.split()))
    assert [entry["message"] for entry in entries] == found
    assert [row.split()[-1] for row in shell.ok("log", *line.split()).splitlines()] == found


def test_an_entry_says_who_when_and_where(shell: Shell, logged: Database) -> None:
    assert shell.ok("log", "--limit", "2").splitlines() == [
        "2026-05-03 12:00:00  backend   -             third",
        "2026-05-02 12:00:00  frontend  bob           second",
    ]
    assert json.loads(shell.ok("log", "--json", "--package", "foo")) == [
        {
            "id": 2,
            "timestamp": "2026-05-02T12:00:00+00:00",
            "environment": "frontend",
            "user": "bob",
            "package": "foo",
            "message": "second",
        }
    ]


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("--user nobody", 1, "User not found: nobody"),
        ("--package nothing", 1, "Packages don't exist: nothing"),
        ("--since yesterday", 2, "'yesterday' is not a time: write 2026-05-14"),
        ("--environment here", 2, "'here' is not one of"),
        ("--limit -1", 2, "-1"),
    ],
)
def test_wrong_filters_are_named(shell: Shell, logged: Database, line: str, code: int, words: str) -> None:
    result = shell.run("log", *line.split())
    assert result.exit_code == code
    assert words in result.stderr


def test_an_empty_log_says_so(shell: Shell, database: Database) -> None:
    result = shell.run("log")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing of this" in result.stderr
    assert json.loads(shell.ok("log", "--json")) == []
