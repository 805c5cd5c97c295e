"""Waiting for PostgreSQL in a way that Ctrl-C and time limits can end, and signals at odd moments.

Ctrl-C in the middle of commands: test_admin_interrupts.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import psycopg2
import psycopg2.extensions
import pytest
from sqlalchemy import text

from admin import interrupts
from admin.context import Admin
from koschei.db.engine import Database
from koschei.errors import DatabaseError
from tests.admin.conftest import MakeShell


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in interrupts.WORDS}
    interrupts.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    psycopg2.extensions.set_wait_callback(None)


def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(f"postgresql+psycopg2://koschei@127.0.0.1:{silent.getsockname()[1]}/koschei")
        with pytest.raises(DatabaseError, match=r"no answer within 0\.2 seconds"):
            database.check()
        database.dispose()


def test_a_query_may_take_longer_than_a_connection(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "CONNECT_SECONDS", 5.0)
    database = Database(database_url)
    with database.begin() as session:
        session.execute(text("SELECT 1"))
        monkeypatch.setattr(interrupts, "CONNECT_SECONDS", 0.05)
        assert session.execute(text("SELECT 7 FROM pg_sleep(0.2)")).scalar() == 7
    database.dispose()


def test_an_error_of_the_server_is_its_own(database_url: str) -> None:
    connection = psycopg2.connect(database_url.replace("+psycopg2", ""))
    with pytest.raises(psycopg2.errors.DivisionByZero), connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")
    connection.close()


@pytest.mark.parametrize(
    ("number", "status", "told"),
    [
        (None, 3, "Error: PostgreSQL does not answer"),
        (signal.SIGINT, 130, "Interrupted: nothing was changed"),
        (signal.SIGTERM, 143, "Told to end (SIGTERM): nothing was changed"),
    ],
    ids=["an error", "Ctrl-C", "SIGTERM"],
)
def test_signals_that_come_while_the_end_of_a_command_is_told_do_not_tear_it(
    make_shell: MakeShell, monkeypatch: pytest.MonkeyPatch, number: int | None, status: int, told: str
) -> None:
    def outcome(admin: Admin) -> str:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        asked.append(admin)
        return whole(admin)

    asked: list[Admin] = []
    whole = Admin.outcome
    monkeypatch.setattr(Admin, "outcome", outcome)
    if number is not None:
        monkeypatch.setattr("koschei.db.schema.look", lambda url: signal.raise_signal(number))
    result = make_shell("postgresql://koschei@127.0.0.1:1/koschei").run("log")
    assert len(asked) == 1
    assert (result.exit_code, result.stdout) == (status, "")
    assert result.stderr.strip().startswith(told)
    assert len(result.stderr.strip().splitlines()) == 1
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_what_a_signal_undoes_is_not_torn_by_the_next_which_is_heard_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interrupts, "QUIET_SECONDS", 600.0)
    with pytest.raises(interrupts.Stopped):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    interrupts.install()
    monkeypatch.setattr(interrupts, "QUIET_SECONDS", 0.0)
    for _ in range(2):
        with pytest.raises(interrupts.Stopped):
            signal.raise_signal(signal.SIGINT)
