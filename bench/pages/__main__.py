"""Measure every page and API route at a distribution's size, with one gunicorn worker.

    python -m bench.pages [--scale 0.01] [--fresh] [--routes PATTERN] [--repeat 40] [--explain] [--json FILE]

Fills a private PostgreSQL (5 releases of 24,000 packages, a million builds with three tasks each, five million
dependency changes, and all that belongs to them) and keeps it for the next run, for a day. Then it visits an example or
more of each route that can be read, one after the other, as nobody and as somebody who administers. Queries are counted
in this process. docs/performance.md has figures, and what they must be.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from bench.pages.addresses import Address, addresses
from bench.pages.filling import fill
from bench.pages.history import Sizes
from bench.pages.plans import HOT, plans
from bench.pages.sights import Sights, look
from bench.pages.visits import Visit, Worked, asked, cookie, visited
from bench.readers import frontend
from demo.ports import free_port
from demo.postgres import Postgres
from frontend.app import create_app
from koschei import logs
from koschei.config import Config, load
from koschei.db import schema
from koschei.db.engine import Database

LIMIT_P95, LIMIT_QUERIES = 100.0, 12
# Files that robots and browsers read, and lists of everything that scripts read, have no such limits.
UNLIMITED = ("/api/v1/",)
DAY = 86400


def prepared(server: Postgres, folder: Path, scale: float, fresh: bool) -> str:
    """The URL of a filled database: the one of an earlier run, unless it is old; brought to this code's tables."""
    name = f"pages_{scale:g}".replace(".", "_")
    mark = folder / f"{name}.json"
    wanted = {"scale": scale}
    try:
        kept = json.loads(mark.read_text())
    except (OSError, ValueError):
        kept = {}
    young = time.time() - kept.get("filled", 0) < DAY
    if not fresh and young and {**kept, **wanted} == kept and server.has_database(name):
        schema.upgrade(server.url(name))
        return server.url(name)
    mark.unlink(missing_ok=True)
    server.drop_database(name)
    url = server.create_database(name)
    begin = time.monotonic()
    sizes = Sizes() if scale == 1 else Sizes().scaled(scale)
    fill(url, sizes, datetime.now(UTC), lambda word: print(f"  {time.monotonic() - begin:6.1f} s  {word}", flush=True))
    mark.write_text(json.dumps({**wanted, "filled": time.time()}))
    return url


def environment(folder: Path, url: str) -> dict[str, str]:
    """The frontend's settings, as an environment."""
    config = folder / "koschei.toml"
    config.write_text(f'db_url = "{url}"\n[flask]\nSECRET_KEY = "{"bench" * 10}"\n')
    return {**os.environ, "KOSCHEI_CONFIG": str(config), "WEB_CONCURRENCY": "1"}


def settings(environ: Mapping[str, str]) -> Config:
    """The same settings for this process."""
    os.environ["KOSCHEI_CONFIG"] = environ["KOSCHEI_CONFIG"]
    return load()


class Bench:
    """A filled database, and an application in this process that tells what it asks."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.database = Database(url)
        self.app = create_app(settings(environ), self.database)
        with self.database.read() as session:
            self.sights: Sights = look(session)
            found = session.execute(
                text('SELECT id FROM "user" WHERE name = :name'), {"name": self.sights["busiest_user"]}
            )
            user_id: int = found.scalar_one()
        self.headers = {"nobody": {}, "admin": {"Cookie": cookie(self.app, user_id, time.time())}}

    def wanted(self, pattern: str) -> list[Address]:
        """The addresses whose rule or path fits."""
        found = addresses(self.app, self.sights)
        return [a for a in found if re.search(pattern, a.rule) or re.search(pattern, a.path)]

    def visits(self, wanted: list[Address], server: Postgres, repeat: int) -> Iterator[Visit]:
        """Visit all of them, over HTTP."""
        port = free_port()
        assert server.pid is not None, "the server runs"
        with frontend(self.environ, port):
            worked = Worked(worker_of(port), server.pid, self.database)
            for address in wanted:
                for who, headers in self.headers.items():
                    status, statements = asked(self.app, self.database, address.path, headers)
                    figures = visited(address, port, headers, repeat, worked)
                    yield Visit(
                        address.rule,
                        address.path,
                        who,
                        status,
                        len(statements),
                        int(figures["size"]),
                        **{name: round(figures[name], 1) for name in ("median", "p95", "work")},
                    )

    def explain(self, wanted: list[Address], least: float) -> None:
        """Print the plans of what these addresses ask."""
        for address in wanted:
            if address.endpoint not in HOT:
                continue
            _, statements = asked(self.app, self.database, address.path, {})
            print(f"\n## {address.path}")
            with self.database.read() as session:
                for asker, lines in plans(session, statements, least):
                    print("", asker, *lines, sep="\n")


def worker_of(port: int) -> int:
    """The process id of the one worker of the frontend on this port: the youngest that was started for it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            if f"127.0.0.1:{port}".encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return max(found)


def fault(visit: Visit) -> str:
    """What is wrong with the figures of a visit; nothing if all is well."""
    if visit.status >= 400 and visit.status != 401:
        return f"status {visit.status}"
    if visit.path.startswith(UNLIMITED):
        return ""
    words = ["slow"] if visit.p95 > LIMIT_P95 else []
    return " ".join([*words, "queries"] if visit.queries > LIMIT_QUERIES else words)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """PostgreSQL with its data below the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    with Postgres(folder / "postgres") as server:
        yield server


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="how large, as a share of a distribution [1]")
    parser.add_argument("--fresh", action="store_true", help="fill the database again")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "koschei-bench-pages")
    parser.add_argument("--routes", default="", metavar="PATTERN", help="only those in which this is found")
    parser.add_argument("--repeat", type=int, default=40, help="visits to each address [40]; fewer if slow")
    parser.add_argument("--explain", action="store_true", help="print how PostgreSQL finds what the hot pages ask")
    parser.add_argument("--least", type=float, default=1.0, help="with --explain: only what takes so many ms [1]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    logs.configure("ERROR", "json", service="bench")
    with running(options.folder) as server:
        url = prepared(server, options.folder, options.scale, options.fresh)
        bench = Bench(url, environment(options.folder, url))
        wanted = bench.wanted(options.routes)
        try:
            if options.explain:
                bench.explain(wanted, options.least)
                return
            visits = report(bench.visits(wanted, server, options.repeat))
        finally:
            bench.database.dispose()
    if options.json is not None:
        options.json.write_text(json.dumps([vars(visit) for visit in visits], indent=1) + "\n")
    sys.exit(any(map(fault, visits)))


def report(visits: Iterator[Visit]) -> list[Visit]:
    """Print them as they come, as a table."""
    found = []
    print("| address | who | status | queries | bytes | median ms | p95 ms | work ms | |")
    print(f"|---|---|{'--:|' * 6}---|")
    for visit in visits:
        found.append(visit)
        print(
            f"| `{visit.path}` | {visit.who} | {visit.status} | {visit.queries} | {visit.size} | {visit.median:.1f} "
            f"| {visit.p95:.1f} | {visit.work:.1f} | {fault(visit)} |",
            flush=True,
        )
    return found


if __name__ == "__main__":
    main()
