"""`/collections/diff/<one>/<two>`: what builds there and not here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Blueprint, render_template, request, url_for

from frontend import context
from frontend.present import SHOWN_STATES
from koschei.errors import InvalidInputError
from koschei.model import Collection
from koschei.queries import diff
from koschei.queries.diff import ABSENT, Pair
from koschei.queries.paging import ByName
from koschei.rules.states import BROKEN, PackageState

blueprint = Blueprint("diff", __name__)

ORDER = (*SHOWN_STATES, None)


@dataclass(frozen=True)
class Sides:
    """The two collections, and the states in them that are asked for (None: any)."""

    one: Collection
    two: Collection
    states: tuple[str | None, str | None] = (None, None)

    def url(self, one: str | None, two: str | None, **more: str | None) -> str:
        """The page for these states, from its beginning."""
        return url_for("diff.difference", one=self.one.name, two=self.two.name, here=one, there=two, **more)  # type: ignore[arg-type]

    def page_url(self, cursor: ByName | None) -> str | None:
        """The page of the list beside the cursor."""
        if cursor is None:
            return None
        return self.url(*self.states, **{"before" if cursor.back else "after": cursor.name})


@blueprint.get("/collections/diff/<one>/<two>")
def difference(one: str, two: str) -> str:
    """Two collections side by side; `here` and `there` ask for packages in these states in the one and the other."""
    session, config = context.session(), context.frontend().config
    sides = Sides(context.collection(one), context.collection(two), (_asked("here"), _asked("there")))
    size = config.frontend.packages_per_page
    found = diff.difference(session, (sides.one.id, sides.two.id), sides.states, _cursor(), size)
    counts = found.counts
    return render_template(
        "diff.html",
        around=context.surroundings([sides.one, sides.two]),
        sides=sides,
        counts=counts,
        rows=_present(counts, 0),
        columns=_present(counts, 1),
        only_one=builds_only(counts, 0),
        only_two=builds_only(counts, 1),
        differing=sum(counts.values()),
        listed=sum(number for pair, number in counts.items() if _fits(pair, sides)),
        lines=found.lines,
        ABSENT=ABSENT,
        before=sides.page_url(found.before),
        after=sides.page_url(found.after),
    )


def builds_only(counts: Mapping[Pair, int], side: int) -> int:
    """How many packages build in that collection (0: the first) and are broken in the other."""
    return sum(number for pair, number in counts.items() if pair[side] is PackageState.OK and pair[1 - side] in BROKEN)


def _present(counts: Mapping[Pair, int], side: int) -> list[PackageState | None]:
    """The states that there are on one side, in the order of pages."""
    return [state for state in ORDER if any(pair[side] == state for pair in counts)]


def _fits(pair: Pair, sides: Sides) -> bool:
    return all(
        asked is None or asked == (ABSENT if state is None else state)
        for state, asked in zip(pair, sides.states, strict=True)
    )


def _asked(argument: str) -> str | None:
    word = request.args.get(argument, "")
    if word and word not in diff.STATES:
        raise InvalidInputError(f"“{word}” is no state: {argument} is one of {', '.join(diff.STATES)}")
    return word or None


def _cursor() -> ByName | None:
    back = "before" in request.args
    name = request.args.get("before" if back else "after")
    return None if name is None else ByName(name, back)
