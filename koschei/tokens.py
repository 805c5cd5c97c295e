"""Personal tokens of the REST API: made, listed and revoked by their person; whoever shows one acts as that person.

A token is 32 random bytes, so that its plain SHA-256 is as hard to turn back as any slower digest. Whoever locks a
person's token has locked the person before: changes with a token and its end wait for each other, never in a circle.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from koschei import audit, users
from koschei.audit import Actor
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from koschei.model import ApiToken, User
from koschei.rights import Person
from koschei.rules.names import flaw, shown

PREFIX = "kos_"
FORM = re.compile(r"kos_[A-Za-z0-9_-]{43}")
LONGEST_LIFE = timedelta(days=366)
MOST_TOKENS = 50
"""So many tokens a person may have; expired ones do not count, and go when another is made a month later."""
LONGEST_NAME = 60
USED_AGAIN = timedelta(hours=1)
"""The last use is only known as exactly as this: reading with a token is no reason to write."""
REMEMBERED = timedelta(days=30)


class Scope(StrEnum):
    """What a token may be used for."""

    PACKAGES = "packages"
    GROUPS = "groups"


MEANINGS = {
    Scope.PACKAGES: "Packages: set manual priorities, track them, have them resolved and rebuilt",
    Scope.GROUPS: "Groups: make your own, and change those that you maintain",
}


@dataclass(frozen=True)
class Bearer:
    """Whose token it is and what it may be used for."""

    token_id: int
    token: str
    user_id: int
    user: str
    scopes: frozenset[Scope]
    expires: datetime
    last_used: datetime | None

    @property
    def person(self) -> Person:
        """In whose name it acts: a token never has the rights of those who administer."""
        return Person(self.user_id, self.user, admin=False)


def make(
    session: Session, actor: Actor, name: str, scopes: Collection[Scope], expires: datetime, *, now: datetime
) -> str:
    """Make a token for the actor, and return it: nobody can find it out later.

    Raises InvalidInputError for a name, scopes or a life that cannot be, AlreadyExistsError for a name that is taken.
    """
    name = name.strip()
    wrong = flaw(name, longest=LONGEST_NAME)
    if wrong:
        raise InvalidInputError(f"The name {wrong}. Say what the token is for")
    if not scopes:
        raise InvalidInputError("A token that may do nothing is of no use: reading needs none. Choose what it may do")
    if not now < expires <= now + LONGEST_LIFE:
        raise InvalidInputError("A token can live a year at most, and must live at all: choose another last day")
    user_id = _locked(session, actor)
    old = ApiToken.expires < now - REMEMBERED
    session.execute(delete(ApiToken).where(ApiToken.user_id == user_id, old))
    alive = select(func.count()).where(ApiToken.user_id == user_id, ApiToken.expires > now)
    if session.execute(alive).scalar_one() >= MOST_TOKENS:
        raise InvalidInputError(f"You have {MOST_TOKENS} tokens, and nobody needs more: revoke one first")
    secret = PREFIX + secrets.token_urlsafe(32)
    row = {
        "user_id": user_id,
        "name": name,
        "scopes": sorted(scopes),
        "digest": _digest(secret),
        "created": now,
        "expires": expires,
    }
    made = insert(ApiToken).values(row).on_conflict_do_nothing().returning(ApiToken.id)
    if session.scalar(made) is None:
        raise AlreadyExistsError(f"You have a token called {shown(name)}. Choose another name, or revoke that one")
    day = f"{expires:%Y-%m-%d}"
    audit.record(session, actor, f"API token {shown(name)} made for {', '.join(sorted(scopes))} until {day}")
    return secret


def listed(session: Session, user_id: int) -> list[ApiToken]:
    """Somebody's tokens, the newest first."""
    query = select(ApiToken).where(ApiToken.user_id == user_id)
    return list(session.scalars(query.order_by(ApiToken.created.desc(), ApiToken.id.desc())))


def revoke(session: Session, actor: Actor, token_id: int) -> str:
    """End a token of the actor's at once; returns the audit message. NotFoundError for one the actor has not."""
    user_id = _locked(session, actor)
    found = session.scalar(
        delete(ApiToken).where(ApiToken.id == token_id, ApiToken.user_id == user_id).returning(ApiToken.name)
    )
    if found is None:
        raise NotFoundError("There is no such token any more")
    return audit.record(session, actor, f"API token {shown(found)} revoked")


def find(session: Session, secret: str, now: datetime) -> Bearer | None:
    """Whose token this is; None for what is no token, or one that was revoked or has expired."""
    if not FORM.fullmatch(secret):
        return None
    row = session.execute(
        select(ApiToken, User.name)
        .join(User, User.id == ApiToken.user_id)
        .where(ApiToken.digest == _digest(secret), ApiToken.expires > now)
    ).one_or_none()
    if row is None:
        return None
    token, user = row
    scopes = frozenset(Scope(word) for word in token.scopes)
    return Bearer(token.id, token.name, token.user_id, user, scopes, token.expires, token.last_used)


def revoke_all(session: Session, actor: Actor, name: str, now: datetime) -> list[str]:
    """End all tokens of a person; returns the audit message, none when there is none that works.

    Raises NotFoundError for a person who is not known.
    """
    user = users.find(session, name)
    alive = delete(ApiToken).where(ApiToken.user_id == user.id, ApiToken.expires > now)
    ended = sorted(session.scalars(alive.returning(ApiToken.name)))
    if not ended:
        return []
    count = "1 API token" if len(ended) == 1 else f"{len(ended)} API tokens"
    return [audit.record(session, actor, f"User {name}: {count} revoked: {', '.join(map(shown, ended))}")]


def still_good(session: Session, bearer: Bearer, now: datetime) -> bool:
    """Whether a token is still one, now that its person's changes begin; notes its use, once in an hour.

    The person is locked (koschei.edit_limits).
    """
    alive = select(ApiToken.id).where(ApiToken.id == bearer.token_id, ApiToken.expires > now)
    found = session.scalar(alive.with_for_update(read=True, key_share=True)) is not None
    if found and (bearer.last_used is None or now - bearer.last_used > USED_AGAIN):
        session.execute(update(ApiToken).where(ApiToken.id == bearer.token_id).values(last_used=now))
    return found


def _locked(session: Session, actor: Actor) -> int:
    """Whose tokens are to be changed."""
    if actor.name is None:
        raise InvalidInputError("Tokens belong to people")
    audit.ensure_user(session, actor.name)
    return users.find(session, actor.name).id


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
