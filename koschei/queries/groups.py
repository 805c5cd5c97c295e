"""Groups of packages as pages show them: which there are, how many packages of each are in which state, who maintains
them. Lists are read a page at a time, found by the name of the group beside which the page begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, or_, select, true, tuple_
from sqlalchemy.orm import Session

from koschei.model import GroupACL, Package, PackageGroup, PackageGroupRelation, User
from koschei.queries.changes import like_pattern
from koschei.queries.collections import Counts
from koschei.queries.packages import in_groups
from koschei.rules.states import PackageState

# So many packages are sooner looked up than found among all; for more, PostgreSQL had better read them all at once.
LOOKED_UP = 10_000


class Whose(StrEnum):
    """Which groups are asked for; the values are those of `of` in addresses."""

    ALL = "all"
    GLOBAL = "global"
    USERS = "users"


@dataclass(frozen=True)
class Wanted:
    """Which groups: `text` is a part of their full name, in which `*` stands for anything."""

    whose: Whose = Whose.ALL
    text: str = ""


@dataclass(frozen=True)
class Cursor:
    """The group beside which a page begins, by its full name: behind it, or with `back` before it."""

    name: str
    back: bool = False


@dataclass(frozen=True)
class Line:
    """A group in a list. `packages`: members that are not blocked everywhere; `counts`: those that are tracked and not
    blocked, by collection and state.
    """

    group: PackageGroup
    packages: int
    counts: Mapping[int, Counts]
    maintainers: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """Part of the list; `before` and `after` lead to its neighbours, None where there is none."""

    groups: Sequence[PackageGroup] = field(default=())
    before: Cursor | None = None
    after: Cursor | None = None


def find(session: Session, full_name: str) -> PackageGroup | None:
    """The group of that name, `namespace/name` or `name`; None when there is none."""
    return session.scalar(select(PackageGroup).where(PackageGroup.is_called(full_name)))


def count(session: Session, wanted: Wanted) -> int:
    """How many groups the list has."""
    found: int = session.execute(_filtered(select(func.count()).select_from(PackageGroup), wanted)).scalar_one()
    return found


def page(session: Session, wanted: Wanted, cursor: Cursor | None, size: int) -> Page:
    """The groups beside the cursor (None: the first ones), at most `size`: global ones first, then by name."""
    back = cursor is not None and cursor.back
    key = tuple_(_namespace(), PackageGroup.name)
    query = _filtered(select(PackageGroup), wanted)
    if cursor is not None:
        there = tuple_(*_split(cursor.name))
        query = query.where(key < there if back else key > there)
    order = (column.desc() if back else column.asc() for column in (_namespace(), PackageGroup.name))
    found = list(session.scalars(query.order_by(*order).limit(size + 1)))
    more, found = len(found) > size, found[:size]
    if back:
        found.reverse()
    if not found:
        return Page()
    has_before, has_after = (more, True) if back else (cursor is not None, more)
    return Page(
        found,
        Cursor(found[0].full_name, back=True) if has_before else None,
        Cursor(found[-1].full_name) if has_after else None,
    )


def of_user(session: Session, user: str, limit: int) -> list[PackageGroup]:
    """The groups that a user maintains or that bear the user's name, global ones first."""
    maintained = exists().where(GroupACL.group_id == PackageGroup.id, GroupACL.user_id == User.id, User.name == user)
    query = select(PackageGroup).where(or_(PackageGroup.namespace == user, maintained))
    return list(session.scalars(query.order_by(_namespace(), PackageGroup.name).limit(limit)))


def editable(session: Session, user_id: int, admin: bool, limit: int) -> list[PackageGroup]:
    """The groups that a person may edit, global ones first: all for those who administer, else those one maintains."""
    query = select(PackageGroup).order_by(_namespace(), PackageGroup.name)
    if not admin:
        query = query.where(exists().where(GroupACL.group_id == PackageGroup.id, GroupACL.user_id == user_id))
    return list(session.scalars(query.limit(limit)))


def lines(session: Session, groups: Sequence[PackageGroup], collection_ids: Sequence[int]) -> list[Line]:
    """What a list shows of each of these groups, in their order."""
    ids = [group.id for group in groups]
    if not ids:
        return []
    sizes = _sizes(session, ids)
    counts = _counts(session, ids, collection_ids, by_index=sum(sizes.values()) <= LOOKED_UP)
    people = maintainers(session, ids)
    return [
        Line(group, sizes.get(group.id, 0), counts.get(group.id, {}), tuple(people.get(group.id, ())))
        for group in groups
    ]


def maintainers(session: Session, group_ids: Sequence[int]) -> dict[int, list[str]]:
    """Who maintains these groups, by name; groups that nobody maintains are missing."""
    query = (
        select(GroupACL.group_id, User.name)
        .join(User, User.id == GroupACL.user_id)
        .where(GroupACL.group_id.in_(group_ids))
        .order_by(User.name)
    )
    found: dict[int, list[str]] = {}
    for group_id, name in session.execute(query):
        found.setdefault(group_id, []).append(name)
    return found


def _sizes(session: Session, group_ids: Sequence[int]) -> dict[int, int]:
    # Each is looked up by index: joined (without OFFSET they are), PostgreSQL would rather read all packages.
    alive = exists(
        select(Package.id)
        .where(Package.base_id == PackageGroupRelation.base_id, Package.state != PackageState.BLOCKED)
        .offset(0)
    )
    query = (
        select(PackageGroupRelation.group_id, func.count())
        .where(PackageGroupRelation.group_id.in_(group_ids), alive)
        .group_by(PackageGroupRelation.group_id)
    )
    return dict(session.execute(query).all())


def _counts(
    session: Session, group_ids: Sequence[int], collection_ids: Sequence[int], *, by_index: bool
) -> dict[int, dict[int, Counts]]:
    query = (
        select(PackageGroupRelation.group_id, Package.collection_id, Package.state, func.count())
        .join(Package, Package.base_id == PackageGroupRelation.base_id)
        .where(
            PackageGroupRelation.group_id.in_(group_ids),
            in_groups(group_ids) if by_index else true(),
            Package.collection_id.in_(collection_ids),
            Package.state.not_in((PackageState.BLOCKED, PackageState.UNTRACKED)),
        )
        .group_by(PackageGroupRelation.group_id, Package.collection_id, Package.state)
    )
    found: dict[int, dict[int, Counts]] = {}
    for group_id, collection_id, state, number in session.execute(query):
        found.setdefault(group_id, {}).setdefault(collection_id, {})[state] = number
    return found


def _namespace() -> ColumnElement[str]:
    return func.coalesce(PackageGroup.namespace, "")


def _split(full_name: str) -> tuple[str, str]:
    namespace, _, name = full_name.rpartition("/")
    return namespace, name


def _filtered(query: Select[Any], wanted: Wanted) -> Select[Any]:
    if wanted.whose is Whose.GLOBAL:
        query = query.where(PackageGroup.namespace.is_(None))
    if wanted.whose is Whose.USERS:
        query = query.where(PackageGroup.namespace.is_not(None))
    if wanted.text:
        full_name = func.concat_ws("/", PackageGroup.namespace, PackageGroup.name)
        query = query.where(full_name.ilike(like_pattern(wanted.text), escape="\\"))
    return query
