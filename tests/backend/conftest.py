"""Services in threads and in processes, and what their health ports say."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from backend.frame import Context, PassReport, Runner, Service
from demo.ports import free_port
from koschei.config import Config

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Health:
    """A health port."""

    port: int

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an answer; status 0 when nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def status(self, word: str) -> int:
        """Status of /healthz/<word>."""
        return self.get(f"/healthz/{word}")[0]

    def facts(self) -> dict[str, Any]:
        """What the service says of itself; empty when nobody listens."""
        status, body = self.get("/healthz/live")
        return json.loads(body) if status else {}


@dataclass
class Running:
    """A service that runs in a thread."""

    runner: Runner
    health: Health
    thread: threading.Thread
    passes: list[float] = field(default_factory=list)

    def stop(self) -> None:
        self.runner.stop.set()
        self.runner.listener.interrupt()
        self.thread.join(60)
        assert not self.thread.is_alive()


Serve = Callable[..., Running]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Runs a service in a thread: serve(url, one_pass, interval=..., number=...)."""
    services: list[Running] = []

    def make(
        url: str, one_pass: Callable[[Context], PassReport], *, interval: float = 600, number: int = 90
    ) -> Running:
        port = free_port()
        settings = {"interval": interval, "health_host": "127.0.0.1", "health_port": port}
        config = Config.model_validate({"db_url": url, "services": {"scheduler": settings}})
        service = Service("scheduler", number, lambda context: lambda: one_pass(context))
        runner = Runner(service, config)
        running = Running(runner, Health(port), threading.Thread(target=runner.loop, daemon=True))
        services.append(running)
        running.thread.start()
        return running

    yield make
    for service in services:
        service.stop()


@dataclass
class Process:
    """A service in a process of its own."""

    popen: subprocess.Popen[str]
    health: Health

    def log(self) -> str:
        """Everything it wrote; for when it has ended."""
        out, _ = self.popen.communicate()
        return out


Spawn = Callable[..., Process]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts a toy service: spawn(url, behaviour, interval=...)."""
    processes: list[Process] = []

    def make(url: str, behaviour: str = "works", *, interval: float = 600) -> Process:
        port = free_port()
        popen = subprocess.Popen(
            [sys.executable, "-m", "tests.backend.toy_service", url, str(port), str(interval), behaviour],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(Process(popen, Health(port)))
        return processes[-1]

    yield make
    for process in processes:
        with suppress(ProcessLookupError):
            process.popen.kill()
        process.popen.wait(60)
        if process.popen.stdout:
            process.popen.stdout.close()
