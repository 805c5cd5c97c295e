"""The health port: what it answers, and how it behaves with what comes to a port."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from backend import metrics
from backend.health import HealthServer, Pulse
from demo.ports import free_port
from koschei.errors import ConfigError
from tests.backend.conftest import Health
from tests.support import wait_until

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def pulse() -> Pulse:
    return Pulse("scheduler")


@pytest.fixture
def health(pulse: Pulse) -> Iterator[Health]:
    port = free_port()
    with HealthServer(pulse, "127.0.0.1", port):
        yield Health(port)


def test_a_starting_service_lives_and_is_not_ready(health: Health) -> None:
    assert health.status("live") == 200
    assert health.status("ready") == 503
    assert json.loads(health.get("/healthz/ready?verbose=1")[1]) == {"service": "scheduler", "state": "starting"}


def test_success_makes_it_ready_and_failure_takes_that_back(health: Health, pulse: Pulse) -> None:
    pulse.success(NOW, {"submitted": "foo"})
    assert health.status("ready") == 200
    pulse.failure(NOW, "Koji is away")
    pulse.failure(NOW.replace(hour=13), "Koji is still away")
    assert health.status("ready") == 503
    assert health.status("live") == 200
    facts = health.facts()
    assert facts["error"] == "Koji is still away"
    assert facts["failing_since"] == NOW.isoformat()
    assert facts["detail"] == {"submitted": "foo"}


def test_a_replica_that_stands_by_is_ready(health: Health, pulse: Pulse) -> None:
    pulse.failure(NOW, "PostgreSQL was away")
    pulse.standby()
    assert health.status("ready") == 200
    assert health.facts() == {"service": "scheduler", "state": "standby"}


def test_a_loop_that_stands_still_is_not_alive(health: Health, pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.health.STUCK_SECONDS", 0.1)
    wait_until(lambda: health.status("live") == 503)
    monkeypatch.setattr("backend.health.STUCK_SECONDS", 60)
    pulse.progress()
    assert health.status("live") == 200


def test_metrics_are_served(health: Health) -> None:
    metrics.EVENTS_WAITING.set(7)
    status, body = health.get("/metrics")
    assert status == 200
    assert "koschei_events_waiting 7.0" in body.splitlines()


def test_other_paths_are_told_what_there_is(health: Health) -> None:
    status, body = health.get("/")
    assert status == 404
    assert "/healthz/live" in json.loads(body)["error"]


def test_a_connection_that_breaks_off_harms_nobody(health: Health, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", health.port)) as rude:
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            rude.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert health.status("live") == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_port_that_is_taken_is_an_error_of_the_configuration(health: Health, pulse: Pulse) -> None:
    with pytest.raises(ConfigError, match=f"127.0.0.1:{health.port}.*health_port"):
        HealthServer(pulse, "127.0.0.1", health.port)


def test_port_0_serves_nothing(pulse: Pulse) -> None:
    with HealthServer(pulse, "256.1.1.1", 0):
        pass
