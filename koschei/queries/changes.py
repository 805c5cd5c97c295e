"""Dependency changes of builds and packages, most suspicious first, as many as asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import text
from sqlalchemy.orm import Session

from koschei.rules.changes import Change, ChangeKind


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary package as pages show it."""

    name: str
    epoch: int
    version: str
    release: str
    arch: str


@dataclass(frozen=True)
class Changes:
    """The first changes of one owner, in the order of koschei.rules.suspects, and how many there are in all.

    `compared`: there is something they were compared with; without it nothing is known to have changed or not.
    """

    shown: tuple[Change[Binary], ...] = ()
    total: int = 0
    compared: bool = True

    @property
    def hidden(self) -> int:
        """How many were not read."""
        return self.total - len(self.shown)


# The kind follows koschei.rules.changes, the order koschei.rules.suspects; tests hold them equal.
_CHANGES = """
    SELECT a.distance, coalesce(c.name, p.name) AS name,
           p.epoch AS p_epoch, p.version AS p_version, p.release AS p_release, p.arch AS p_arch,
           c.epoch AS c_epoch, c.version AS c_version, c.release AS c_release, c.arch AS c_arch,
           CASE WHEN p.id IS NULL THEN 'added' WHEN c.id IS NULL THEN 'removed'
                WHEN p.evr_key < c.evr_key THEN 'upgraded' WHEN p.evr_key > c.evr_key THEN 'downgraded'
                ELSE 'changed' END AS kind
    FROM {table} AS a
    LEFT JOIN dependency AS p ON p.id = a.prev_dep_id
    LEFT JOIN dependency AS c ON c.id = a.curr_dep_id
"""
_ORDER = """
    x.distance NULLS LAST,
    array_position(ARRAY['upgraded', 'downgraded', 'removed', 'added', 'changed'], x.kind),
    x.name,
    coalesce(x.p_epoch, x.c_epoch), coalesce(x.p_version, x.c_version) COLLATE "C",
    coalesce(x.p_release, x.c_release) COLLATE "C", coalesce(x.p_arch, x.c_arch) COLLATE "C",
    x.c_epoch, x.c_version COLLATE "C", x.c_release COLLATE "C", x.c_arch COLLATE "C"
"""


def _per_owner(table: str, owner: str) -> str:
    return f"""
        SELECT o.id AS owner, y.*
        FROM unnest(CAST(:ids AS bigint[])) AS o(id)
        CROSS JOIN LATERAL (
            SELECT x.*, count(*) OVER () AS total
            FROM ({_CHANGES.format(table=table)} WHERE a.{owner} = o.id) AS x
            WHERE (CAST(:pattern AS text) IS NULL OR x.name ILIKE :pattern)
              AND (CAST(:kind AS text) IS NULL OR x.kind = :kind)
            ORDER BY {_ORDER}
            LIMIT :limit
        ) AS y
    """  # noqa: S608 - only our own constants are put in


OF_BUILDS = text(_per_owner("applied_change", "build_id"))
OF_PACKAGES = text(_per_owner("unapplied_change", "package_id"))
# The condition is that of koschei.build_resolution: only resolved builds with a verdict are compared with.
FIRST_OF_THEIR_PACKAGE = text("""
    SELECT b.id FROM build AS b
    WHERE b.id = ANY(CAST(:ids AS bigint[]))
      AND NOT EXISTS (SELECT FROM build AS e
                      WHERE e.package_id = b.package_id AND e.started < b.started AND e.deps_resolved
                        AND e.state IN (3, 5))
""")
COUNTS = text(f"""
    SELECT x.kind, count(*) FROM ({_CHANGES.format(table="applied_change")} WHERE a.build_id = :id) AS x GROUP BY x.kind
""")  # noqa: S608


def of_builds(
    session: Session, build_ids: Iterable[int], limit: int, *, name: str = "", kind: ChangeKind | None = None
) -> dict[int, Changes]:
    """The changes of each build against the one before it; `name`: only those whose name contains it."""
    found = _read(session, OF_BUILDS, build_ids, limit, name, kind)
    empty = [build_id for build_id, changes in found.items() if not changes.total]
    for build_id in session.scalars(FIRST_OF_THEIR_PACKAGE, {"ids": empty}) if empty else ():
        found[build_id] = replace(found[build_id], compared=False)
    return found


def pending(session: Session, package_id: int, limit: int) -> Changes:
    """What would be installed now against what the package's last build had."""
    return _read(session, OF_PACKAGES, [package_id], limit, "", None)[package_id]


def counts(session: Session, build_id: int) -> dict[ChangeKind, int]:
    """How many changes of each kind a build has; kinds that it has not are left out."""
    found = {ChangeKind(kind): count for kind, count in session.execute(COUNTS, {"id": build_id})}
    return {kind: found[kind] for kind in ChangeKind if kind in found}


def like_pattern(part: str) -> str:
    """An ILIKE pattern for names that contain `part`, in which only `*` is special (anything)."""
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped.replace('*', '%')}%"


def _read(
    session: Session, query: object, ids: Iterable[int], limit: int, name: str, kind: ChangeKind | None
) -> dict[int, Changes]:
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    parameters = {
        "ids": wanted,
        "limit": limit,
        "pattern": like_pattern(name) if name else None,
        "kind": None if kind is None else str(kind),
    }
    shown: dict[int, list[Change[Binary]]] = {owner: [] for owner in wanted}
    totals = dict.fromkeys(wanted, 0)
    for row in session.execute(query, parameters).mappings():  # type: ignore[call-overload]
        shown[row["owner"]].append(_change(row))
        totals[row["owner"]] = row["total"]
    return {owner: Changes(tuple(shown[owner]), totals[owner]) for owner in wanted}


def _change(row: Mapping[str, object]) -> Change[Binary]:
    distance = row["distance"]
    return Change(
        name=str(row["name"]),
        prev=_binary(row, "p"),
        curr=_binary(row, "c"),
        distance=distance if isinstance(distance, int) else None,
        kind=ChangeKind(str(row["kind"])),
    )


def _binary(row: Mapping[str, object], side: str) -> Binary | None:
    epoch = row[f"{side}_epoch"]
    if not isinstance(epoch, int):
        return None
    return Binary(
        str(row["name"]),
        epoch,
        str(row[f"{side}_version"]),
        str(row[f"{side}_release"]),
        str(row[f"{side}_arch"]),
    )
