"""Waiting for PostgreSQL in a way that Ctrl-C and time limits can end (Ctrl-C itself: test_admin_main)."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import psycopg2
import psycopg2.extensions
import pytest
from sqlalchemy import text

from admin import interrupts
from koschei.db.engine import Database
from koschei.errors import DatabaseError


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    interrupts.install()
    yield
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
