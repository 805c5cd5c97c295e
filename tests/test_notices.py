"""The announcement on every page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei import notices
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.errors import InvalidInputError
from koschei.model import Environment, LogEntry

ALICE = Actor(Environment.ADMIN, "alice")


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    database = Database(database_url)
    with database.begin() as session:
        yield session
    database.dispose()


def test_a_notice_is_set_replaced_and_cleared_with_an_audit_entry_each(session: Session) -> None:
    assert notices.current(session) is None
    notices.set_notice(session, ALICE, "  Koji is down \n")
    assert notices.current(session) == "Koji is down"
    notices.set_notice(session, ALICE, "Koji is back")
    assert notices.current(session) == "Koji is back"
    notices.clear_notice(session, ALICE)
    assert notices.current(session) is None
    session.flush()
    assert list(session.scalars(select(LogEntry.message).order_by(LogEntry.id))) == [
        "Admin notice added: Koji is down",
        "Admin notice added: Koji is back",
        "Admin notice cleared",
    ]


def test_clearing_no_notice_is_not_worth_an_audit_entry(session: Session) -> None:
    assert notices.clear_notice(session, ALICE) is None
    assert session.scalars(select(LogEntry)).all() == []


def test_an_empty_notice_is_refused(session: Session) -> None:
    with pytest.raises(InvalidInputError, match="clear-notice"):
        notices.set_notice(session, ALICE, " \n")
    assert notices.current(session) is None


@pytest.mark.parametrize("content", ["x" * 4001, "a\0b", "a\x1b[2Jb", "a\udcffb"])
def test_a_notice_that_no_page_can_show_is_refused(session: Session, content: str) -> None:
    with pytest.raises(InvalidInputError, match="The notice has"):
        notices.set_notice(session, ALICE, content)
    assert notices.current(session) is None


def test_a_notice_may_have_lines(session: Session) -> None:
    notices.set_notice(session, ALICE, "Koji is down.\n\tIt will be back.")
    assert notices.current(session) == "Koji is down.\n\tIt will be back."
