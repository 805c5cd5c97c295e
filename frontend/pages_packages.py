"""`/packages`: the packages that fit, with their state in each collection."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, render_template, request, url_for

from frontend import context
from koschei.errors import InvalidInputError
from koschei.queries import packages
from koschei.queries.packages import Cursor, Order, Selection, SortBy
from koschei.rules.states import PackageState

blueprint = Blueprint("packages", __name__)


@dataclass(frozen=True)
class Filters:
    """What the address asks for, and the addresses that ask for a little more or less."""

    states: frozenset[PackageState]
    running: bool
    untracked: bool
    order_by: str

    def arguments(self) -> dict[str, str | None]:
        """The filters as they stand in an address."""
        return {
            "state": ",".join(sorted(self.states)) or None,
            "running": "1" if self.running else None,
            "untracked": "1" if self.untracked else None,
            "order_by": self.order_by if self.order_by != SortBy.NAME else None,
        }

    def url(self, **changes: object) -> str:
        """The address of this list with other arguments; cursors are not carried on."""
        return url_for("packages.listing", **{**self.arguments(), **changes})  # type: ignore[arg-type]

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
        """Whether anything is asked for but the order."""
        return bool(self.states or self.running)


@blueprint.get("/packages")
def listing() -> str:
    """The list."""
    session, now, choice = context.session(), context.now(), context.choice()
    config = context.frontend().config
    filters = _filters(request.args)
    by_name = {collection.name: collection.id for collection in choice.every}
    order = packages.parse_order(filters.order_by, by_name)
    selection = Selection(
        collection_ids=tuple(collection.id for collection in choice.chosen),
        states=filters.states,
        running=filters.running,
        untracked=filters.untracked,
    )
    size = config.frontend.packages_per_page
    page = packages.page(session, selection, order, _cursor(request.args, order), size=size, config=config, now=now)
    return render_template(
        "packages.html",
        around=context.surroundings(),
        filters=filters,
        page=page,
        count=packages.count(session, selection),
        before=_page_url(filters, page.before),
        after=_page_url(filters, page.after),
        names={collection.id: collection.name for collection in choice.every},
        titles={collection.id: collection.display_name for collection in choice.every},
    )


def _filters(arguments: Mapping[str, str]) -> Filters:
    states = frozenset(_state(word) for word in arguments.get("state", "").split(",") if word)
    order_by = arguments.get("order_by", "").split(",")[0].strip() or SortBy.NAME
    return Filters(states, _flag(arguments, "running"), _flag(arguments, "untracked"), order_by)


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
    key = None if filters.order_by.removeprefix("-") == SortBy.NAME or cursor.key is None else repr(cursor.key)
    at = repr(cursor.at.timestamp()) if cursor.at else None
    return filters.url(**{"before" if cursor.back else "after": cursor.name, "key": key, "at": at})
