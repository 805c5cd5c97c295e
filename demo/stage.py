"""What a demo with its own Koji runs on: PostgreSQL, the hub and Koschei's processes, set up and taken down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from demo import settings
from demo.bus import Bus, started
from demo.distribution import distribution
from demo.hub import HubServer, Timings
from demo.observer import COLLECTION, Observer
from demo.ports import HOST
from demo.postgres import Postgres
from demo.processes import Supervisor, call, command
from demo.settings import SERVICES, DemoError, Folder, Ports
from demo.world import PASSWORD, TAG, TARGET, USER, World
from koschei.config import load

ADMIN_TRIES_SECONDS = 60.0
UNREACHABLE = 3
"""koschei-admin's exit status when PostgreSQL or Koji is away."""


class Postmaster:
    """The demo's PostgreSQL with Koschei's database in it; its data does not outlive the demo."""

    def __init__(self, folder: Folder, durable: bool) -> None:
        self.server = Postgres(folder.path / "postgres", durable=durable)

    def __enter__(self) -> str:
        """Start it; the address of the empty database."""
        self.server.remove()
        self.server.start()
        return self.server.create_database("koschei")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.server.remove()


class Admin:
    """koschei-admin, as a person would run it; tried again while a service that it needs is away."""

    def __init__(self, folder: Folder) -> None:
        self._environment = folder.environment()

    def __call__(self, arguments: Sequence[str]) -> str:
        """Run it; what it printed. DemoError when it refuses."""
        deadline = time.monotonic() + ADMIN_TRIES_SECONDS
        while True:
            done = call([*command("koschei-admin", "admin.main"), *arguments], self._environment)
            if done.returncode == 0:
                return done.stdout
            if done.returncode != UNREACHABLE or time.monotonic() > deadline:
                words = " ".join(arguments[:3])
                raise DemoError(f"koschei-admin {words} failed ({done.returncode}): {done.stderr.strip()[-1000:]}")
            time.sleep(0.5)


class Stage:
    """A running demo with its own Koji. Use it as a context: leaving it leaves nothing behind."""

    def __init__(
        self,
        folder: Folder,
        port: int,
        timings: Timings,
        *,
        tell: Callable[[str], None],
        patience: float,
        stopping: threading.Event,
        durable: bool = False,
        endless: bool = False,
        with_bus: bool = False,
    ) -> None:
        self.folder, self._timings, self.tell = folder, timings, tell
        self.ports = Ports.choose(port)
        self.admin = Admin(folder)
        self._patience, self._stopping, self._endless = patience, stopping, endless
        self._postmaster = Postmaster(folder, durable)
        self._with_bus = with_bus
        self.bus: Bus | None = None
        self.world: World
        self.observer: Observer
        self.supervisor: Supervisor
        self._opened = ExitStack()

    @property
    def postgres(self) -> Postgres:
        """The database server."""
        return self._postmaster.server

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._set_up(opened)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._opened.close()

    def _set_up(self, opened: ExitStack) -> None:
        self.folder.take()
        opened.callback(self.folder.release)
        if self._with_bus:
            self.bus = started(self.folder.path / "rabbitmq", self.tell)
            if self.bus is not None:
                opened.callback(self.bus.close)
        self.tell("starting PostgreSQL")
        database_url = opened.enter_context(self._postmaster)
        self.tell("building a sample distribution in a Koji of our own")
        self.world = World(self.folder.path / "koji", distribution(), self._timings)
        opened.callback(self.world.close)
        self.world.build()
        server = opened.enter_context(HubServer(self.world.hub, HOST))
        koji = {
            "server": server.hub_url,
            "topurl": server.topurl,
            "weburl": server.weburl,
            "login_method": "login",
            "login_args": {"user": USER, "password": PASSWORD},
        }
        tables = settings.active(self.folder, self.ports, database_url, koji, endless=self._endless)
        if self.bus is not None:
            self.tell("starting RabbitMQ")
            self.bus.open(self.world.hub, self.folder.bus_config)
            tables |= {"fedmsg": {"config_file": str(self.folder.bus_config)}, "fedmsg-publisher": {"enabled": True}}
        self.folder.write_config(tables)
        self.folder.write_env()
        self.tell("koschei-admin create-db and create-collection")
        self.admin(["create-db"])
        self.admin(["create-collection", COLLECTION, "-d", "Sample Linux 43", "-t", TARGET, "--dest-tag", TAG])
        self.observer = Observer(load([self.folder.config], environ={}), self._patience, self._stopping)
        opened.callback(self.observer.close)
        self.supervisor = supervised(self.folder, self.ports, SERVICES, self.tell)
        opened.callback(self.supervisor.stop)
        self.tell(f"five services and the dashboard are started: {self.ports.url}")
        if not self._with_bus:
            self.tell("there is no message bus here: events are queued, and none is sent")


def supervised(folder: Folder, ports: Ports, services: Sequence[str], tell: Callable[[str], None]) -> Supervisor:
    """These services and the dashboard, running."""
    supervisor = Supervisor(folder.logs, folder.environment(), tell)
    for name in services:
        supervisor.add(name, [*command("koschei-backend", "backend.main"), name])
    supervisor.add("frontend", [*command("koschei-frontend", "frontend.main"), "--bind", f"{HOST}:{ports.dashboard}"])
    supervisor.start()
    return supervisor
