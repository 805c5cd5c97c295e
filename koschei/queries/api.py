"""What REST API v1 answers, as JSON made by PostgreSQL. Scripts rely on its fields, their order, and the filters.

It knows nothing of cancelled and spoiled builds: a package's last complete build is always a counted one.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

# Times have no zone, and are UTC.
PACKAGES = text("""
    SELECT coalesce(json_agg(r.item ORDER BY r.name, r.position DESC, r.collection DESC), '[]'::json)::text
    FROM (
        SELECT p.name, c."order" AS position, c.name AS collection,
               json_build_object(
                   'name', p.name, 'collection', c.name, 'state', p.state,
                   'last_complete_build', CASE WHEN b.id IS NOT NULL THEN json_build_object(
                       'task_id', b.task_id,
                       'time_started', b.started AT TIME ZONE 'UTC', 'time_finished', b.finished AT TIME ZONE 'UTC',
                       'epoch', b.epoch, 'version', b.version, 'release', b.release) END) AS item
        FROM package AS p
        JOIN collection AS c ON c.id = p.collection_id
        LEFT JOIN build AS b ON b.id = p.last_complete_build_id
        WHERE (CAST(:names AS text[]) IS NULL OR p.name = ANY(:names))
          AND (CAST(:collections AS text[]) IS NULL OR c.name = ANY(:collections))
    ) AS r
""")
DIFFERENCE = text("""
    SELECT coalesce(json_agg(json_build_object(
               'name', a.name, 'state', json_build_object(CAST(:one AS text), a.state, CAST(:two AS text), b.state)
           ) ORDER BY a.name), '[]'::json)::text
    FROM package AS a
    JOIN package AS b ON b.base_id = a.base_id
    WHERE a.collection_id = :one_id AND b.collection_id = :two_id AND a.state <> b.state
""")


def packages(session: Session, names: Sequence[str] | None, collections: Sequence[str] | None) -> str:
    """The packages as a JSON array by name, blocked and untracked ones too; None: no filter."""
    found: str = session.execute(
        PACKAGES,
        {"names": None if names is None else list(names), "collections": collections and list(collections)},
    ).scalar_one()
    return found


def difference(session: Session, one: tuple[int, str], two: tuple[int, str]) -> str:
    """The packages whose states differ between two collections (id and name), as a JSON array by name."""
    parameters = {"one_id": one[0], "one": one[1], "two_id": two[0], "two": two[1]}
    found: str = session.execute(DIFFERENCE, parameters).scalar_one()
    return found
