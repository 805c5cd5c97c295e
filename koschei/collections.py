"""Collections: making one, changing one, finding one by name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from koschei import audit
from koschei.audit import Actor
from koschei.db.notify import wake
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from koschei.koji import repositories
from koschei.koji.records import Target
from koschei.koji.session import KojiSession
from koschei.model import BuildrootProblem, Collection, CollectionStateChange
from koschei.rules.names import LONGEST_NAME, flaw, listed, quoted, shown, suggestion
from koschei.rules.states import CollectionState

BUGZILLA = ("bugzilla_product", "bugzilla_version")
OPTIONAL = ("dest_tag", *BUGZILLA)
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9.+_-]*")


@dataclass(frozen=True)
class Fields:
    """What can be said about a collection; None: not said (when it is made: the default).

    `dest_tag`: where its packages are listed; empty for the build tag of its target. `order`: highest is shown first.
    `priority_coefficient` multiplies the part of priorities that follows from changes and time. Empty Bugzilla fields
    are none.
    """

    display_name: str | None = None
    target: str | None = None
    dest_tag: str | None = None
    order: int | None = None
    priority_coefficient: float | None = None
    build_group: str | None = None
    poll_untracked: bool | None = None
    bugzilla_product: str | None = None
    bugzilla_version: str | None = None


def by_name(session: Session, name: str, *, lock: bool = False) -> Collection:
    """The collection of that name. NotFoundError suggests names that look like it."""
    query = select(Collection).where(Collection.name == name)
    found = session.scalar(query.with_for_update() if lock else query)
    if found is None:
        names = _names(session)
        there_are = f"There are: {listed(names)}" if names else "There is none yet: create-collection makes one"
        raise NotFoundError(f"Collection not found: {shown(name)}. {suggestion(name, names, there_are)}")
    return found


def find_target(koji: KojiSession, name: str) -> Target:
    """The target of that name, as Koji has it, for `create` and `edit`.

    They do not ask themselves: Koji may be slow, and whoever needs the collection would wait for their transaction.
    Raises NotFoundError (Koji has no such target), InvalidInputError, and what Koji raises.
    """
    _check_fields(Fields(target=name))
    found = repositories.target(koji, name)
    if found is None:
        raise NotFoundError(
            f"Target not found in Koji: {name}. `koji list-targets` shows those that {koji.config.server} has"
        )
    return found


def check_tag(koji: KojiSession, name: str | None) -> None:
    """Raise NotFoundError for a destination tag that Koji does not have; without one there is nothing to ask."""
    if name and not repositories.has_tag(koji, name):
        raise NotFoundError(
            f"Tag not found in Koji: {name}. `koji list-tags` shows those that {koji.config.server} has"
        )


def check_new(session: Session, name: str, wish: Fields) -> None:
    """Raise what `create` would, before Koji is asked for the target."""
    _check_name(name)
    _check_fields(wish)
    if wish.display_name is None or wish.target is None:
        raise InvalidInputError("A collection needs a display name and a target")
    _check_free(session, name)


def create(session: Session, actor: Actor, name: str, wish: Fields, target: Target, *, now: datetime) -> list[str]:
    """Make a collection; its build tag is that of `target`, which the wish names. Returns the audit messages.

    Raises AlreadyExistsError and InvalidInputError.
    """
    check_new(session, name, wish)
    collection = Collection(name=name, build_tag=target.build_tag, dest_tag=wish.dest_tag or target.build_tag)
    for field, value in _given(wish):
        if field != "dest_tag":
            setattr(collection, field, value)
    session.add(collection)
    session.flush()
    wake(session, "polling", "repo-resolver")
    return [audit.record(session, actor, f"Collection {name} created")]


def check_change(session: Session, name: str, wish: Fields, new_name: str | None = None) -> None:
    """Raise what `edit` would, before Koji is asked for the target."""
    by_name(session, name)
    _check_name(new_name if new_name is not None else name)
    _check_fields(wish)
    if new_name is not None and new_name != name:
        _check_free(session, new_name)


def edit(
    session: Session,
    actor: Actor,
    name: str,
    wish: Fields,
    target: Target | None,
    *,
    new_name: str | None = None,
    now: datetime,
) -> list[str]:
    """Change what the wish says. Returns the audit messages: none when everything was like that already.

    `target` is the one that the wish names; even if it is the same one as before, its build tag is taken over. When the
    buildroot is another one than before, what was known about it is forgotten until the resolver has looked. Errors as
    in `create`, and NotFoundError.
    """
    collection = by_name(session, name, lock=True)
    check_change(session, name, wish, new_name)
    changes = dict(_given(wish))
    if new_name is not None:
        changes["name"] = new_name
    changes["build_tag"] = collection.build_tag if target is None else target.build_tag
    if wish.dest_tag == "":
        changes["dest_tag"] = changes["build_tag"]
    changes = {field: value for field, value in changes.items() if getattr(collection, field) != value}
    if not changes:
        return []
    for field, value in changes.items():
        setattr(collection, field, value)
    if changes.keys() & {"build_tag", "build_group"}:
        _forget_buildroot(session, collection, now)
    session.flush()
    wake(session, "polling", "repo-resolver", "scheduler")
    what = ", ".join(f"{field} = {'none' if value is None else value}" for field, value in sorted(changes.items()))
    return [audit.record(session, actor, f"Collection {name} modified: {what}")]


def _given(wish: Fields) -> Iterable[tuple[str, object]]:
    """The fields that say something, as they are stored."""
    for field in fields(wish):
        value = getattr(wish, field.name)
        if value is not None:
            yield field.name, (value or None) if field.name in BUGZILLA else value


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise InvalidInputError(
            f"{quoted(name)} cannot be the name of a collection: it is part of addresses, so it consists of letters, "
            f"digits and . + _ -, at most {LONGEST_NAME}"
        )


def _check_fields(wish: Fields) -> None:
    for field in ("display_name", "target", "build_group", *OPTIONAL):
        value = getattr(wish, field)
        wrong = None if value is None or (field in OPTIONAL and not value) else flaw(value, longest=LONGEST_NAME)
        if wrong is not None:
            raise InvalidInputError(f"The {field.replace('_', ' ')} of a collection {wrong}")
    coefficient = wish.priority_coefficient
    if coefficient is not None and not (math.isfinite(coefficient) and coefficient >= 0):
        raise InvalidInputError(f"A priority coefficient of {coefficient} makes no sense: zero or more is needed")
    if wish.order is not None and abs(wish.order) >= 2**31:
        raise InvalidInputError(f"An order of {wish.order} is out of range: at most {2**31 - 1} either way")


def _check_free(session: Session, name: str) -> None:
    if name in _names(session):
        raise AlreadyExistsError(f"Object already exists: there is a collection {name}; edit-collection changes it")


def _forget_buildroot(session: Session, collection: Collection, now: datetime) -> None:
    """The state becomes unknown. No event tells of it: the message library (koschei-messages) fails on that word."""
    prev = collection.state
    session.execute(delete(BuildrootProblem).where(BuildrootProblem.collection_id == collection.id))
    if prev is CollectionState.UNKNOWN:
        return
    session.add(
        CollectionStateChange(
            collection_id=collection.id,
            prev=prev,
            new=CollectionState.UNKNOWN,
            repo_id=collection.latest_repo_id,
            timestamp=now,
        )
    )
    collection.latest_repo_id = collection.latest_repo_resolved = None


def _names(session: Session) -> list[str]:
    return list(session.scalars(select(Collection.name).order_by(Collection.order.desc(), Collection.name.desc())))
