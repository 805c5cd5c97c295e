"""Lists of packages: one row per name, with its state in each collection; any length, read a page at a time.

A page is found by where the last one ended (key and name of its last row), never by counting rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Float, Select, and_, any_, case, cast, func, or_, select
from sqlalchemy.orm import Session

from koschei.config import Config
from koschei.errors import InvalidInputError
from koschei.model import Collection, Package, PackageGroupRelation
from koschei.queries.maintainers import are_of
from koschei.rules.states import PackageState
from koschei.scheduling import priority_column

Query = Select[*tuple[Any, ...]]

# Broken first: this is what people sort by state for.
STATE_ORDER = (
    PackageState.UNRESOLVED,
    PackageState.FAILING,
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
        return (self.by in (SortBy.STARTED, SortBy.PRIORITY, SortBy.SINCE)) != self.reverse


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

    `group_ids`: only those in any of these groups; `user`: only those of this person; None: of all.
    """

    collection_ids: tuple[int, ...]
    states: frozenset[PackageState] = frozenset()
    running: bool = False
    untracked: bool = False
    group_ids: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None
    user: str | None = None


@dataclass(frozen=True)
class Cell:
    """A package in one collection; `terms`: what its priority is the sum of, those that are not zero."""

    id: int
    collection_id: int
    state: PackageState
    since: datetime
    running_build_id: int | None
    last_build_id: int | None
    last_build_started: datetime | None
    priority: float | None
    terms: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Row:
    """A package in all collections of the list; `cells` by collection."""

    name: str
    cells: Mapping[int, Cell]
    key: float | None = None

    @property
    def started(self) -> Cell | None:
        """Where it was built last."""
        built = [cell for cell in self.cells.values() if cell.last_build_started is not None]
        return max(built, key=lambda cell: cell.last_build_started or cell.since, default=None)

    @property
    def priority(self) -> Cell | None:
        """Where it is most urgent."""
        rated = [
            cell
            for cell in self.cells.values()
            if cell.priority is not None and cell.state not in (PackageState.UNTRACKED, PackageState.BLOCKED)
        ]
        return max(rated, key=lambda cell: cell.priority or 0.0, default=None)

    @property
    def since(self) -> Cell:
        """Where its state changed last."""
        return max(self.cells.values(), key=lambda cell: cell.since)

    @property
    def running(self) -> list[Cell]:
        """Where it is being built."""
        return [cell for cell in self.cells.values() if cell.running_build_id is not None]


@dataclass(frozen=True)
class Page:
    """Part of a list; `before` and `after` lead to its neighbours, None where there is none."""

    rows: Sequence[Row] = field(default=())
    before: Cursor | None = None
    after: Cursor | None = None


def parse_order(value: str, collections: Mapping[str, int]) -> Order:
    """The order that an `order_by` names: its first part counts, `-` reverses it, `state-NAME` is a collection's state.

    Errors: InvalidInputError for an order that there is not.
    """
    first = value.split(",")[0].strip()
    reverse = first.startswith("-")
    word = first.removeprefix("-")
    if word == "failing":  # what lists of several collections called it
        word = "state"
    if word.startswith("state-") and word.removeprefix("state-") in collections:
        return Order(SortBy.STATE, reverse, collections[word.removeprefix("state-")])
    try:
        return Order(SortBy(word), reverse)
    except ValueError:
        known = ", ".join(SortBy)
        raise InvalidInputError(f"Packages cannot be sorted by “{word}”: order_by is one of {known}") from None


def count(session: Session, selection: Selection) -> int:
    """How many names the list has."""
    names = _filtered(select(Package.name), selection)
    if len(selection.collection_ids) == 1:
        return session.execute(select(func.count()).select_from(names.subquery())).scalar_one()
    return session.execute(select(func.count()).select_from(names.distinct().subquery())).scalar_one()


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
    back = cursor is not None and cursor.back
    query = _named(selection, order, cursor, priority_column(config, at))
    found = list(session.execute(query.limit(size + 1)))
    more, found = len(found) > size, found[:size]
    if back:
        found.reverse()
    cells = _cells(session, selection, [name for name, _ in found], priority_column(config, at))
    rows = [Row(name, cells[name], key) for name, key in found if name in cells]
    if not rows:
        return Page()
    stamp = at if order.by is SortBy.PRIORITY else None
    first = Cursor(rows[0].name, rows[0].key, stamp, back=True)
    last = Cursor(rows[-1].name, rows[-1].key, stamp)
    has_before, has_after = (more, True) if back else (cursor is not None, more)
    return Page(rows, first if has_before else None, last if has_after else None)


def named(session: Session, selection: Selection, names: Sequence[str], *, config: Config, now: datetime) -> list[Row]:
    """The rows of these names, in their order; names that the selection has not are left out."""
    cells = _cells(session, replace(selection, states=frozenset()), names, priority_column(config, now))
    return [Row(name, cells[name]) for name in names if name in cells]


def _named(selection: Selection, order: Order, cursor: Cursor | None, priority: ColumnElement[float]) -> Query:
    key = _key(order, priority)
    back = cursor is not None and cursor.back
    if key is None:
        query = _filtered(select(Package.name, cast(None, Float).label("key")), selection).group_by(Package.name)
        down = order.reverse != back
        if cursor is not None:
            query = query.where(Package.name < cursor.name if down else Package.name > cursor.name)
        return query.order_by(Package.name.desc() if down else Package.name)
    rated = select(Package.name, key.label("key")).join(Collection, Collection.id == Package.collection_id)
    rows = _filtered(rated, selection).group_by(Package.name).subquery()
    down = order.descending != back
    query = select(rows.c.name, rows.c.key)
    if cursor is not None:
        value = cast(cursor.key if cursor.key is not None else NOWHERE, Float)
        beyond = rows.c.key < value if down else rows.c.key > value
        name = rows.c.name < cursor.name if back else rows.c.name > cursor.name
        query = query.where(or_(beyond, and_(rows.c.key == value, name)))
    return query.order_by(rows.c.key.desc() if down else rows.c.key, rows.c.name.desc() if back else rows.c.name)


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
        case SortBy.STARTED:
            key = func.coalesce(func.max(func.extract("epoch", Package.last_build_started)), NOWHERE)
        case SortBy.SINCE:
            key = func.max(func.extract("epoch", Package.state_since))
        case SortBy.PRIORITY:
            key = func.coalesce(func.max(priority), NOWHERE)
    return cast(key, Float(53))


def _filtered(query: Query, selection: Selection) -> Query:
    query = query.where(Package.collection_id.in_(selection.collection_ids))
    if selection.states:
        query = query.where(Package.state.in_(sorted(selection.states)))
    if not selection.states & {PackageState.BLOCKED}:
        query = query.where(~Package.blocked)
    if not (selection.untracked or selection.states & {PackageState.BLOCKED, PackageState.UNTRACKED}):
        query = query.where(Package.tracked)
    if selection.running:
        query = query.where(Package.running_build_id.is_not(None))
    if selection.group_ids is not None:
        member = in_groups(selection.group_ids)
        query = query.where(member)
    if selection.user is not None:
        query = query.where(are_of(selection.user))
    if selection.names is not None:
        query = query.where(Package.name.in_(selection.names))
    return query


def in_groups(group_ids: Sequence[int]) -> ColumnElement[bool]:
    """Whether a package is in any of these groups.

    As an array, members are looked up by index; joined, PostgreSQL would rather read all packages of all collections.
    """
    members = select(PackageGroupRelation.base_id).where(PackageGroupRelation.group_id.in_(group_ids))
    return Package.base_id == any_(func.array(members.scalar_subquery()))


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
            _terms(row.priority, row.manual_priority, row.static_priority, row.dependency, row.build),
        )
    return rows


def _terms(
    priority: float | None, manual: float, static: float, dependency: float, build: float
) -> tuple[tuple[str, float], ...]:
    """The terms of a priority by name; time is what the others leave. None without a known build."""
    if priority is None:
        return ()
    named = {"manual": manual, "static": static, "dependency": dependency, "build": build}
    named["time"] = priority - sum(named.values())
    return tuple((name, value) for name, value in named.items() if round(value))
