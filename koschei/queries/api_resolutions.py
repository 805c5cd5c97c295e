"""The newest answers of the resolver, by package, as REST API v2 tells of them."""

from __future__ import annotations

from collections.abc import Collection as Set
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text, tuple_
from sqlalchemy.orm import Session

from koschei.model import Collection, Package, PackageGroupRelation
from koschei.queries.package import Resolution
from koschei.rules.states import PackageState


@dataclass(frozen=True)
class Unresolved:
    """A package whose build dependencies cannot be installed, and why; `since`: when it became so."""

    package_id: int
    package: str
    collection: str
    since: datetime
    repo_id: int | None
    problems: tuple[str, ...]


NEWEST = text("""
    SELECT o.id AS package_id, n.id, n.resolved, n.timestamp, n.repo_id,
           ARRAY(SELECT r.problem FROM resolution_problem AS r WHERE r.resolution_id = n.id ORDER BY r.position)
    FROM unnest(CAST(:ids AS bigint[])) AS o(id)
    CROSS JOIN LATERAL (
        SELECT c.id, c.resolved, c.timestamp, c.repo_id FROM resolution_change AS c WHERE c.package_id = o.id
        ORDER BY c.timestamp DESC, c.id DESC LIMIT 1) AS n
""")


def newest(session: Session, package_ids: Sequence[int]) -> dict[int, Resolution]:
    """The newest answer about each of these packages (ids); those that were never asked about are left out."""
    rows = session.execute(NEWEST, {"ids": list(package_ids)})
    return {
        package_id: Resolution(number, resolved, timestamp, repo_id, tuple(problems))
        for package_id, number, resolved, timestamp, repo_id, problems in rows
    }


def unresolved(
    session: Session,
    collections: Set[str],
    group_ids: Sequence[int] | None,
    after: tuple[str, int] | None,
    limit: int,
) -> list[Unresolved]:
    """The packages that cannot be resolved now, by name, behind `after` (name and id of a package).

    `collections`: names, none for all; `group_ids`: only those in any of these groups.
    """
    query = (
        select(Package.id, Package.name, Collection.name, Package.state_since)
        .join(Collection, Collection.id == Package.collection_id)
        .where(Package.state == PackageState.UNRESOLVED, ~Package.blocked, Package.tracked)
        .order_by(Package.name, Package.id)
        .limit(limit)
    )
    if collections:
        query = query.where(Collection.name.in_(collections))
    if group_ids is not None:
        members = select(PackageGroupRelation.base_id).where(PackageGroupRelation.group_id.in_(group_ids))
        query = query.where(Package.base_id.in_(members))
    if after is not None:
        query = query.where(tuple_(Package.name, Package.id) > after)
    rows = session.execute(query).all()
    answers = newest(session, [row[0] for row in rows]) if rows else {}
    result = []
    for package_id, name, collection, since in rows:
        answer = answers.get(package_id)
        problems = answer.problems if answer and not answer.resolved else ()
        result.append(Unresolved(package_id, name, collection, since, answer.repo_id if answer else None, problems))
    return result
