"""A list of packages as several pages show it: what its address asks for, its rows, and the addresses beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flask import request, url_for

from frontend import context
from koschei.errors import InvalidInputError
from koschei.queries import packages
from koschei.queries.packages import Cursor, Order, Page, Selection, SortBy
from koschei.rules.states import PackageState

LONGEST_PART = 200


@dataclass(frozen=True)
class Place:
    """Where a list stands: its endpoint with the variable parts of its address, and how it is sorted unless asked."""

    endpoint: str
    values: Mapping[str, str] = field(default_factory=dict)
    order_by: str = SortBy.NAME


@dataclass(frozen=True)
class Filters:
    """What the address asks for, and the addresses that ask for a little more or less.

    `group` is the full name of one, `user` the name of a person, `part` what is in the packages' names.
    """

    place: Place
    states: frozenset[PackageState]
    running: bool
    untracked: bool
    order_by: str
    part: str = ""
    group: str | None = None
    user: str | None = None

    def arguments(self) -> dict[str, str | None]:
        """The filters as they stand in an address."""
        return {
            "q": self.part or None,
            "group": self.group,
            "user": self.user,
            "state": ",".join(sorted(self.states)) or None,
            "running": "1" if self.running else None,
            "untracked": "1" if self.untracked else None,
            "order_by": self.order_by if self.order_by != self.place.order_by else None,
        }

    def url(self, **changes: object) -> str:
        """The address of this list with other arguments; cursors are not carried on."""
        return url_for(self.place.endpoint, **{**self.place.values, **self.arguments(), **changes})  # type: ignore[arg-type]

    @property
    def bare(self) -> str:
        """The address of this list that asks for nothing."""
        return url_for(self.place.endpoint, **self.place.values, collection=None)  # type: ignore[arg-type]

    def toggled(self, state: PackageState) -> str:
        """The address with this state asked for, or no longer asked for."""
        return self.url(state=",".join(sorted(self.states ^ {state})) or None)

    def sorted_by(self, word: str) -> str:
        """The address of the list sorted by this; the other way round when it is so already."""
        return self.url(order_by=f"-{word}" if self.order_by == word else word)

    def aria_sort(self, word: str, descends: bool = False) -> str | None:
        """What `aria-sort` says of a column; None when the list is sorted by another."""
        if self.order_by.removeprefix("-") != word:
            return None
        return "descending" if (self.order_by.startswith("-") != descends) else "ascending"

    @property
    def narrowed(self) -> bool:
        """Whether only packages in some condition are asked for."""
        return bool(self.part or self.states or self.running)

    @property
    def words(self) -> str:
        """What is asked for, behind the packages' number."""
        part = f" with “{self.part}” in the name" if self.part else ""
        states = f", {' or '.join(sorted(self.states))}" if self.states else ""
        return part + states + (", running" if self.running else "")

    @property
    def by_name(self) -> bool:
        """Whether the list is sorted by name."""
        return self.order_by.removeprefix("-") == SortBy.NAME


@dataclass(frozen=True)
class Listing:
    """The rows, how many there are in all, the neighbours' addresses, and the collections' names and titles by id."""

    filters: Filters
    page: Page
    count: int
    before: str | None
    after: str | None
    names: Mapping[int, str]
    titles: Mapping[int, str]


def read_filters(place: Place) -> Filters:
    """What the request asks for. Errors: InvalidInputError for what cannot be asked for."""
    arguments = request.args
    states = frozenset(_state(word) for word in arguments.get("state", "").split(",") if word)
    order_by = packages.order_word(arguments.get("order_by", "")) or place.order_by
    part = arguments.get("q", "").strip()[:LONGEST_PART]
    part = part if part.strip("*") else ""
    return Filters(place, states, _flag(arguments, "running"), _flag(arguments, "untracked"), order_by, part)


def listed(
    filters: Filters,
    group_ids: Sequence[int] | None = None,
    user: str | None = None,
    *,
    tracked: int | None = None,
) -> Listing:
    """The page of the list that the request asks for; only packages in any of these groups, and of this user.

    `tracked`: how many of them are tracked and not blocked, if that is known.
    """
    session, choice, config = context.session(), context.choice(), context.frontend().config
    order = packages.parse_order(filters.order_by, {c.name: c.id for c in choice.every})
    selection = Selection(
        collection_ids=tuple(collection.id for collection in choice.chosen),
        states=filters.states,
        running=filters.running,
        untracked=filters.untracked,
        group_ids=None if group_ids is None else tuple(group_ids),
        user=user,
        part=filters.part,
    )
    cursor, size = _cursor(request.args, order), config.frontend.packages_per_page
    page = packages.page(session, selection, order, cursor, size=size, config=config, now=context.now())
    if cursor is None and page.after is None:
        count = len(page.rows)
    elif tracked is not None and not (filters.narrowed or filters.untracked):
        count = tracked
    else:
        count = page.count if page.count is not None else packages.count(session, selection)
    return Listing(
        filters,
        page,
        count,
        _page_url(filters, page.before),
        _page_url(filters, page.after),
        {collection.id: collection.name for collection in choice.every},
        {collection.id: collection.display_name for collection in choice.every},
    )


def _state(word: str) -> PackageState:
    try:
        return PackageState(word)
    except ValueError:
        raise InvalidInputError(f"“{word}” is no state: state is any of {', '.join(PackageState)}") from None


def _flag(arguments: Mapping[str, str], name: str) -> bool:
    return arguments.get(name, "") not in ("", "0", "false")


def _cursor(arguments: Mapping[str, str], order: Order) -> Cursor | None:
    back = "before" in arguments
    name = arguments.get("before" if back else "after")
    if name is None:
        return None
    key = None if order.by is SortBy.NAME else _number(arguments, "key")
    at = datetime.fromtimestamp(_number(arguments, "at"), UTC) if "at" in arguments else None
    return Cursor(name, key, at, back)


def _number(arguments: Mapping[str, str], name: str) -> float:
    """A finite number from the address, of a size that a moment can have."""
    try:
        value = float(arguments.get(name, ""))
    except ValueError:
        value = math.nan
    if not abs(value) <= 1e12 or (name == "at" and not 0 <= value < 1e11):
        raise InvalidInputError(f"“{name}” must be a number: begin again at the list's first page")
    return value


def _page_url(filters: Filters, cursor: Cursor | None) -> str | None:
    if cursor is None:
        return None
    key = None if filters.by_name or cursor.key is None else repr(cursor.key)
    at = repr(cursor.at.timestamp()) if cursor.at else None
    return filters.url(**{"before" if cursor.back else "after": cursor.name, "key": key, "at": at})
