"""How long it takes from a finished build's message to the new state in the database, on a busy machine.

    python -m bench.bus [--builds 200] [--busy 2]

A private RabbitMQ and PostgreSQL, Koji's stand-in, and the watcher as a process of its own; beside them as many
processes as `--busy` says do nothing but compute. Builds end in Koji; for each, the message is published as Koji's
plugin does, and the database is asked until the build has its verdict. The clock runs from just before publishing.

Seen with two busy processes on a machine of two cores that others loaded as well (load average 10): median 0.08 s,
95% 0.18 s; at a worse moment 0.54 s and 1.18 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika  # type: ignore[import-untyped]
from sqlalchemy import select, update

from demo.hub import Binary, Hub, HubServer, SourcePackage, Timings
from demo.postgres import Postgres
from demo.processes import command
from demo.rabbitmq import Rabbit
from demo.settings import toml
from koschei import logs, submission
from koschei.audit import BACKEND
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.schema import upgrade
from koschei.koji import tagging
from koschei.koji.session import KojiSession
from koschei.model import Build, Collection, Package
from koschei.packages import sync_package_list
from koschei.real_builds import refresh
from koschei.rules.states import BuildState

EXCHANGE, QUEUE, TOPIC = "amq.topic", "koschei", "org.fedoraproject.prod.buildsys"
LOOK_SECONDS = 0.005
BUSY = "while True: pass"


@contextmanager
def process(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """A process that runs while the block lasts."""
    with log.open("ab") as output:
        running = subprocess.Popen(arguments, env=environment, stdout=output, stderr=output)
    try:
        yield
    finally:
        running.terminate()
        running.wait(20)


class Bench:
    """The small world that is measured."""

    def __init__(self, folder: Path, packages: int) -> None:
        self.folder, self.packages = folder, packages
        self._opened = ExitStack()
        self.skew = 0.0

    def __enter__(self) -> Bench:
        enter = self._opened.enter_context
        self.rabbit = enter(Rabbit(self.folder / "rabbitmq"))
        postgres = enter(Postgres(self.folder / "postgres"))
        url = postgres.create_database("koschei")
        upgrade(url)
        self.hub = Hub(
            self.folder / "koji",
            timings=Timings(assign=1, srpm=(2, 3), arch=(5, 6), repo=(10, 11)),
            clock=lambda: time.time() + self.skew,
        )
        self._opened.callback(self.hub.close)
        self._fill()
        server = enter(HubServer(self.hub, "127.0.0.1"))
        login = {"login_method": "login", "login_args": {"user": "koschei", "password": "koschei"}}
        self.settings: dict[str, Any] = {
            "db_url": url,
            "koji_config": {"server": server.hub_url, "topurl": server.topurl, **login},
            "fedmsg": {"config_file": str(self._bus_settings())},
            "fedmsg-publisher": {"enabled": True},
            "services": {"watcher": {"health_port": 0}},
        }
        self.config = Config.model_validate(self.settings)
        self.database = Database(url)
        self._opened.callback(self.database.dispose)
        self.koji = KojiSession(self.config.koji_config)
        self._opened.callback(self.koji.close)
        self._know()
        return self

    def __exit__(self, *exc: object) -> None:
        self._opened.close()

    def names(self) -> list[str]:
        return [f"package{number}" for number in range(self.packages)]

    def _fill(self) -> None:
        hub = self.hub
        hub.add_user("koschei", password="koschei")  # noqa: S106 - the stand-in's
        hub.add_tag("f43", arches="x86_64")
        hub.add_tag("f43-build", arches="x86_64", parents=["f43"])
        hub.add_target("f43", build_tag="f43-build", dest_tag="f43")
        hub.set_group("f43-build", "build", ["bash"])
        hub.add_host("builder1", arches="x86_64", capacity=1e6)
        for name in ("bash", *self.names()):
            hub.add_package("f43", name)
            hub.import_build("f43", SourcePackage(name, "1", "1.fc43", binaries=(Binary(name),)))
        hub.new_repo("f43-build")
        self.later(60)

    def later(self, seconds: float) -> None:
        """Koji's time goes on."""
        self.skew += seconds
        self.hub.tick()

    def _know(self) -> None:
        """What polling would find."""
        now = datetime.now(UTC)
        with self.database.begin() as session:
            made = Collection(name="f43", display_name="f43", target="f43", dest_tag="f43", build_tag="f43-build")
            session.add(made)
        listed = tagging.packages(self.koji, "f43")
        with self.database.begin() as session:
            collection = session.scalars(select(Collection)).one()
            sync_package_list(session, collection, listed, now=now)
            collection.latest_repo_id, collection.latest_repo_resolved = 1, True
            session.execute(update(Package).values(tracked=True, resolved=True))
        refresh(self.database, self.koji, self.config, collection, now)

    def _bus_settings(self) -> Path:
        queue = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
        path = self.folder / "fedora-messaging.toml"
        settings = {"amqp_url": self.rabbit.url, "publish_exchange": EXCHANGE, "queues": {QUEUE: queue}}
        path.write_text(toml({**settings, "bindings": [], "topic_prefix": "org.fedoraproject.prod"}))
        return path

    def submitted(self) -> dict[str, int]:
        """Have all packages built; their tasks."""
        with self.database.begin() as session:
            ids = list(session.scalars(select(Package.id).where(Package.name != "bash")))
        for package_id in ids:
            submission.submit(self.database, self.koji, self.config, package_id, actor=BACKEND, now=datetime.now(UTC))
        query = (
            select(Package.name, Build.task_id)
            .join(Build, Build.package_id == Package.id)
            .where(Build.state == BuildState.RUNNING)
        )
        with self.database.begin() as session:
            return {name: task_id for name, task_id in session.execute(query) if task_id is not None}

    def ended(self, task_id: int) -> bool:
        """Whether the build has its verdict."""
        with self.database.begin() as session:
            state = session.scalar(select(Build.state).where(Build.task_id == task_id))
        return state is not BuildState.RUNNING


def measure(bench: Bench) -> list[float]:
    """Seconds for each build."""
    with pika_channel(bench.rabbit.url) as bus:
        tasks = bench.submitted()
        for _ in range(10):
            bench.later(30)
        seconds = []
        for name, task_id in tasks.items():
            begun = time.monotonic()
            bus.basic_publish(EXCHANGE, f"{TOPIC}.task.state.change", message(name, task_id), properties())
            while not bench.ended(task_id):
                if time.monotonic() - begun > 60:
                    raise SystemExit(f"the build of {name} did not end within a minute")
                time.sleep(LOOK_SECONDS)
            seconds.append(time.monotonic() - begun)
        return seconds


@contextmanager
def pika_channel(url: str) -> Iterator[Any]:
    """A channel to the broker, with the queue bound."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    bus = connection.channel()
    bus.queue_declare(QUEUE, durable=True)
    bus.queue_bind(QUEUE, EXCHANGE, f"{TOPIC}.#")
    bus.confirm_delivery()
    yield bus
    connection.close()


def message(name: str, task_id: int) -> bytes:
    """What Koji's plugin says of a task that was closed, as far as it is looked at."""
    body = {"attribute": "state", "old": "OPEN", "new": "CLOSED", "id": task_id, "method": "build", "srpm": name}
    return json.dumps({**body, "instance": "primary", "base_url": "https://127.0.0.1"}).encode()


def properties() -> pika.BasicProperties:
    """Those of a persistent message."""
    headers = {"fedora_messaging_schema": "base.message", "fedora_messaging_severity": 20}
    return pika.BasicProperties(
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
        message_id=str(uuid.uuid4()),
        headers=headers,
    )


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builds", type=int, default=200)
    parser.add_argument("--busy", type=int, default=2, help="processes that compute beside it")
    chosen = parser.parse_args()
    logs.configure("WARNING", "text")
    with tempfile.TemporaryDirectory(prefix="koschei-bench-") as name, ExitStack() as opened:
        folder = Path(name)
        folder.chmod(0o711)
        bench = opened.enter_context(Bench(folder, chosen.builds))
        (folder / "koschei.toml").write_text(toml(bench.settings))
        environment = {**os.environ, "KOSCHEI_CONFIG": str(folder / "koschei.toml")}
        watcher = [*command("koschei-backend", "backend.main"), "watcher"]
        opened.enter_context(process(watcher, environment, folder / "watcher.log"))
        for _ in range(chosen.busy):
            opened.enter_context(process([sys.executable, "-c", BUSY], environment, folder / "busy.log"))
        seconds = measure(bench)
    centiles = statistics.quantiles(seconds, n=100)
    print(
        f"{len(seconds)} builds, {chosen.busy} busy processes on {os.cpu_count()} cores: from message to state "
        f"median {statistics.median(seconds):.3f} s, 95% {centiles[94]:.3f} s, slowest {max(seconds):.3f} s"
    )


if __name__ == "__main__":
    main()
