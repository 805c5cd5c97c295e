"""Groups of packages as pages show them: which there are, how many packages of each are in which state, who maintains
them. Lists are read a page at a time, found by the name of the group beside which the page begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, text, tuple_
from sqlalchemy.orm import Session

from koschei.model import BasePackage, GroupACL, PackageGroup, PackageGroupRelation, User
from koschei.queries.changes import like_pattern
from koschei.queries.collections import Counts
from koschei.queries.paging import ByName, cut
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
class Line:
    """A group in a list. `packages`: members that are not blocked everywhere; `counts`: those that are tracked and not
    blocked, by collection and state; `tracked`: how many those are, None where nobody counted.
    """

    group: PackageGroup
    packages: int
    counts: Mapping[int, Counts]
    tracked: int | None
    maintainers: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """Part of the list; `before` and `after` lead to its neighbours, by full names, None where there is none."""

    groups: Sequence[PackageGroup] = field(default=())
    before: ByName | None = None
    after: ByName | None = None


def find(session: Session, full_name: str, *, lock: bool = False) -> PackageGroup | None:
    """The group of that name, `namespace/name` or `name`; None when there is none."""
    query = select(PackageGroup).where(PackageGroup.is_called(full_name))
    return session.scalar(query.with_for_update() if lock else query)


def count(session: Session, wanted: Wanted) -> int:
    """How many groups the list has."""
    found: int = session.execute(_filtered(select(func.count()).select_from(PackageGroup), wanted)).scalar_one()
    return found


def page(session: Session, wanted: Wanted, cursor: ByName | None, size: int) -> Page:
    """The groups beside the cursor (None: the first ones), at most `size`: global ones first, then by name."""
    back = cursor is not None and cursor.back
    key = tuple_(_namespace(), PackageGroup.name)
    query = _filtered(select(PackageGroup), wanted)
    if cursor is not None:
        there = tuple_(*_split(cursor.name))
        query = query.where(key < there if back else key > there)
    order = (column.desc() if back else column.asc() for column in (_namespace(), PackageGroup.name))
    found, before, after = cut(session.scalars(query.order_by(*order).limit(size + 1)).all(), size, cursor)
    if not found:
        return Page()
    return Page(
        found,
        ByName(found[0].full_name, back=True) if before else None,
        ByName(found[-1].full_name) if after else None,
    )


def of_user(session: Session, user: str, limit: int | None = None) -> list[PackageGroup]:
    """The groups that a user maintains or that bear the user's name, global ones first."""
    query = select(PackageGroup).where(PackageGroup.is_of(user)).order_by(*PackageGroup.in_order())
    return list(session.scalars(query.limit(limit)))


def lines(session: Session, groups: Sequence[PackageGroup], collection_ids: Sequence[int]) -> list[Line]:
    """What a list shows of each of these groups, in their order."""
    ids = [group.id for group in groups]
    if not ids:
        return []
    states = _states(session, ids, collection_ids)
    people = maintainers(session, ids)
    return [Line(group, *states.get(group.id, (0, {}, 0)), tuple(people.get(group.id, ()))) for group in groups]


def members(session: Session, group_id: int, limit: int | None = None) -> list[str]:
    """The packages of a group, by name; with a limit any so many of them."""
    query = (
        select(BasePackage.name)
        .join(PackageGroupRelation, PackageGroupRelation.base_id == BasePackage.id)
        .where(PackageGroupRelation.group_id == group_id)
        .limit(limit)
    )
    return sorted(session.scalars(query))


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


# Which states a package has in which collections, as one number: so the packages of many groups are told apart once,
# and each group only counts numbers. `ALIVE`: it is not blocked everywhere.
STATES = (PackageState.OK, PackageState.FAILING, PackageState.UNRESOLVED, PackageState.UNKNOWN)
COLLECTIONS_AT_ONCE = 62 // len(STATES)
ALIVE = 1 << 62
COUNTS = """
    WITH one AS (
        SELECT base_id, bit_or({alive} | coalesce(1::bigint << ({states} * (array_position(
                   CAST(:collections AS bigint[]), collection_id) - 1) + CASE state {codes} END), 0)) AS states
        FROM package WHERE state <> 'blocked' {looked_up} GROUP BY base_id)
    SELECT r.group_id, one.states, count(*) AS number
    FROM package_group_relation AS r JOIN one ON one.base_id = r.base_id
    WHERE r.group_id = ANY(CAST(:groups AS bigint[])) GROUP BY r.group_id, one.states
"""
# As an array, packages are looked up by index; joined, PostgreSQL would rather read all of them.
LOOK_UP = """AND base_id = ANY(ARRAY(
    SELECT base_id FROM package_group_relation WHERE group_id = ANY(CAST(:groups AS bigint[]))))"""
CODES = " ".join(f"WHEN '{state}' THEN {code}" for code, state in enumerate(STATES))
ALL_READ, LOOKED_UP_ONLY = (
    text(COUNTS.format(alive=ALIVE, states=len(STATES), codes=CODES, looked_up=part)) for part in ("", LOOK_UP)
)


def _states(
    session: Session, group_ids: Sequence[int], collection_ids: Sequence[int]
) -> dict[int, tuple[int, dict[int, Counts], int | None]]:
    """Of each group: its packages that are not blocked everywhere, their states, and how many have any in these."""
    members = select(func.count()).where(PackageGroupRelation.group_id.in_(group_ids))
    query = LOOKED_UP_ONLY if session.execute(members).scalar_one() <= LOOKED_UP else ALL_READ
    found: dict[int, tuple[int, dict[int, Counts], int | None]] = {}
    for first in range(0, max(len(collection_ids), 1), COLLECTIONS_AT_ONCE):
        some = list(collection_ids[first : first + COLLECTIONS_AT_ONCE])
        for group_id, states, number in session.execute(query, {"groups": list(group_ids), "collections": some}):
            alive, counts, tracked = found.get(group_id, (0, {}, 0))
            rest = states & ~ALIVE
            # A package that is tracked in two parts would be counted twice.
            tracked = None if first or tracked is None else tracked + (number if rest else 0)
            found[group_id] = (alive + (0 if first else number), counts, tracked)
            while rest:
                place = (rest & -rest).bit_length() - 1
                here = counts.setdefault(some[place // len(STATES)], {})
                state = STATES[place % len(STATES)]
                here[state] = here.get(state, 0) + number
                rest &= rest - 1
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
