"""Lists of packages: one row per name, with its state in each collection; any length, read a page at a time.

A page is found by where the last one ended (key and name of its last row), never by counting rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Float, Select, and_, any_, case, cast, exists, func, or_, select
from sqlalchemy.orm import Session

from koschei.config import Config
from koschei.errors import InvalidInputError
from koschei.model import BasePackage, Collection, Package, PackageGroupRelation
from koschei.queries.changes import like_pattern
from koschei.queries.maintainers import are_of
from koschei.queries.paging import cut
from koschei.queries.scheduling import priority_column
from koschei.rules.states import BROKEN, LEFT_ALONE, PackageState

Query = Select[*tuple[Any, ...]]

# Broken first: this is what people sort by state for.
STATE_ORDER = (
    *BROKEN,
    PackageState.UNKNOWN,
    PackageState.OK,
    PackageState.UNTRACKED,
    PackageState.BLOCKED,
)
NOWHERE = -1e12
"""Sort key of what has no value (never built, no priority): behind everything that has one."""


class SortBy(StrEnum):
    """What a list can be sorted by; the values are those of `order_by` in addresses."""

    NAME = "name"
    STATE = "state"
    RUNNING = "running"
    STARTED = "started"
    PRIORITY = "current_priority"
    SINCE = "since"


OLD_WORDS = {"failing": SortBy.STATE, "task_id": SortBy.STARTED}
"""What addresses that people keep call some orders."""
BY_HIGHEST = (SortBy.STARTED, SortBy.PRIORITY, SortBy.SINCE)
"""By these a name stands where the highest value has put it that it has in any collection."""


@dataclass(frozen=True)
class Order:
    """A sort order. Its natural direction shows first what people look for: broken, running, newest, most urgent.

    `collection_id`: sort by the state in that collection alone.
    """

    by: SortBy = SortBy.NAME
    reverse: bool = False
    collection_id: int | None = None

    @property
    def descending(self) -> bool:
        """Whether larger keys come first."""
        return (self.by in BY_HIGHEST) != self.reverse


@dataclass(frozen=True)
class Cursor:
    """The row beside which a page begins: behind it, or with `back` before it.

    `at` is the moment for which priorities were computed, so that rows do not move between pages.
    """

    name: str
    key: float | None = None
    at: datetime | None = None
    back: bool = False


@dataclass(frozen=True)
class Selection:
    """Which packages are listed; without `states`, those that are tracked (`untracked`: or not) and not blocked.

    `group_ids`: only those in any of these groups; `user`: only those of this person; None: of all. `part`: only those
    with this in their name, in any case; `*` is anything.
    """

    collection_ids: tuple[int, ...]
    states: frozenset[PackageState] = frozenset()
    running: bool = False
    untracked: bool = False
    group_ids: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None
    user: str | None = None
    part: str = ""


@dataclass(frozen=True)
class Cell:
    """A package in one collection; `parts` of its priority: manual, static, dependencies and last build, weighted.

    It has no priority where it is untracked or blocked, or no build of it is known.
    """

    id: int
    collection_id: int
    state: PackageState
    since: datetime
    running_build_id: int | None
    last_build_id: int | None
    last_build_started: datetime | None
    priority: float | None
    parts: tuple[float, float, float, float] = (0, 0, 0, 0)

    @property
    def terms(self) -> list[tuple[str, float]]:
        """What its priority is the sum of, those that are not zero; time is what the others leave."""
        if self.priority is None:
            return []
        named = dict(zip(("manual", "static", "dependency", "build"), self.parts, strict=True))
        named["time"] = self.priority - sum(named.values())
        return [(name, value) for name, value in named.items() if round(value)]


@dataclass(frozen=True)
class Row:
    """A package in all collections of the list.

    `cells` by collection; `fitting`: those of them that fit the selection, by which the list is sorted.
    """

    name: str
    cells: Mapping[int, Cell]
    fitting: Sequence[Cell]
    key: float | None = None

    @property
    def started(self) -> Cell | None:
        """Where it was built last."""
        built = [cell for cell in self.fitting if cell.last_build_started is not None]
        return max(built, key=lambda cell: cell.last_build_started or cell.since, default=None)

    @property
    def priority(self) -> Cell | None:
        """Where it is most urgent."""
        rated = [cell for cell in self.fitting if cell.priority is not None]
        return max(rated, key=lambda cell: cell.priority or 0.0, default=None)

    @property
    def since(self) -> Cell:
        """Where its state changed last."""
        return max(self.fitting, key=lambda cell: cell.since)


@dataclass(frozen=True)
class Page:
    """Part of a list; `before` and `after` lead to its neighbours, None where there is none.

    `count`: how many rows the list has, where that was found on the way.
    """

    rows: Sequence[Row] = field(default=())
    before: Cursor | None = None
    after: Cursor | None = None
    count: int | None = None


def order_word(value: str) -> str:
    """What counts of an `order_by`: its first part, by its present name."""
    first = value.split(",")[0].strip()
    word = first.removeprefix("-")
    return first.removesuffix(word) + OLD_WORDS.get(word, word)


def parse_order(value: str, collections: Mapping[str, int]) -> Order:
    """The order that an `order_by` names: `-` reverses it, `state-NAME` is a collection's state.

    Errors: InvalidInputError for an order that there is not.
    """
    reverse, word = value.startswith("-"), value.removeprefix("-")
    if word.startswith("state-") and word.removeprefix("state-") in collections:
        return Order(SortBy.STATE, reverse, collections[word.removeprefix("state-")])
    try:
        return Order(SortBy(word), reverse)
    except ValueError:
        known = ", ".join(SortBy)
        raise InvalidInputError(f"Packages cannot be sorted by “{word}”: order_by is one of {known}") from None


def count(session: Session, selection: Selection) -> int:
    """How many names the list has."""
    # By number and state: an index has all that is asked, and a package has one number wherever it is.
    by_name = bool(selection.part) and selection.group_ids is None
    one_by_one = by_name or selection.group_ids is not None
    user = None if one_by_one else selection.user
    rest = replace(selection, group_ids=None, part="" if by_name else selection.part, user=user)
    bases = _chosen(select(Package.base_id), rest).where(Package.state.in_(sorted(_states(selection))))
    if by_name:
        there = bases.where(Package.base_id == BasePackage.id).correlate(BasePackage)
        few = selection.states or selection.running or selection.user
        # Where nearly every name fits, the few with this part are looked up, as members of groups are.
        bases = select(BasePackage.id).where(_alike(selection.part), exists(there if few else there.offset(0)))
    elif selection.group_ids is not None:
        there = bases.where(Package.base_id == PackageGroupRelation.base_id).correlate(PackageGroupRelation)
        # Each member is looked up: joined (without OFFSET they are), PostgreSQL would rather read all packages.
        bases = select(PackageGroupRelation.base_id).where(
            PackageGroupRelation.group_id.in_(selection.group_ids), exists(there.offset(0))
        )
    if one_by_one and selection.user is not None:
        base_id = BasePackage.id if by_name else PackageGroupRelation.base_id
        bases = bases.where(are_of(selection.user, base_id, few=True))
    if not by_name and len(selection.group_ids or selection.collection_ids) > 1:
        bases = bases.distinct()
    return session.execute(select(func.count()).select_from(bases.subquery())).scalar_one()


def page(
    session: Session,
    selection: Selection,
    order: Order,
    cursor: Cursor | None,
    *,
    size: int,
    config: Config,
    now: datetime,
) -> Page:
    """The rows beside the cursor (None: the first ones), at most `size`."""
    at = (cursor.at if cursor else None) or now
    priority = _priority(config, at)
    read, total = _found(session, selection, order, cursor, size + 1, priority)
    found, before, after = cut(read, size, cursor)
    cells, states = _cells(session, selection, [name for name, _ in found], priority), _states(selection)
    rows = [
        Row(name, cells[name], [cell for cell in cells[name].values() if _fits(cell, selection, states)], key)
        for name, key in found
    ]
    if not rows:
        return Page()
    stamp = at if order.by is SortBy.PRIORITY else None
    first = Cursor(rows[0].name, rows[0].key, stamp, back=True)
    last = Cursor(rows[-1].name, rows[-1].key, stamp)
    return Page(rows, first if before else None, last if after else None, total)


def named(session: Session, selection: Selection, names: Sequence[str], *, config: Config, now: datetime) -> list[Row]:
    """The rows of these names, in their order; names that the selection has not are left out."""
    cells = _cells(session, selection, names, _priority(config, now))
    return [Row(name, cells[name], list(cells[name].values())) for name in names if name in cells]


Found = list[tuple[str, float | None]]


def _found(
    session: Session,
    selection: Selection,
    order: Order,
    cursor: Cursor | None,
    limit: int,
    priority: ColumnElement[float],
) -> tuple[Found, int | None]:
    """The names beside the cursor with their keys, and how many names there are in all if that was found on the way."""
    key = _key(order, priority)
    if key is None:
        return [(row.name, None) for row in session.execute(_by_name(selection, order, cursor).limit(limit))], None
    if _among_broken(selection, order, cursor):
        broken = selection.states & set(BROKEN) if selection.states else frozenset(BROKEN)
        narrow = replace(selection, states=broken)
        if order.collection_id is not None:
            narrow = replace(narrow, collection_ids=(order.collection_id,))
        rows = session.execute(_by_key(narrow, order, key, cursor).limit(limit)).all() if broken else []
        if len(rows) == limit:
            return [(row.name, row.key) for row in rows], None
    # Names with a part are sought out one by one as it is; then they may as well be counted.
    if cursor is None and order.by in BY_HIGHEST and not order.reverse and not selection.part:
        query = _highest(selection, order, _value(order.by, priority), limit)
        return [(row.name, row.key) for row in session.execute(query)], None
    rows = session.execute(_by_key(selection, order, key, cursor).limit(limit)).all()
    return [(row.name, row.key) for row in rows], rows[0].total if rows else None


def _highest(selection: Selection, order: Order, value: ColumnElement[float], limit: int) -> Query:
    """The first names by the highest value that each has anywhere, without looking at those of all names.

    A name has one row in each collection at most: so many rows as there may be for the names that are wanted have them.
    """
    value = cast(value, Float(53)).label("key")
    first = _filtered(_rated(order, value), selection).order_by(value.desc(), Package.name)
    rows = first.limit(limit * len(selection.collection_ids)).subquery()
    key = func.max(rows.c.key).label("key")
    return select(rows.c.name, key).group_by(rows.c.name).order_by(key.desc(), rows.c.name).limit(limit)


def _among_broken(selection: Selection, order: Order, cursor: Cursor | None) -> bool:
    """Whether what is looked for may well be found among the packages that are broken, which are few.

    They come first when names are sorted by state: if there are enough of them, nobody needs to look at the others.
    """
    if order.by is not SortBy.STATE or order.reverse:
        return False
    if order.collection_id is not None and order.collection_id not in selection.collection_ids:
        return False
    return cursor is None or (not cursor.back and cursor.key is not None and cursor.key < len(BROKEN))


def _by_name(selection: Selection, order: Order, cursor: Cursor | None) -> Query:
    name: Any = Package.name
    if selection.part or selection.user is not None:  # these are asked of each name, and not in each collection again
        name = BasePackage.name
        there = _filtered(select(Package.id), replace(selection, part="", user=None), few=True)
        query: Query = select(name).where(exists(there.where(Package.base_id == BasePackage.id).correlate(BasePackage)))
        if selection.part:
            query = query.where(_alike(selection.part))
        if selection.user is not None:
            query = query.where(are_of(selection.user, BasePackage.id, few=True))
    else:
        query = _filtered(select(name), selection, few=True).group_by(name)
    down = order.reverse != (cursor is not None and cursor.back)
    if cursor is not None:
        query = query.where(name < cursor.name if down else name > cursor.name)
    return query.order_by(name.desc() if down else name)


def _by_key(selection: Selection, order: Order, key: ColumnElement[float], cursor: Cursor | None) -> Query:
    back = cursor is not None and cursor.back
    rows = _filtered(_rated(order, key.label("key")), selection).group_by(Package.name).cte("rows")
    down = order.descending != back
    query = select(rows.c.name, rows.c.key, select(func.count()).select_from(rows).scalar_subquery().label("total"))
    if cursor is not None:
        value = cast(cursor.key if cursor.key is not None else NOWHERE, Float)
        beyond = rows.c.key < value if down else rows.c.key > value
        name = rows.c.name < cursor.name if back else rows.c.name > cursor.name
        query = query.where(or_(beyond, and_(rows.c.key == value, name)))
    return query.order_by(rows.c.key.desc() if down else rows.c.key, rows.c.name.desc() if back else rows.c.name)


def _rated(order: Order, key: ColumnElement[float]) -> Query:
    """Names with what they are sorted by; collections have a part in the priority only."""
    query = select(Package.name, key)
    return query.join(Collection, Collection.id == Package.collection_id) if order.by is SortBy.PRIORITY else query


def _key(order: Order, priority: ColumnElement[float]) -> ColumnElement[float] | None:
    """What names are sorted by, as a number; None for the name itself."""
    key: ColumnElement[Any]
    match order.by:
        case SortBy.NAME:
            return None
        case SortBy.STATE:
            rank = func.min(case({state: i for i, state in enumerate(STATE_ORDER)}, value=Package.state))
            chosen = Package.collection_id == order.collection_id
            key = func.coalesce(rank.filter(chosen) if order.collection_id else rank, len(STATE_ORDER))
        case SortBy.RUNNING:
            key = case((func.bool_or(Package.running_build_id.is_not(None)), 0), else_=1)
        case _:
            key = func.max(_value(order.by, priority))
    return cast(key, Float(53))


def _value(by: SortBy, priority: ColumnElement[float]) -> ColumnElement[float]:
    """What a package in one collection has of that of which names are sorted by the highest they have anywhere."""
    values = {
        SortBy.STARTED: func.date_part("epoch", Package.last_build_started),
        SortBy.SINCE: func.date_part("epoch", Package.state_since),
        SortBy.PRIORITY: priority,
    }
    return func.coalesce(values[by], NOWHERE)


def _filtered(query: Query, selection: Selection, *, few: bool = False) -> Query:
    query = _chosen(query, selection, few=few)
    if selection.states:
        query = query.where(Package.state.in_(sorted(selection.states)))
    # It follows from the states, but indexes of packages that are neither say it so.
    if not selection.states & {PackageState.BLOCKED}:
        query = query.where(~Package.blocked)
    if not (selection.untracked or selection.states & set(LEFT_ALONE)):
        query = query.where(Package.tracked)
    return query


def _states(selection: Selection) -> frozenset[PackageState]:
    """The states that packages of the list may have."""
    if selection.states:
        return selection.states
    hidden = {PackageState.BLOCKED} if selection.untracked else set(LEFT_ALONE)
    return frozenset(PackageState) - hidden


def _fits(cell: Cell, selection: Selection, states: frozenset[PackageState]) -> bool:
    """Whether this cell, and not only another one of its name, is what the list is about: what `_filtered` says."""
    return cell.state in states and (not selection.running or cell.running_build_id is not None)


def _priority(config: Config, at: datetime) -> ColumnElement[float]:
    """The priority as lists have it: nothing asks for builds of what is untracked or blocked."""
    return case((and_(Package.tracked, ~Package.blocked), priority_column(config, at)))


def _chosen(query: Query, selection: Selection, *, few: bool = False) -> Query:
    """The selection but for the states. `few`: whoever asks looks at a few packages only, in the order of an index."""
    query = query.where(Package.collection_id.in_(selection.collection_ids))
    if selection.running:
        query = query.where(Package.running_build_id.is_not(None))
    few = few or (bool(selection.states) and selection.states <= frozenset(BROKEN))
    if selection.group_ids is not None:
        query = query.where(in_groups(selection.group_ids, few=few))
    if selection.user is not None:
        query = query.where(are_of(selection.user, few=few))
    if selection.names is not None:
        query = query.where(Package.name.in_(selection.names))
    if selection.part:
        query = query.where(Package.base_id.in_(select(BasePackage.id).where(_alike(selection.part))))
    return query


def _alike(part: str) -> ColumnElement[bool]:
    """Whether this is in a name, which is looked at once, and not once in each collection."""
    return BasePackage.name.ilike(like_pattern(part), escape="\\")


def in_groups(group_ids: Sequence[int], *, few: bool = False) -> ColumnElement[bool]:
    """Whether a package is in any of these groups; `few`: it is one of a few in question, whatever the groups' size.

    As an array, members are looked up by index; joined, PostgreSQL would rather read all packages of all collections.
    """
    members = select(PackageGroupRelation.base_id).where(PackageGroupRelation.group_id.in_(group_ids))
    return Package.base_id.in_(members) if few else Package.base_id == any_(func.array(members.scalar_subquery()))


def _cells(
    session: Session, selection: Selection, names: Sequence[str], priority: ColumnElement[float]
) -> dict[str, dict[int, Cell]]:
    """The packages of these names in all collections of the list, whatever their state."""
    if not names:
        return {}
    query = (
        select(
            Package.name,
            Package.id,
            Package.collection_id,
            Package.state,
            Package.state_since,
            Package.running_build_id,
            Package.last_build_id,
            Package.last_build_started,
            priority.label("priority"),
            Package.manual_priority,
            Package.static_priority,
            (Collection.priority_coefficient * Package.dependency_priority).label("dependency"),
            (Collection.priority_coefficient * Package.build_priority).label("build"),
        )
        .join(Collection, Collection.id == Package.collection_id)
        .where(Package.name.in_(names), Package.collection_id.in_(selection.collection_ids))
    )
    rows: dict[str, dict[int, Cell]] = {}
    for row in session.execute(query):
        rows.setdefault(row.name, {})[row.collection_id] = Cell(
            row.id,
            row.collection_id,
            row.state,
            row.state_since,
            row.running_build_id,
            row.last_build_id,
            row.last_build_started,
            row.priority,
            (row.manual_priority, row.static_priority, row.dependency, row.build),
        )
    return rows
