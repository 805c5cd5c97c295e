"""Branch a collection of a distribution's size, and delete it again, while somebody reads pages.

    python -m bench.branching [--packages 24000] [--builds 200000] [--changes 1000000] [--days 180]

Fills a private PostgreSQL, then measures `koschei.branching` and the longest wait of readers who ask what the pages of
the frontend ask. Builds are spread evenly over so many days; with `--days 29` a branch copies every one of them.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from demo.postgres import Postgres
from koschei import branching
from koschei.audit import Actor
from koschei.branching import Wish
from koschei.db.engine import Database
from koschei.db.schema import upgrade
from koschei.model import Collection, Environment, Package
from koschei.queries import collections as collection_queries
from koschei.queries import package as package_queries

ACTOR = Actor(Environment.ADMIN, "bench")
DEPENDENCIES = 75_000

FILL = """
INSERT INTO collection (name, display_name, target, dest_tag, build_tag, latest_repo_id, latest_repo_resolved)
    VALUES ('f27', 'Fedora Rawhide', 'f27', 'f27', 'f27-build', 1, true);
INSERT INTO base_package (name) SELECT 'package-' || lpad(i::text, 6, '0') FROM generate_series(1, {packages}) AS i;
INSERT INTO package (base_id, name, collection_id, tracked, resolved, needs_resolution, state_since)
    SELECT b.id, b.name, c.id, true, true, false, clock_timestamp() FROM base_package AS b, collection AS c;
INSERT INTO dependency (name, epoch, version, release, arch, evr_key)
    SELECT 'binary-' || i, 0, '1.' || i, '1.fc27', 'x86_64', decode(lpad(to_hex(i), 8, '0'), 'hex')
    FROM generate_series(1, {dependencies}) AS i;
INSERT INTO build (package_id, state, task_id, started, finished, epoch, version, release, evr_key, repo_id,
                   deps_resolved)
    SELECT p.id, CASE WHEN random() < 0.1 THEN 5 ELSE 3 END, 1000000 + i, now() - random() * interval '{days} days',
           now(), 0, '1.' || i, '1.fc27', '\\x00', 1, true
    FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM package) AS p
    JOIN generate_series(0, {builds} - 1) AS i ON i %% {packages} = p.n;
INSERT INTO koji_task (build_id, task_id, arch, state, started, finished)
    SELECT id, task_id + 10000000 + n, 'arch' || n, 2, started, finished FROM build, generate_series(1, 3) AS n;
INSERT INTO build_dependencies (build_id, packed_ids)
    SELECT id, decode(repeat(md5(id::text), 25), 'hex') FROM build;
INSERT INTO applied_change (build_id, prev_dep_id, curr_dep_id, distance)
    SELECT b.id, 1 + (random() * ({dependencies} / 2 - 1))::int,
           {dependencies} / 2 + 1 + (random() * ({dependencies} / 2 - 1))::int, 1 + i %% 5
    FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM build) AS b
    JOIN generate_series(0, {changes} - 1) AS i ON i %% {builds} = b.n;
INSERT INTO package_state_change (package_id, prev, new, cause, timestamp, build_id)
    SELECT package_id, 'ok', 'failing', 'build', finished, id FROM build WHERE state = 5;
INSERT INTO resolution_change (package_id, resolved, timestamp, repo_id)
    SELECT id, n %% 2 = 0, now() - n * interval '1 day', n FROM package, generate_series(1, 4) AS n;
INSERT INTO resolution_problem (resolution_id, position, problem)
    SELECT id, 0, 'nothing provides something >= 1 needed by it' FROM resolution_change WHERE NOT resolved;
"""

DERIVE = """
UPDATE package AS p SET last_build_id = b.id, last_build_started = b.started, last_complete_build_id = b.id,
    last_complete_build_state = b.state
FROM (SELECT DISTINCT ON (package_id) * FROM build ORDER BY package_id, started DESC, id DESC) AS b
WHERE b.package_id = p.id;
"""


def fill(database: Database, sizes: Mapping[str, int]) -> None:
    """One collection of this size; the same numbers give the same data."""
    with database.begin() as session:
        connection = session.connection()
        connection.exec_driver_sql("SELECT setseed(0.27)")
        for statement in (FILL + DERIVE).split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement.format(dependencies=DEPENDENCIES, **sizes))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


@contextmanager
def reading(url: str) -> Iterator[list[float]]:
    """Somebody reads pages all the while; how long each took, in seconds."""
    waits: list[float] = []
    troubles: list[BaseException] = []
    done = threading.Event()
    database = Database(url, application_name="reader", pool_size=1)

    def read() -> None:
        try:
            number = 0
            while not done.is_set():
                begin = time.monotonic()
                look(database, number)
                waits.append(time.monotonic() - begin)
                number += 1
                done.wait(0.02)
        except BaseException as error:
            troubles.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield waits
    finally:
        done.set()
        thread.join()
        database.dispose()
    if troubles:
        raise troubles[0]


class Targets:
    """All that branching asks of Koji: it has every target."""

    def read(self, method: str, name: str) -> dict[str, object]:
        """Answer getBuildTarget."""
        assert method == "getBuildTarget"
        tags = {"build_tag": 1, "build_tag_name": f"{name}-build", "dest_tag": 2, "dest_tag_name": name}
        return {"id": 1, "name": name, **tags}


def look(database: Database, number: int) -> None:
    """What the pages of a collection, a package and a build ask."""
    with database.read() as session:
        found = collection_queries.all_collections(session)
        collection_queries.grouped(session, found)
        collection_queries.state_counts(session, [collection.id for collection in found])
        if not found:
            return
        package = session.scalar(
            select(Package)
            .where(Package.collection_id == found[-1].id, Package.name >= f"package-{number * 37 % 20_000:06}")
            .order_by(Package.name)
            .limit(1)
        )
        if package is not None:
            package_queries.history(session, package.id, None, 20)
            package_queries.resolutions(session, package.id, None, 20)
            package_queries.state_changes(session, package.id, 20)


def measured(url: str, work: Callable[[], object]) -> dict[str, float]:
    """How long the work took and how readers fared meanwhile."""
    with reading(url) as waits:
        begin = time.monotonic()
        work()
        took = time.monotonic() - begin
    return {"seconds": round(took, 2), "reads": len(waits), "slowest_read": round(max(waits, default=0.0), 3)}


def run(url: str, sizes: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """All measurements, by name."""
    upgrade(url)
    database = Database(url)
    try:
        begin = time.monotonic()
        fill(database, sizes)
        results: dict[str, dict[str, float]] = {"fill": {"seconds": round(time.monotonic() - begin, 2)}}
        with reading(url) as waits:
            time.sleep(3)
        results["nothing"] = {"seconds": 3.0, "reads": len(waits), "slowest_read": round(max(waits), 3)}
        wish = Wish("Fedora 27", "f28", bugzilla_version="27")
        koji: Any = Targets()
        results["branch"] = measured(
            url, lambda: branching.branch(database.begin, ACTOR, koji, "f27", "f28", wish, now=datetime.now(UTC))
        )
        with database.begin() as session:
            assert len(session.scalars(select(Collection)).all()) == 2
        results["delete"] = measured(url, lambda: branching.delete(database, ACTOR, "f28", force=True))
        return results
    finally:
        database.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.branching", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--packages", type=int, default=24_000)
    parser.add_argument("--builds", type=int, default=200_000)
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=180, help="over which the builds are spread [180]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    sizes = {name: getattr(options, name) for name in ("packages", "builds", "changes", "days")}
    folder = Path(tempfile.mkdtemp(prefix="koschei-bench-"))
    folder.chmod(0o711)
    try:
        with Postgres(folder) as server:
            results = run(server.create_database("bench"), sizes)
    finally:
        shutil.rmtree(folder)
    print(f"{'':10}{'seconds':>10}{'reads':>8}{'slowest read':>14}")
    for name, row in results.items():
        print(f"{name:10}{row['seconds']:>10.2f}{row.get('reads', ''):>8}{row.get('slowest_read', ''):>14}")
    line = json.dumps({**sizes, **results})
    if options.json is not None:
        options.json.write_text(f"{line}\n")
    print(line)


if __name__ == "__main__":
    main()
