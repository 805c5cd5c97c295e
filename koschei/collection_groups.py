"""Collection groups: which collections are shown together."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from koschei import audit
from koschei.audit import Actor
from koschei.collections import NAME
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from koschei.model import Collection, CollectionGroup
from koschei.rules.names import LONGEST_NAME, flaw, listed, quoted, shown, suggestion


def all_groups(session: Session) -> list[CollectionGroup]:
    """All collection groups by name."""
    return list(session.scalars(select(CollectionGroup).order_by(CollectionGroup.name)))


def contents(session: Session) -> dict[str, list[str]]:
    """The names of the collections in each group, by the group's name."""
    return {group.name: [collection.name for collection in group.collections] for group in all_groups(session)}


def described(session: Session, name: str) -> str:
    """A group in words: what a question about it says. Raises NotFoundError."""
    group = _named(session, name)
    return f"collection group {name} with {len(group.collections)} collections"


def create(session: Session, actor: Actor, name: str, display_name: str, contents: Iterable[str]) -> list[str]:
    """Make a group of these collections. Returns the audit messages.

    Raises AlreadyExistsError, NotFoundError (unknown collections), InvalidInputError.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise InvalidInputError(
            f"{quoted(name)} cannot be the name of a collection group: it consists of letters, digits and . + _ -"
        )
    group = CollectionGroup(name=name, display_name=_checked(display_name), collections=_collections(session, contents))
    try:
        with session.begin_nested():
            session.add(group)
    except IntegrityError as error:  # the name is taken, perhaps since a moment ago
        raise AlreadyExistsError(
            f"Object already exists: there is a collection group {name}; edit-collection-group changes it"
        ) from error
    return [audit.record(session, actor, f"Collection group {name} created: {_listed(group)}")]


def edit(
    session: Session, actor: Actor, name: str, *, display_name: str | None = None, contents: Iterable[str] | None = None
) -> list[str]:
    """Change what is given; `contents` takes the place of what was in it. Returns the audit messages.

    None when everything was like that already. Raises what `create` does.
    """
    group = _named(session, name, lock=True)
    changes = []
    if display_name is not None and _checked(display_name) != group.display_name:
        group.display_name = display_name
        changes.append(f"display name = {display_name}")
    if contents is not None:
        wanted = _collections(session, contents)
        if {collection.id for collection in wanted} != {collection.id for collection in group.collections}:
            group.collections = wanted
            changes.append(f"collections = {_listed(group)}")
    if not changes:
        return []
    session.flush()
    return [audit.record(session, actor, f"Collection group {name} modified: {'; '.join(changes)}")]


def delete(session: Session, actor: Actor, name: str) -> list[str]:
    """Delete a group; its collections stay. Returns the audit messages. Raises NotFoundError."""
    session.delete(_named(session, name, lock=True))
    return [audit.record(session, actor, f"Collection group {name} deleted")]


def _named(session: Session, name: str, *, lock: bool = False) -> CollectionGroup:
    query = select(CollectionGroup).where(CollectionGroup.name == name)
    found = session.scalar(query.with_for_update() if lock else query)
    if found is None:
        names = [group.name for group in all_groups(session)]
        there_are = f"There are: {listed(names)}" if names else "There is none yet: create-collection-group makes one"
        hint = suggestion(name, names, there_are)
        raise NotFoundError(f"Object not found: there is no collection group {shown(name)}. {hint}")
    return found


def _checked(display_name: str) -> str:
    wrong = flaw(display_name, longest=LONGEST_NAME)
    if wrong is not None:
        raise InvalidInputError(f"The display name of a collection group {wrong}")
    return display_name


def _collections(session: Session, names: Iterable[str]) -> list[Collection]:
    wanted = set(names)
    query = select(Collection).where(Collection.name.in_(wanted))
    found = list(session.scalars(query.order_by(Collection.order.desc(), Collection.name.desc())))
    unknown = sorted(wanted - {collection.name for collection in found})
    if unknown:
        known = session.scalars(select(Collection.name)).all()
        hint = suggestion(unknown[0], known, "list-collections shows those that there are")
        raise NotFoundError(f"Some collections weren't found: {listed(unknown)}. {hint}")
    return found


def _listed(group: CollectionGroup) -> str:
    return ", ".join(collection.name for collection in group.collections) or "none"
