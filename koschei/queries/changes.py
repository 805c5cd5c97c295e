"""Dependency changes of builds and packages, most suspicious first, as many as asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import TextClause, text
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


# A build without changes was compared if there was an earlier one to compare with, as koschei.build_resolution has it.
_COMPARED = """EXISTS (
    SELECT FROM build AS b JOIN build AS e ON e.package_id = b.package_id AND e.started < b.started
    WHERE b.id = o.id AND e.deps_resolved AND e.state IN (3, 5))"""


def _per_owner(table: str, owner: str, ids: str, compared: str) -> str:
    return f"""
        SELECT o.id AS owner, '{owner}' AS kind_of_owner, y.*,
               CASE WHEN y.name IS NULL THEN {compared} ELSE true END AS compared
        FROM unnest(CAST(:{ids} AS bigint[])) AS o(id)
        LEFT JOIN LATERAL (
            SELECT x.*, count(*) OVER () AS total
            FROM ({_CHANGES.format(table=table)} WHERE a.{owner} = o.id) AS x
            WHERE (CAST(:pattern AS text) IS NULL OR x.name ILIKE :pattern)
              AND (CAST(:kind AS text) IS NULL OR x.kind = :kind)
            ORDER BY {_ORDER}
            LIMIT :limit
        ) AS y ON true
    """  # noqa: S608 - only our own constants are put in


BUILD, PACKAGE = "build_id", "package_id"
_OF_BUILDS = _per_owner("applied_change", BUILD, "builds", _COMPARED)
_OF_PACKAGES = _per_owner("unapplied_change", PACKAGE, "packages", "true")
OF_BUILDS = text(_OF_BUILDS)
OF_PACKAGES = text(_OF_PACKAGES)
OF_BOTH = text(f"{_OF_BUILDS} UNION ALL {_OF_PACKAGES}")
COUNTS = text(f"""
    SELECT x.kind, count(*) FROM ({_CHANGES.format(table="applied_change")} WHERE a.build_id = :id) AS x GROUP BY x.kind
""")  # noqa: S608


def of_builds(
    session: Session, build_ids: Iterable[int], limit: int, *, name: str = "", kind: ChangeKind | None = None
) -> dict[int, Changes]:
    """The changes of each build against the one before it; `name`: only those whose name contains it."""
    wanted = {"builds": list(dict.fromkeys(build_ids))}
    return _read(session, OF_BUILDS, wanted, limit, name, kind)[BUILD] if wanted["builds"] else {}


def pending(session: Session, package_id: int, limit: int) -> Changes:
    """What would be installed now against what the package's last build had."""
    return _read(session, OF_PACKAGES, {"packages": [package_id]}, limit)[PACKAGE][package_id]


def of_builds_and_pending(
    session: Session, build_ids: Iterable[int], package_id: int, limit: int
) -> tuple[dict[int, Changes], Changes]:
    """Both: the changes of each build, and those that wait for the package's next one."""
    wanted = {"builds": list(dict.fromkeys(build_ids)), "packages": [package_id]}
    found = _read(session, OF_BOTH, wanted, limit)
    return found[BUILD], found[PACKAGE][package_id]


def counts(session: Session, build_id: int) -> dict[ChangeKind, int]:
    """How many changes of each kind a build has; kinds that it has not are left out."""
    found = {ChangeKind(kind): count for kind, count in session.execute(COUNTS, {"id": build_id})}
    return {kind: found[kind] for kind in ChangeKind if kind in found}


def like_pattern(part: str) -> str:
    """An ILIKE pattern for names that contain `part`, in which only `*` is special (anything)."""
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped.replace('*', '%')}%"


def _read(
    session: Session,
    query: TextClause,
    wanted: Mapping[str, Sequence[int]],
    limit: int,
    name: str = "",
    kind: ChangeKind | None = None,
) -> dict[str, dict[int, Changes]]:
    """The changes by kind of owner and owner."""
    parameters = {
        **wanted,
        "limit": limit,
        "pattern": like_pattern(name) if name else None,
        "kind": None if kind is None else str(kind),
    }
    shown: dict[tuple[str, int], list[Change[Binary]]] = {}
    found: dict[str, dict[int, Changes]] = {BUILD: {}, PACKAGE: {}}
    for row in session.execute(query, parameters).mappings():
        owner, total = row["owner"], row["total"] or 0
        lines = shown.setdefault((row["kind_of_owner"], owner), [])
        if total:
            lines.append(_change(cast(Mapping[str, object], row)))
        found[row["kind_of_owner"]][owner] = Changes(tuple(lines), total, row["compared"])
    return found


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
