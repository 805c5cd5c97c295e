"""What is worth looking at in a database: a usual one and the worst one of everything that an address can name."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

# Each is a name, or nothing when the database has no such thing.
QUERIES = {
    "collection": 'SELECT name FROM collection ORDER BY "order" DESC LIMIT 1',
    "other_collection": 'SELECT name FROM collection ORDER BY "order" DESC OFFSET 1 LIMIT 1',
    "broken_collection": "SELECT name FROM collection WHERE latest_repo_resolved IS FALSE ORDER BY name LIMIT 1",
    "package": """
        SELECT name FROM package WHERE state = 'ok' GROUP BY name ORDER BY count(*) DESC, md5(name) LIMIT 1""",
    "most_built": """
        SELECT p.name FROM package AS p
        WHERE p.id = (SELECT package_id FROM build GROUP BY package_id ORDER BY count(*) DESC, package_id LIMIT 1)""",
    "failing": """
        SELECT name FROM package WHERE state = 'failing' GROUP BY name ORDER BY count(*) DESC, md5(name) LIMIT 1""",
    "unresolved": """
        SELECT name FROM package WHERE state = 'unresolved' GROUP BY name ORDER BY count(*) DESC, md5(name) LIMIT 1""",
    "most_pending": """
        SELECT name FROM package
        WHERE id = (SELECT package_id FROM unapplied_change GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)""",
    "most_pending_in": """
        SELECT c.name FROM collection AS c JOIN package AS p ON p.collection_id = c.id
        WHERE p.id = (SELECT package_id FROM unapplied_change GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1)""",
    "build": "SELECT id FROM build WHERE state = 3 ORDER BY md5(id::text) LIMIT 1",
    "failed_build": "SELECT id FROM build WHERE state = 5 ORDER BY md5(id::text) LIMIT 1",
    "running_build": "SELECT id FROM build WHERE state = 2 ORDER BY id LIMIT 1",
    "most_changed_build": "SELECT build_id FROM applied_change GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
    "group": """
        SELECT g.name FROM package_group AS g JOIN package_group_relation AS r ON r.group_id = g.id
        WHERE g.namespace IS NULL GROUP BY g.id HAVING count(*) < 100 ORDER BY md5(g.name) LIMIT 1""",
    "largest_group": """
        SELECT g.name FROM package_group AS g JOIN package_group_relation AS r ON r.group_id = g.id
        WHERE g.namespace IS NULL GROUP BY g.id ORDER BY count(*) DESC, g.id LIMIT 1""",
    "own_group": """
        SELECT namespace || '/' || name FROM package_group WHERE namespace IS NOT NULL ORDER BY namespace LIMIT 1""",
    "busiest_user": """
        SELECT name FROM "user" AS u ORDER BY (SELECT count(*) FROM package_maintainer AS m WHERE m.user_name = u.name)
            + (SELECT count(*) FROM group_acl AS a WHERE a.user_id = u.id) DESC, name LIMIT 1""",
    "user": 'SELECT name FROM "user" ORDER BY md5(name) LIMIT 1',
    "admin": 'SELECT name FROM "user" ORDER BY admin DESC, id LIMIT 1',
}
# Rows of several names, each known by its column: the update that most builds had, and a collection that had it; a
# package that can be reported; and something that was added to a build.
ROWS = (
    """
    SELECT p.name AS step, p.epoch AS step_epoch1, p.version AS step_version1, p.release AS step_release1,
           c.epoch AS step_epoch2, c.version AS step_version2, c.release AS step_release2, o.name AS step_in
    FROM (SELECT prev_dep_id, curr_dep_id, max(build_id) AS build_id FROM applied_change
          WHERE prev_dep_id IS NOT NULL AND curr_dep_id IS NOT NULL
          GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2 LIMIT 1) AS most
    JOIN dependency AS p ON p.id = most.prev_dep_id JOIN dependency AS c ON c.id = most.curr_dep_id
    JOIN build AS b ON b.id = most.build_id JOIN package AS k ON k.id = b.package_id
    JOIN collection AS o ON o.id = k.collection_id""",
    """
    SELECT k.name AS reportable, o.name AS reportable_in
    FROM package AS k JOIN collection AS o ON o.id = k.collection_id
    WHERE k.state = 'failing' ORDER BY o.bugzilla_product IS NULL, k.id LIMIT 1""",
    """
    SELECT c.name AS added, c.version AS added_version, c.release AS added_release
    FROM applied_change AS a JOIN dependency AS c ON c.id = a.curr_dep_id
    WHERE a.prev_dep_id IS NULL LIMIT 1""",
)


@dataclass(frozen=True)
class Sights:
    """Names of things there are, by a word for each."""

    names: dict[str, str]

    def __getitem__(self, word: str) -> str:
        """Errors: KeyError when there is no such thing in the database."""
        return self.names[word]

    def __contains__(self, word: str) -> bool:
        return word in self.names


def look(session: Session) -> Sights:
    """Find them."""
    found = {word: session.execute(text(query)).scalar_one_or_none() for word, query in QUERIES.items()}
    for query in ROWS:
        row = session.execute(text(query)).mappings().one_or_none()
        found.update(row or {})
    return Sights({word: str(name) for word, name in found.items() if name is not None})
