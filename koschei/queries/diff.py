"""Two collections side by side: how many packages are in another state here than there, and which.

A package may be in one of them only; those that differ are read a page at a time, in the order of their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from koschei.queries.paging import ByName, cut
from koschei.rules.states import PackageState

# None: the package is not in that collection.
Pair = tuple[PackageState | None, PackageState | None]


@dataclass(frozen=True)
class Line:
    """A package with its states in both collections."""

    name: str
    one: PackageState | None
    two: PackageState | None


@dataclass(frozen=True)
class Difference:
    """How many packages differ in which way, and part of the list of them.

    `before` and `after` lead to the list's neighbouring parts, None where there is none.
    """

    counts: Mapping[Pair, int]
    lines: Sequence[Line] = ()
    before: ByName | None = None
    after: ByName | None = None


# Both packages are read once, for the counts and for the page. A state that is asked for is compared as text, in which
# `absent` stands for not being there; NULL asks for none.
_DIFFERENCE = """
    WITH differing AS MATERIALIZED (
        SELECT coalesce(a.name, b.name) AS name, a.state AS one, b.state AS two
        FROM (SELECT name, state FROM package WHERE collection_id = :one) AS a
        FULL JOIN (SELECT name, state FROM package WHERE collection_id = :two) AS b ON b.name = a.name
        WHERE a.state IS DISTINCT FROM b.state)
    SELECT NULL AS name, one, two, count(*) AS number FROM differing GROUP BY one, two
    UNION ALL
    (SELECT name, one, two, NULL FROM differing
     WHERE (CAST(:first AS text) IS NULL OR coalesce(one, 'absent') = :first)
       AND (CAST(:second AS text) IS NULL OR coalesce(two, 'absent') = :second)
       AND (CAST(:name AS text) IS NULL OR name COLLATE "C" {beside} :name)
     ORDER BY name COLLATE "C" {direction} LIMIT :limit)
"""
FORWARD = text(_DIFFERENCE.format(beside=">", direction="ASC"))
BACKWARD = text(_DIFFERENCE.format(beside="<", direction="DESC"))
ABSENT = "absent"
STATES = (*(str(state) for state in PackageState), ABSENT)


def difference(
    session: Session,
    collections: tuple[int, int],
    states: tuple[str | None, str | None],
    cursor: ByName | None,
    size: int,
) -> Difference:
    """How two collections (by their ids) differ, with a page of the packages that do.

    `states`: only those in these, each one of STATES, or None for any; the counts are of all.
    """
    back = cursor is not None and cursor.back
    parameters = {
        "one": collections[0],
        "two": collections[1],
        "first": states[0],
        "second": states[1],
        "name": cursor and cursor.name,
        "limit": size + 1,
    }
    counts: dict[Pair, int] = {}
    lines: list[Line] = []
    for name, one, two, number in session.execute(BACKWARD if back else FORWARD, parameters):
        if name is None:
            counts[_state(one), _state(two)] = number
        else:
            lines.append(Line(name, _state(one), _state(two)))
    lines.sort(key=lambda line: line.name, reverse=back)
    lines, before, after = cut(lines, size, cursor)
    if not lines:
        return Difference(counts)
    return Difference(
        counts,
        lines,
        ByName(lines[0].name, back=True) if before else None,
        ByName(lines[-1].name) if after else None,
    )


def _state(word: str | None) -> PackageState | None:
    return None if word is None else PackageState(word)
