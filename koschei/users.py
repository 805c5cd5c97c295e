"""People: who may administer, and who is known."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from koschei import audit
from koschei.audit import Actor
from koschei.errors import InvalidInputError, NotFoundError
from koschei.groups import NAME
from koschei.model import Environment, GroupACL, User
from koschei.rules.names import LONGEST_NAME, quoted, suggestion


@dataclass(frozen=True)
class UserSummary:
    """A person; `groups` counts those the person maintains."""

    name: str
    admin: bool
    groups: int


def summaries(session: Session, *, admins_only: bool = False) -> list[UserSummary]:
    """Everybody who is known (or who administers), by name."""
    groups = select(func.count()).where(GroupACL.user_id == User.id).scalar_subquery()
    query = select(User.name, User.admin, groups).order_by(User.name)
    if admins_only:
        query = query.where(User.admin)
    return [UserSummary(*row) for row in session.execute(query)]


def is_last_admin(session: Session, name: str) -> bool:
    """Whether this person administers, and nobody else does."""
    return list(session.scalars(select(User.name).where(User.admin))) == [name]


@dataclass(frozen=True)
class Known:
    """Somebody who has just logged in; `new`: for the first time that we know of."""

    user_id: int
    new: bool
    admin: bool


def log_in(session: Session, name: str, *, admin: bool = False) -> Known:
    """Know somebody who has logged in from now on. `admin`: who is new may administer. InvalidInputError for a name."""
    check_name(name)
    actor = Actor(Environment.FRONTEND, name)
    new = session.scalar(select(User.id).where(User.name == name)) is None
    user_id = audit.ensure_user(session, name)
    if new:
        audit.record(session, actor, f"User {name} was registered")
        if admin:
            set_admin(session, actor, name, True)
    return Known(user_id, new, session.execute(select(User.admin).where(User.id == user_id)).scalar_one())


def check_name(name: str) -> None:
    """Raise InvalidInputError for what cannot be the name of a user."""
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise InvalidInputError(
            f"{quoted(name)} cannot be the name of a user: it consists of letters, digits and . + _ -"
        )


def find(session: Session, name: str) -> User:
    """The person of that name, locked. Raises NotFoundError, and InvalidInputError for what cannot be a name."""
    check_name(name)
    user = session.scalar(select(User).where(User.name == name).with_for_update(key_share=True))
    if user is None:
        hint = suggestion(name, session.scalars(select(User.name)).all(), "Check the spelling.")
        raise NotFoundError(f"User {name} not found. {hint} People are known when they have logged in once")
    return user


def set_admin(session: Session, actor: Actor, name: str, admin: bool, *, create: bool = False) -> list[str]:
    """Let a person administer, or not any more; returns the audit messages, none when it is like that already.

    Raises NotFoundError for a person who is not known, unless `create`.
    """
    if create:
        check_name(name)
        audit.ensure_user(session, name)
    user = find(session, name)
    if user.admin == admin:
        return []
    user.admin = admin
    words = "may administer Koschei" if admin else "may not administer Koschei any more"
    return [audit.record(session, actor, f"User {name} {words}")]
