"""A rolling update for real: two versions of the frontend, a migration between them, and readers who notice nothing."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo.ports import free_port
from koschei.db import schema
from koschei.db.engine import Database
from tests.frontend.conftest import SECRET_KEY
from tests.support import wait_until
from tests.upgrade.releases import Release, add_revision
from tests.upgrade.router import Endpoint, Router
from tests.world import filling

pytestmark = pytest.mark.exact_schema

PATHS = ("/", "/packages", "/package/hello?collection=f44", "/api/v1/packages", "/collections")
READERS = 3
PAUSE = 0.02
"""Seconds between two requests of a reader: what is started meanwhile needs the processors, too."""
DRAIN = "6"  # seconds: more than the router takes to notice, however busy the machine is


@dataclass
class Pod:
    """A frontend process of some version."""

    release: Release
    process: subprocess.Popen[str]
    endpoint: Endpoint
    log: Path


@dataclass
class Cluster:
    """Frontends behind a router, all on one database."""

    router: Router
    url: str
    folder: Path
    pods: list[Pod] = field(default_factory=list)

    def start(self, release: Release) -> Pod:
        """Start a process; it gets no requests before it is ready."""
        port = free_port()
        log = self.folder / f"{release.version}-{port}.log"
        environment = release.environment(
            KOSCHEI_CONFIG=str(self.settings), KOSCHEI__DB_URL=self.url, WEB_CONCURRENCY="1"
        )
        with log.open("w") as output:
            process = subprocess.Popen(
                release.command("frontend.main", "--bind", f"127.0.0.1:{port}", "--drain", DRAIN),
                env=environment,
                cwd=self.folder,
                stdout=output,
                stderr=output,
                text=True,
            )
        pod = Pod(release, process, self.router.add(port), log)
        self.pods.append(pod)
        return pod

    @property
    def settings(self) -> Path:
        """A file of settings."""
        path = self.folder / "koschei.toml"
        path.write_text(f'[flask]\nSECRET_KEY = "{SECRET_KEY}"\n')
        return path

    def wait_ready(self, pod: Pod) -> None:
        """Wait until the router sends requests to it."""

        def ready() -> bool:
            assert pod.process.poll() is None, pod.log.read_text()
            return pod.endpoint.ready

        wait_until(ready, 60, f"{pod.release.version} to be ready")

    def replace(self, old: Pod, release: Release) -> Pod:
        """What a rolling update does for each replica: the new one must be ready before the old one goes."""
        new = self.start(release)
        self.wait_ready(new)
        old.process.send_signal(signal.SIGTERM)
        assert old.process.wait(40) == 0, old.log.read_text()
        self.router.remove(old.endpoint)
        return new

    def stop(self) -> None:
        for pod in self.pods:
            if pod.process.poll() is None:
                pod.process.kill()
            pod.process.wait()


class Readers:
    """People who read pages all the time; what they got, by version of the page, and everything that went wrong."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen: Counter[str] = Counter()
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read, args=(i,)) for i in range(READERS)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def answered(self, more: int) -> None:
        """Wait for so many more answers."""
        goal = self.seen.total() + more
        wait_until(lambda: self.failures or self.seen.total() >= goal, 60, f"{more} more answers")

    def _read(self, offset: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        turn = offset
        while not self._stop.wait(PAUSE):
            path = PATHS[turn % len(PATHS)]
            turn += 1
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                body = answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{path}: {error!r}")
                connection.close()
                continue
            if answer.status != 200:
                self.failures.append(f"{path}: {answer.status} {answer.reason} {body[:200]}")
            version = re.search(r"Koschei (\d\S*) ·", body)
            self.seen[version[1] if version else path] += 1
        connection.close()


@pytest.fixture
def cluster(tmp_path: Path, database_url: str) -> Iterator[Cluster]:
    database = Database(database_url)
    with filling(database) as world:
        world.package("hello", world.collection("f44", "Fedora Rawhide"))
    database.dispose()
    with Router() as router:
        found = Cluster(router, database_url, tmp_path)
        yield found
        found.stop()


@pytest.fixture
def old(tmp_path: Path) -> Release:
    return Release.copy(tmp_path / "old", "7.0")


@pytest.fixture
def new(tmp_path: Path) -> Release:
    """A version that adds a column and an index, and later takes a column away."""
    release = Release.copy(tmp_path / "new", "7.1")
    add_revision(
        release.migrations,
        "8002",
        schema.head(),
        "pre",
        "op.execute(\"ALTER TABLE package ADD COLUMN nick text DEFAULT ''\")",
    )
    add_revision(release.migrations, "8003", "8002", "pre", 'index_concurrently("ix_package_nick", "package (nick)")')
    add_revision(release.migrations, "8004", "8003", "post", 'op.execute("ALTER TABLE package DROP COLUMN nick")')
    return release


def db_check(release: Release, url: str) -> tuple[int, str | None, list[str], list[str]]:
    """Exit status of db-check, the playbook that it names, and what is pending."""
    reply = release.admin(url, "db-check", "--json")
    found = json.loads(reply.stdout)
    return reply.returncode, found["playbook"], found["pending_pre"], found["pending_post"]


@pytest.mark.slow
def test_readers_notice_nothing_of_a_rolling_update_with_a_migration(
    cluster: Cluster, old: Release, new: Release
) -> None:
    first, second = cluster.start(old), cluster.start(old)
    cluster.wait_ready(first)
    cluster.wait_ready(second)
    with Readers(cluster.router.port) as readers:
        readers.answered(20)

        # Too early: the new version says what it lacks and does not come up; nobody notices.
        early = cluster.start(new)
        assert early.process.wait(60) == 3
        assert early.log.read_text().startswith(
            f"Error: The database cannot be used: the tables are at revision {schema.head()},"
        )
        assert len(early.log.read_text().splitlines()) == 1
        cluster.router.remove(early.endpoint)
        assert db_check(new, cluster.url) == (4, "full", ["8002", "8003"], ["8004"])

        migrated = new.admin(cluster.url, "create-db", "--phase", "pre")
        assert migrated.stdout == f"Database upgraded from {schema.head()} to 8003 (pre-deploy half)\n", migrated.stderr
        readers.answered(20)
        assert db_check(new, cluster.url) == (0, "rolling", [], ["8004"])

        third = cluster.replace(first, new)
        readers.answered(20)
        fourth = cluster.replace(second, new)
        readers.answered(20)

        finished = new.admin(cluster.url, "create-db", "--phase", "post")
        assert finished.stdout == "Database upgraded from 8003 to 8004 (post-deploy half)\n", finished.stderr
        readers.answered(20)
        assert db_check(old, cluster.url) == (5, None, [], [])
    print(f"answers: {dict(readers.seen)}, failures: {len(readers.failures)}")
    assert readers.failures == []
    assert readers.seen["7.0"] > 10
    assert readers.seen["7.1"] > 10
    assert third.process.poll() is None
    assert fourth.process.poll() is None

    # The way back is closed, and the old version says which way is open.
    late = cluster.start(old)
    service = subprocess.run(
        old.command("backend.main", "scheduler"),
        env=old.environment(KOSCHEI_CONFIG=str(cluster.settings), KOSCHEI__DB_URL=cluster.url),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert service.returncode == 3
    assert service.stderr.startswith("koschei-backend: The database cannot be used: the tables are at revision 8004")
    assert len(service.stderr.splitlines()) == 1
    assert late.process.wait(60) == 3
    assert "run the image of Koschei 7.1 or newer" in late.log.read_text()
