"""Who suffered from a change of a binary package: the builds that had it, and those of them that began to fail.

A change leads from one version to another, adds a package, or removes it. It was in a build when the build's own change
of that package overlaps it: a package that is built seldom jumps over several updates at once, and has all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from koschei.queries.changes import Binary
from koschei.rules import evr
from koschei.rules.changes import ChangeKind
from koschei.rules.states import PackageState

LOOKED_AT = 2500
"""Changes that are looked at for one answer: an update of what everything is built with is in every package."""
SAMPLE = 3000
SMALLEST_SAMPLE = 100


@dataclass(frozen=True)
class Version:
    """A version of a binary package."""

    epoch: int | None
    version: str
    release: str


@dataclass(frozen=True)
class Step:
    """What happened to a binary package: `before` is None when it was added, `after` when it was removed."""

    name: str
    before: Version | None
    after: Version | None

    @property
    def kind(self) -> ChangeKind:
        """What happened, in a word."""
        if self.before is None:
            return ChangeKind.ADDED
        if self.after is None:
            return ChangeKind.REMOVED
        order = evr.compare(self.before, self.after)
        if order == 0:
            return ChangeKind.CHANGED
        return ChangeKind.UPGRADED if order < 0 else ChangeKind.DOWNGRADED


@dataclass(frozen=True)
class Sufferer:
    """A package that began to fail with it. `before` and `after`: what its build had of the dependency."""

    package: str
    state: PackageState
    build_id: int
    epoch: int | None
    version: str
    release: str
    started: datetime
    distance: int | None
    before: Binary | None
    after: Binary | None


@dataclass(frozen=True)
class Affected:
    """The answer. `rebuilt`: how many packages were built with it; `began`: how many of them began to fail with that.

    `partial`: there are more changes than were looked at. `first_build`: the first build that is known to have it.
    `sufferers`: the builds where that happened, nearest first; there are `total` of them.
    """

    rebuilt: int = 0
    began: int = 0
    partial: bool = False
    first_build: int | None = None
    total: int = 0
    sufferers: tuple[Sufferer, ...] = ()


@dataclass(frozen=True)
class Usual:
    """How many of `builds` of a collection began to fail, before something happened."""

    builds: int
    began: int


class _Which(StrEnum):
    """The conditions on `p`, the first version, and `c`, the second; those of the asked step come first.

    Two versions of one name: several architectures have a row each.
    """

    UP = "p.evr_key < :after AND c.evr_key > :before AND p.evr_key < c.evr_key"
    DOWN = "p.evr_key > :after AND c.evr_key < :before AND p.evr_key > c.evr_key"
    SAME = "p.evr_key = :before AND c.evr_key = :after AND p.id <> c.id"


# LIMIT in the lateral parts keeps PostgreSQL from reading whole tables instead of a few thousand rows by their keys.
_MOVED = """
    step AS MATERIALIZED (
        SELECT p.id AS prev, array_agg(c.id) AS currs
        FROM dependency AS p JOIN dependency AS c ON c.name = p.name
        WHERE p.name = :name AND {which}
        GROUP BY p.id, (p.evr_key = :before AND c.evr_key = :after)
        ORDER BY (p.evr_key = :before AND c.evr_key = :after) DESC, p.id DESC),
    hit AS MATERIALIZED (
        SELECT a.* FROM step CROSS JOIN LATERAL (
            SELECT x.build_id, x.distance, x.prev_dep_id, x.curr_dep_id FROM applied_change AS x
            WHERE coalesce(x.prev_dep_id, x.curr_dep_id) = step.prev AND x.curr_dep_id = ANY(step.currs)
              AND x.prev_dep_id IS NOT NULL
            LIMIT :most) AS a
        LIMIT :most)
"""
_ONE_SIDED = """
    hit AS MATERIALIZED (
        SELECT a.* FROM dependency AS d CROSS JOIN LATERAL (
            SELECT x.build_id, x.distance, x.prev_dep_id, x.curr_dep_id FROM applied_change AS x
            WHERE coalesce(x.prev_dep_id, x.curr_dep_id) = d.id AND {which}
            LIMIT :most) AS a
        WHERE d.name = :name AND d.evr_key = :key
        LIMIT :most)
"""
_ADDED = "x.curr_dep_id = d.id AND x.prev_dep_id IS NULL"
_REMOVED = "x.curr_dep_id IS NULL"
_REST = """
    made AS MATERIALIZED (
        SELECT DISTINCT ON (hit.build_id) hit.*, b.package_id, b.state, b.started, b.epoch, b.version, b.release,
               k.name, k.package_state
        FROM hit
        CROSS JOIN LATERAL (SELECT * FROM build WHERE id = hit.build_id LIMIT 1) AS b
        CROSS JOIN LATERAL (
            SELECT name, state AS package_state, collection_id, tracked, blocked FROM package
            WHERE id = b.package_id LIMIT 1) AS k
        WHERE k.collection_id = :collection AND k.tracked AND NOT k.blocked AND b.state IN (3, 5) AND NOT b.untagged
        ORDER BY hit.build_id, hit.distance NULLS LAST),
    began AS MATERIALIZED (
        SELECT made.* FROM made CROSS JOIN LATERAL (
            SELECT q.state FROM build AS q
            WHERE q.package_id = made.package_id AND q.started < made.started AND q.state IN (3, 5) AND NOT q.untagged
            ORDER BY q.started DESC, q.id DESC LIMIT 1) AS previous
        WHERE made.state = 5 AND previous.state = 3)
    SELECT counted.*, x.build_id, x.distance, x.started, x.epoch, x.version, x.release, x.name, x.package_state,
           p.name AS p_name, p.epoch AS p_epoch, p.version AS p_version, p.release AS p_release, p.arch AS p_arch,
           c.name AS c_name, c.epoch AS c_epoch, c.version AS c_version, c.release AS c_release, c.arch AS c_arch
    FROM (SELECT (SELECT count(*) FROM hit) AS looked_at,
                 (SELECT count(DISTINCT package_id) FROM made) AS rebuilt,
                 (SELECT min(build_id) FROM made) AS first_build,
                 (SELECT count(*) FROM began) AS total,
                 (SELECT count(DISTINCT package_id) FROM began) AS packages) AS counted
    LEFT JOIN LATERAL (
        SELECT * FROM began ORDER BY distance NULLS LAST, started DESC, name LIMIT :shown) AS x ON true
    LEFT JOIN dependency AS p ON p.id = x.prev_dep_id
    LEFT JOIN dependency AS c ON c.id = x.curr_dep_id
    ORDER BY x.distance NULLS LAST, x.started DESC, x.name
"""


def _statement(hits: str, which: str) -> Any:
    return text(f"WITH {hits.format(which=which)}, {_REST}")


QUERIES = {
    ChangeKind.UPGRADED: _statement(_MOVED, _Which.UP),
    ChangeKind.DOWNGRADED: _statement(_MOVED, _Which.DOWN),
    ChangeKind.CHANGED: _statement(_MOVED, _Which.SAME),
    ChangeKind.ADDED: _statement(_ONE_SIDED, _ADDED),
    ChangeKind.REMOVED: _statement(_ONE_SIDED, _REMOVED),
}
# Builds are numbered in the order in which they were stored: those before one are found without an index on time.
USUAL = text("""
    SELECT count(*), count(*) FILTER (WHERE b.state = 5 AND previous.state = 3)
    FROM (SELECT id, package_id, state, started, untagged FROM build
          WHERE id < :before ORDER BY id DESC LIMIT :sample) AS b
    JOIN package AS k ON k.id = b.package_id
    LEFT JOIN LATERAL (
        SELECT q.state FROM build AS q
        WHERE b.state = 5 AND q.package_id = b.package_id AND q.started < b.started AND q.state IN (3, 5)
          AND NOT q.untagged
        ORDER BY q.started DESC, q.id DESC LIMIT 1) AS previous ON true
    WHERE k.collection_id = :collection AND k.tracked AND NOT k.blocked AND b.state IN (3, 5) AND NOT b.untagged
""")


def affected(session: Session, collection_id: int, step: Step, shown: int, looked_at: int = LOOKED_AT) -> Affected:
    """What this change did in a collection, with the first `shown` builds that began to fail.

    Errors: InvalidInputError for an epoch that no package can have.
    """
    keys = {
        side: None if version is None else evr.sort_key(version.epoch, version.version, version.release)
        for side, version in (("before", step.before), ("after", step.after))
    }
    parameters = {
        **keys,
        "key": keys["before"] or keys["after"],
        "name": step.name,
        "collection": collection_id,
        "most": looked_at + 1,
        "shown": shown,
    }
    rows = session.execute(QUERIES[step.kind], parameters).mappings().all()
    counted = rows[0]
    return Affected(
        rebuilt=counted["rebuilt"],
        began=counted["packages"],
        partial=counted["looked_at"] > looked_at,
        first_build=counted["first_build"],
        total=counted["total"],
        sufferers=tuple(_sufferer(row) for row in rows if row["build_id"] is not None),
    )


def usual(session: Session, collection_id: int, before: int | None) -> Usual | None:
    """How builds of the collection went before that build; None when there are too few to say what is usual."""
    if before is None:
        return None
    parameters = {"before": before, "sample": SAMPLE, "collection": collection_id}
    builds, began = session.execute(USUAL, parameters).one()
    return Usual(builds, began) if builds >= SMALLEST_SAMPLE else None


def _sufferer(row: Mapping[Any, Any]) -> Sufferer:
    return Sufferer(
        package=row["name"],
        state=PackageState(row["package_state"]),
        build_id=row["build_id"],
        epoch=row["epoch"],
        version=row["version"],
        release=row["release"],
        started=row["started"],
        distance=row["distance"],
        before=_binary(row, "p"),
        after=_binary(row, "c"),
    )


def _binary(row: Mapping[Any, Any], side: str) -> Binary | None:
    if row[f"{side}_name"] is None:
        return None
    return Binary(*(row[f"{side}_{part}"] for part in ("name", "epoch", "version", "release", "arch")))
