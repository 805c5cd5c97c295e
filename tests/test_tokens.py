"""Personal tokens: made, found by what they are, used, and revoked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei import tokens
from koschei.audit import BACKEND, Actor
from koschei.db.engine import Database
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from koschei.model import ApiToken, Environment, LogEntry, User
from koschei.tokens import Scope
from tests.world import NOW

JANE, AMY = Actor(Environment.FRONTEND, "jane"), Actor(Environment.FRONTEND, "amy")
DAY = timedelta(days=1)


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    database = Database(database_url)
    with database.begin() as session:
        yield session
    database.dispose()


def make(session: Session, actor: Actor = JANE, name: str = "script", days: float = 30) -> str:
    return tokens.make(session, actor, name, [Scope.PACKAGES], NOW + days * DAY, now=NOW)


def only(session: Session, user: str = "jane") -> ApiToken:
    [token] = tokens.listed(session, session.scalars(select(User.id).where(User.name == user)).one())
    return token


def log(session: Session) -> list[str]:
    session.flush()
    return list(session.scalars(select(LogEntry.message).order_by(LogEntry.id)))


def test_a_token_is_found_and_says_whose_it_is_and_what_for(session: Session) -> None:
    secret = make(session)
    assert tokens.FORM.fullmatch(secret)
    found = tokens.find(session, secret, NOW)
    assert found is not None
    assert (found.user, found.token, found.scopes) == ("jane", "script", {Scope.PACKAGES})
    assert found.expires == NOW + 30 * DAY
    assert log(session) == ["API token script made for packages until 2026-06-13"]


def test_the_token_itself_is_not_stored(session: Session) -> None:
    secret = make(session)
    row = only(session)
    stored = b"".join(str(getattr(row, column.key)).encode() for column in ApiToken.__table__.columns) + row.digest
    assert secret.removeprefix("kos_").encode() not in stored
    assert len(row.digest) == 32
    assert make(session, name="another") != secret


@pytest.mark.parametrize("change", [str.upper, lambda s: s[:-1], lambda s: s + "x", lambda s: s[4:], lambda _: "\0"])
def test_what_is_not_quite_a_token_is_none(session: Session, change: object) -> None:
    assert callable(change)
    assert tokens.find(session, change(make(session)), NOW) is None


def test_a_token_ends_by_itself(session: Session) -> None:
    secret = make(session, days=2)
    assert tokens.find(session, secret, NOW + 1.99 * DAY) is not None
    assert tokens.find(session, secret, NOW + 2 * DAY) is None


def test_a_revoked_token_is_none_at_once_and_only_ones_own_are_revoked(session: Session) -> None:
    secret = make(session)
    token = only(session)
    found = tokens.find(session, secret, NOW)
    assert found is not None
    with pytest.raises(NotFoundError):
        tokens.revoke(session, AMY, token.id)
    assert tokens.still_good(session, found, NOW)
    assert tokens.revoke(session, JANE, token.id) == "API token script revoked"
    assert tokens.find(session, secret, NOW) is None
    assert not tokens.still_good(session, found, NOW)
    with pytest.raises(NotFoundError):
        tokens.revoke(session, JANE, token.id)


def test_all_tokens_of_a_person_are_ended_at_once(session: Session) -> None:
    secrets = [make(session, name=name) for name in ("nightly", "a script")]
    make(session, name="over", days=1)
    hers = make(session, AMY)
    later = NOW + 2 * DAY
    operator = Actor(Environment.ADMIN, "operator")
    assert tokens.revoke_all(session, operator, "jane", later) == [
        "User jane: 2 API tokens revoked: 'a script', nightly"
    ]
    assert log(session)[-1] == "User jane: 2 API tokens revoked: 'a script', nightly"
    assert [tokens.find(session, secret, later) for secret in secrets] == [None, None]
    assert tokens.find(session, hers, later) is not None
    assert tokens.revoke_all(session, operator, "jane", later) == []
    assert tokens.revoke_all(session, operator, "amy", later) == ["User amy: 1 API token revoked: script"]
    with pytest.raises(NotFoundError, match="Did you mean jane"):
        tokens.revoke_all(session, operator, "jame", later)


def test_its_use_is_noted_once_in_an_hour(session: Session) -> None:
    secret = make(session)
    for minutes, expected in ((0, 0), (30, 0), (59, 0), (61, 61), (90, 61)):
        now = NOW + timedelta(minutes=minutes)
        found = tokens.find(session, secret, now)
        assert found is not None
        assert tokens.still_good(session, found, now)
        session.expire_all()
        assert only(session).last_used == NOW + timedelta(minutes=expected)


@pytest.mark.parametrize(
    ("name", "scopes", "days", "words"),
    [
        ("", [Scope.GROUPS], 1, "The name is empty"),
        (" \t", [Scope.GROUPS], 1, "The name is empty"),
        ("x" * 61, [Scope.GROUPS], 1, "may have 60"),
        ("a\0b", [Scope.GROUPS], 1, "cannot be shown"),
        ("x", [], 1, "may do nothing"),
        ("x", [Scope.GROUPS], 367, "a year at most"),
        ("x", [Scope.GROUPS], 0, "must live at all"),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(
    session: Session, name: str, scopes: list[Scope], days: int, words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        tokens.make(session, JANE, name, scopes, NOW + days * DAY, now=NOW)
    assert log(session) == []


def test_names_are_ones_own_and_taken_once(session: Session) -> None:
    make(session)
    make(session, AMY)
    with pytest.raises(AlreadyExistsError, match="You have a token called script"):
        make(session)


def test_tokens_are_not_without_number_and_expired_ones_do_not_count(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "MOST_TOKENS", 2)
    make(session, name="one", days=1)
    make(session, name="two", days=100)
    with pytest.raises(InvalidInputError, match="revoke one first"):
        make(session, name="three")
    later = NOW + 2 * DAY
    tokens.make(session, JANE, "three", [Scope.GROUPS], later + DAY, now=later)
    user_id = session.scalars(select(User.id).where(User.name == "jane")).one()
    assert [token.name for token in tokens.listed(session, user_id)] == ["three", "two", "one"]
    much_later = NOW + 40 * DAY
    tokens.make(session, JANE, "four", [Scope.GROUPS], much_later + DAY, now=much_later)
    assert [token.name for token in tokens.listed(session, user_id)] == ["four", "two"]


def test_services_have_none(session: Session) -> None:
    with pytest.raises(InvalidInputError):
        make(session, BACKEND)
