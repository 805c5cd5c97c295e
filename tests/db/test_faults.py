"""PostgreSQL's errors, made for real, and what is said about them."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from koschei.db.engine import Database
from koschei.db.faults import explain
from koschei.errors import DatabaseError


def failing(database_url: str, *statements: str) -> str:
    """What is said about the statement that fails, the last."""
    database = Database(database_url)
    try:
        run(database, statements)
    except DatabaseError as error:
        return str(error)
    finally:
        database.dispose()
    return "nothing failed"


def run(database: Database, statements: tuple[str, ...]) -> None:
    with database.begin() as session:
        for statement in statements:
            session.execute(text(statement))


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (
            ("SET statement_timeout = 10", "SELECT pg_sleep(30)"),
            "PostgreSQL was told to stop this: cancel",
        ),
        (("SET transaction_read_only = on", "DELETE FROM log_entry"), "PostgreSQL takes no changes: cannot execute"),
        (("DO $$BEGIN RAISE 'x' USING ERRCODE = '53100'; END$$",), "PostgreSQL's disk is full: x. Make room there"),
        (("DO $$BEGIN RAISE 'x' USING ERRCODE = '53200'; END$$",), "PostgreSQL lacks something: x. Its log says more"),
        (
            ("DO $$BEGIN RAISE 'x' USING ERRCODE = '40001'; END$$",),
            "Somebody changed the same at the same time: x",
        ),
        (("DO $$BEGIN RAISE 'x' USING ERRCODE = '55P03'; END$$",), "Somebody else held the same for too long: x. Try"),
        (("SELECT pg_terminate_backend(pg_backend_pid())",), "The connection to PostgreSQL was lost: "),
    ],
)
def test_an_error_in_a_session_is_explained_by_its_code(
    database_url: str, statements: tuple[str, ...], said: str
) -> None:
    assert failing(database_url, *statements).startswith(said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("FATAL:  sorry, too many clients already", "PostgreSQL takes no more connections"),
        ("FATAL:  remaining connection slots are reserved", "PostgreSQL takes no more connections"),
        ("etwas in einer anderen Sprache", "PostgreSQL does not answer"),
    ],
)
def test_an_error_while_connecting_is_explained_by_its_words_or_in_general(words: str, said: str) -> None:
    error = OperationalError(None, None, Exception(words))
    assert explain(error).startswith(f"{said}: {words}. ")


def test_of_several_addresses_the_one_that_answered_counts() -> None:
    words = 'connection to server at "::1" failed: Connection refused\n\tIs it running?\n"127.0.0.1": FATAL: no entry'
    assert '"127.0.0.1": FATAL: no entry' in explain(OperationalError(None, None, Exception(words)))
