"""A private RabbitMQ, and the real watcher on it."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select

from backend import watcher
from backend.frame import Runner, Service
from demo.ports import free_port
from demo.rabbitmq import Rabbit, RabbitError, find_epmd, find_server
from koschei.config import Config
from koschei.model import Collection
from tests.backend.conftest import Health
from tests.bus.broker import Post, write_config
from tests.koji_world import KojiWorld, koji_world, source
from tests.support import wait_until

_numbers = itertools.count(1)
LIBRARY_WARNINGS = "ignore:twisted.internet.defer.returnValue was deprecated:DeprecationWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The library's own warnings are no concern of ours; anything that is raised in its thread breaks it."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings(LIBRARY_WARNINGS))


@pytest.fixture(scope="session")
def rabbit_folder() -> Iterator[Path]:
    """Where nodes are kept; skips, with the reason, when there is no RabbitMQ here."""
    try:
        find_server()
        find_epmd()
    except RabbitError as error:
        pytest.skip(str(error))
    folder = Path(tempfile.mkdtemp(prefix="koschei-rabbitmq-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def rabbit(rabbit_folder: Path) -> Iterator[Rabbit]:
    """A running RabbitMQ, one per test process. Who kills it starts it again."""
    with Rabbit(rabbit_folder / "shared") as node:
        yield node


@pytest.fixture
def post(rabbit: Rabbit) -> Iterator[Post]:
    """A queue of the test's own, to which Koji's messages go."""
    made = Post(rabbit, f"koschei-{next(_numbers)}")
    made.declare()
    yield made
    made.delete()


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    """Koji with a few packages, that all have their builds and can be built, in the real time."""
    sources = (source("foo", "1", "gcc"), source("bar", "2", "foo"), source("baz", "3"))
    with koji_world(tmp_path, database_url, sources) as world:
        world.poll()
        with world.database.begin() as session:
            collection = session.scalars(select(Collection)).one()
            collection.latest_repo_id, collection.latest_repo_resolved = 2, True
        for name in ("foo", "bar", "baz"):
            world.set(name, resolved=True, needs_resolution=False)
        # Services look at the clock of the wall.
        world.now = datetime.now(UTC)
        yield world


@dataclass
class Running:
    """A service that runs in a thread, with its health port."""

    runner: Runner
    health: Health
    thread: threading.Thread

    def stop(self) -> None:
        """End it as a signal would."""
        self.runner.stop.set()
        self.runner.listener.interrupt()
        self.thread.join(60)
        assert not self.thread.is_alive()


Serve = Callable[..., Running]


def configured(world: KojiWorld, folder: Path, url: str, queue: str | None, **settings: Any) -> dict[str, Any]:
    """Koschei's settings for that world with a bus."""
    return {
        "db_url": world.database.engine.url.render_as_string(hide_password=False),
        "koji_config": world.config.koji_config.model_dump(mode="json", exclude_unset=True),
        "directories": {"cachedir": str(folder / "cache")},
        "fedmsg": {"config_file": str(write_config(folder / "fedora-messaging.toml", url, queue))},
        "fedmsg-publisher": {"enabled": True},
        **settings,
    }


@pytest.fixture
def serve(world: KojiWorld, tmp_path: Path) -> Iterator[Serve]:
    """Runs services in threads: serve(url, queue, service=watcher.SERVICE, interval=...)."""
    with ExitStack() as running:

        def make(
            url: str, queue: str | None, service: Service = watcher.SERVICE, *, interval: float = 600, **settings: Any
        ) -> Running:
            port = free_port()
            health = {"interval": interval, "health_host": "127.0.0.1", "health_port": port}
            services = {service.key: health}
            runner = Runner(
                service, Config.model_validate(configured(world, tmp_path, url, queue, services=services, **settings))
            )
            made = Running(runner, Health(port), threading.Thread(target=runner.loop, daemon=True))
            running.callback(made.stop)
            made.thread.start()
            return made

        yield make


def connected(service: Running) -> Running:
    """The watcher, once it is connected and has said so."""
    wait_until(lambda: service.health.facts().get("detail", {}).get("bus") == "connected", message="the bus")
    return service


def seen(outcome: str) -> float:
    """How many messages have had that outcome in this process."""
    return REGISTRY.get_sample_value("koschei_messages_seen_total", {"outcome": outcome}) or 0.0
