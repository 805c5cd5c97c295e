"""Branch a collection of a distribution's size, and delete it again, while the frontend answers.

    python -m bench.branching [--packages 24000] [--builds 200000] [--changes 1000000] [--days 180 29] [--readers 2]

Fills a private PostgreSQL, starts the real `koschei-frontend` on it, and runs `koschei-admin branch-collection` and
`koschei-admin delete-collection --force` as they are installed, with the stand-in of demo/ for Koji. Meanwhile readers
load pages and the API over HTTP, without a pause between requests but a short one. Builds are spread evenly over so
many days; with 29 a branch copies every one of them. `work` is the time that a processor worked in PostgreSQL for the
command, in seconds: on a machine that others use too it says more than the time on the clock. The last line is JSON;
bench/README.md has figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, text

from bench.readers import Readers, frontend
from demo.hub import Hub, HubServer
from demo.ports import free_port
from demo.postgres import Postgres
from koschei.db.engine import Database
from koschei.db.schema import upgrade
from koschei.model import Build, Collection, Package

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
INSERT INTO applied_change (build_id, position, prev_dep_id, curr_dep_id, distance)
    SELECT b.id, i / {builds}, 1 + (random() * ({dependencies} / 2 - 1))::int,
           {dependencies} / 2 + 1 + (random() * ({dependencies} / 2 - 1))::int, 1 + i %% 5
    FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM build) AS b
    JOIN generate_series(0, {changes} - 1) AS i ON i %% {builds} = b.n ORDER BY b.n;
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
def koji(folder: Path) -> Iterator[HubServer]:
    """A Koji that has the targets f27 and f28."""
    hub = Hub(folder)
    hub.add_user("koschei", password="koschei")  # noqa: S106 - it guards nothing
    for name in ("f27", "f28"):
        hub.add_tag(name, arches="x86_64")
        hub.add_tag(f"{name}-build", arches="x86_64", parents=[name])
        hub.add_target(name, build_tag=f"{name}-build", dest_tag=name)
    server = HubServer(hub)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        hub.close()


def environment(folder: Path, url: str, server: HubServer) -> dict[str, str]:
    """Settings for commands and frontend, as an environment."""
    config = folder / "koschei.toml"
    config.write_text(f"""
db_url = "{url}"
[flask]
SECRET_KEY = "{"bench" * 10}"
[koji_config]
server = "{server.hub_url}"
topurl = "{server.topurl}"
login_method = "login"
login_args = {{ user = "koschei", password = "koschei" }}
""")
    return {**os.environ, "KOSCHEI_CONFIG": str(config), "WEB_CONCURRENCY": "2"}


def admin(database: Database, environ: Mapping[str, str], *words: str) -> float:
    """Run a command of koschei-admin, and fail when it does; how long a processor worked for it in PostgreSQL."""
    script = Path(sys.executable).parent / "koschei-admin"
    command = subprocess.Popen([script, *words], env=dict(environ), stdout=subprocess.DEVNULL)
    worked: dict[int, float] = {}
    while command.poll() is None:
        with database.begin() as session:
            pids = session.scalars(text("SELECT pid FROM pg_stat_activity WHERE application_name = 'koschei-admin'"))
            worked.update({pid: seconds for pid in pids if (seconds := processor_time(pid))})
        time.sleep(0.1)
    if command.returncode:
        raise RuntimeError(f"koschei-admin {' '.join(words)} failed: {command.returncode}")
    return sum(worked.values())


def processor_time(pid: int) -> float:
    """Seconds that a process has worked so far; 0 when it is gone, or the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def paths(database: Database, collection: str) -> list[str]:
    """Pages and API, of a collection that stays."""
    with database.read() as session:
        of_it = (
            select(Package.name, Build.id)
            .join(Collection, Collection.id == Package.collection_id)
            .join(Build, Build.id == Package.last_build_id)
            .where(Collection.name == collection)
            .order_by(Package.name)
        )
        some = session.execute(of_it).all()[::997]
    found = ["/", "/collections", f"/collection/{collection}", f"/packages?collection={collection}"]
    found += [f"/api/v1/packages?collection={collection}"]
    for name, build_id in some:
        found += ["/", f"/collection/{collection}", f"/package/{name}", f"/build/{build_id}"]
        found += [f"/api/v1/packages?name={name}&collection={collection}"]
    return found


@dataclass(frozen=True)
class Measured:
    """How long a step took and how readers fared: seconds."""

    seconds: float
    work: float
    requests: int
    failures: int
    median: float
    slowest: float


@contextmanager
def measuring(
    results: dict[str, Measured], name: str, base: str, wanted: list[str], readers: int
) -> Iterator[list[float]]:
    """Read those pages while the block runs, which says how much work it was."""
    crowd = Readers(base, wanted, readers)
    work = [0.0]
    begin = time.monotonic()
    crowd.start()
    try:
        yield work
        took = time.monotonic() - begin
    finally:
        crowd.stop()
    waits = crowd.waits
    for failure in crowd.failures[:5]:
        print(f"  {name}: {failure}", file=sys.stderr)
    results[name] = Measured(
        round(took, 2),
        round(sum(work), 2),
        len(waits),
        len(crowd.failures),
        round(statistics.median(waits), 3),
        round(max(waits), 3),
    )


def run(url: str, folder: Path, sizes: Mapping[str, int], readers: int) -> dict[str, Measured]:
    """All measurements, by name."""
    upgrade(url)
    database = Database(url)
    results: dict[str, Measured] = {}
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    try:
        fill(database, sizes)
        with koji(folder / "koji") as server:
            environ = environment(folder, url, server)
            with frontend(environ, port):
                now = paths(database, "f27")
                with measuring(results, "nothing", base, now, readers):
                    time.sleep(5)
                with measuring(results, "branch", base, now, readers) as work:
                    branch = ["branch-collection", "f27", "f28", "-d", "Fedora 27", "-t", "f28"]
                    work.append(admin(database, environ, *branch, "--bugzilla-version", "27"))
                now = paths(database, "f27")
                with measuring(results, "delete", base, now, readers) as work:
                    work.append(admin(database, environ, "delete-collection", "--force", "f28"))
        with database.begin() as session:
            assert session.scalars(select(Collection.name)).all() == ["f27"]
        return results
    finally:
        database.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.branching", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--packages", type=int, default=24_000)
    parser.add_argument("--builds", type=int, default=200_000)
    parser.add_argument("--changes", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, nargs="+", default=[180, 29], help="builds are spread over so many")
    parser.add_argument("--readers", type=int, default=2, help="who load pages at once [2]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    sizes = {name: getattr(options, name) for name in ("packages", "builds", "changes")}
    figures: list[dict[str, object]] = []
    print(f"{'days':>4}  {'':8}{'seconds':>9}{'work':>8}{'requests':>10}{'failures':>10}{'median':>9}{'slowest':>9}")
    for days in options.days:
        folder = Path(tempfile.mkdtemp(prefix="koschei-bench-"))
        folder.chmod(0o711)
        try:
            with Postgres(folder / "postgres") as server:
                results = run(server.create_database("bench"), folder, {**sizes, "days": days}, options.readers)
        finally:
            shutil.rmtree(folder)
        for name, row in results.items():
            print(
                f"{days:>4}  {name:8}{row.seconds:>9.2f}{row.work:>8.2f}{row.requests:>10}{row.failures:>10}"
                f"{row.median:>9.3f}{row.slowest:>9.3f}",
                flush=True,
            )
            figures.append({"days": days, "step": name, **vars(row)})
    line = json.dumps({**sizes, "readers": options.readers, "figures": figures})
    if options.json is not None:
        options.json.write_text(f"{line}\n")
    print(line)
    sys.exit(any(row["failures"] for row in figures))


if __name__ == "__main__":
    main()
