"""The broker goes away and comes back, and the watcher is told to end: nothing is lost, and everybody is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from demo.ports import free_port
from demo.rabbitmq import Rabbit
from demo.settings import toml
from koschei.model import Build, Cause
from koschei.rules.states import BuildState
from koschei.transitions import changing
from tests.backend.conftest import Health
from tests.bus.broker import EXCHANGE, PREFIX, Post, channel
from tests.bus.conftest import Serve, configured, connected
from tests.bus.test_hearing import let_them_end, start, state, task
from tests.koji_world import KojiWorld, lie
from tests.support import wait_for_a_waiter, wait_until

REPOSITORY = Path(__file__).parents[2]


def flip(world: KojiWorld, name: str, resolved: bool) -> None:
    """Change a package's state, as the resolver does."""
    with (
        world.database.begin() as session,
        changing(session, [world.package(name).id], Cause.RESOLUTION, now=world.now, repo_id=2) as packages,
    ):
        for package in packages:
            package.resolved = resolved


def test_an_outage_is_told_of_and_the_bus_is_back_within_seconds(
    world: KojiWorld, rabbit: Rabbit, post: Post, serve: Serve
) -> None:
    with channel(rabbit.url) as bus:
        bus.queue_declare("listener", durable=True)
        bus.queue_bind("listener", EXCHANGE, f"{PREFIX}.koschei.#")
    service = connected(serve(rabbit.url, post.queue, interval=1))
    tasks = start(world, "foo")
    let_them_end(world)

    rabbit.kill()
    try:
        told = wait_until(lambda: service.health.facts().get("error"), message="the health port to tell")
        assert told.startswith("bus unreachable since 20"), told
        assert service.health.facts()["detail"]["bus"] == "unreachable"
        assert service.health.status("live") == 200
        assert service.health.status("ready") == 503
        flip(world, "bar", False)
        wait_until(lambda: service.health.facts()["detail"]["waiting"] == 1, message="passes to go on, and count")
        since = service.health.facts()["detail"]["since"]
    finally:
        rabbit.start()
    back = time.monotonic()
    wait_until(lambda: service.health.facts()["detail"]["bus"] == "connected", message="the bus to be back")
    seconds = time.monotonic() - back
    post.send(task(tasks["foo"]))
    wait_until(lambda: state(world, "foo") is BuildState.COMPLETE, message="messages to be heard again")
    wait_until(lambda: service.health.facts()["detail"]["waiting"] == 0, message="the event to be sent")
    assert service.health.status("ready") == 200
    assert service.health.facts()["detail"]["since"] > since
    with channel(rabbit.url) as bus:
        assert bus.basic_get("listener", auto_ack=True)[2] is not None
    print(f"connected {seconds:.1f} s after the broker answered")
    assert seconds < 40, "the library by itself would wait up to an hour"


def test_a_queue_that_is_not_there_is_told_of_and_taken_up_when_it_is(
    world: KojiWorld, post: Post, serve: Serve
) -> None:
    tasks = start(world, "foo")
    let_them_end(world)
    post.delete()
    service = serve(post.rabbit.url, post.queue, interval=0.5)
    told = wait_until(lambda: service.health.facts().get("error"), message="the health port to tell")
    assert told.startswith("the broker does not let us consume: "), told
    assert post.queue in told
    flip(world, "bar", False)
    wait_until(lambda: service.health.facts()["detail"].get("waiting") == 0, message="events to be sent")
    post.declare()
    post.send(task(tasks["foo"]))
    wait_until(lambda: state(world, "foo") is BuildState.COMPLETE, message="the message to be heard")
    wait_until(lambda: "error" not in service.health.facts(), message="all to be well")


class Watcher:
    """`koschei-backend watcher` in a process of its own."""

    def __init__(self, settings: dict[str, Any], folder: Path) -> None:
        config = folder / "koschei.toml"
        config.write_text(toml(settings))
        environment = {**os.environ, "KOSCHEI_CONFIG": str(config), "PYTHONPATH": str(REPOSITORY)}
        self.log = folder / "watcher.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "backend.main", "watcher"],
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status, after a signal."""
        self.process.send_signal(number)
        return self.process.wait(60)


def test_sigterm_lets_the_message_at_hand_be_finished_and_leaves_the_rest_in_the_queue(
    world: KojiWorld, post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = start(world, "foo", "bar", "baz")
    let_them_end(world)
    ended = threading.Event()

    def slow(truth: Any, task_id: int, **_: object) -> Any:
        """However late the signal is heard, no message is through with Koji before but the first."""
        if task_id != tasks["foo"]:
            ended.wait(60)
        return truth()

    lie(monkeypatch, "getTaskChildren", slow)
    port = free_port()
    services = {"watcher": {"health_host": "127.0.0.1", "health_port": port}}
    watcher = Watcher(configured(world, tmp_path, post.rabbit.url, post.queue, services=services), tmp_path)
    try:
        health = Health(port)
        wait_until(lambda: health.facts().get("detail", {}).get("bus") == "connected", message="the watcher")
        with world.database.begin() as holder:
            holder.execute(select(Build.id).where(Build.task_id == tasks["foo"]).with_for_update())
            post.send(*[task(task_id) for task_id in tasks.values()])
            wait_for_a_waiter(world.database, "koschei-watcher")
            watcher.process.terminate()
            time.sleep(0.5)  # it stops, and finds the message at hand
        assert watcher.process.wait(60) == 0
    finally:
        ended.set()
        if watcher.process.poll() is None:
            watcher.end(signal.SIGKILL)
    done = [name for name in tasks if state(world, name) is BuildState.COMPLETE]
    assert done == ["foo"]
    wait_until(lambda: post.waiting() == 2, message="the other messages to be in the queue")
    assert "Traceback" not in watcher.log.read_text()
