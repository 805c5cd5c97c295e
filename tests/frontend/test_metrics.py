"""What the frontend counts, and the port where it is told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from prometheus_client import REGISTRY

from demo.ports import free_port
from frontend import main, metrics_port, server
from koschei.db.engine import Database
from tests.frontend.conftest import SECRET_KEY
from tests.frontend.test_gunicorn import COMMAND, environment
from tests.support import wait_until
from tests.world import filling


def counted(**labels: str) -> float:
    return REGISTRY.get_sample_value("koschei_frontend_requests_total", labels) or 0


def test_requests_are_counted_by_route_method_and_class_of_status(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        world.collection()
    known = {"route": "/package/<name>", "method": "GET", "status": "4xx"}
    unknown = {"route": "other", "method": "other", "status": "4xx"}
    before = counted(**known), counted(**unknown)
    client.get("/package/nix")
    client.get("/package/nada")
    client.open("/made/up", method="BREW")
    assert (counted(**known), counted(**unknown)) == (before[0] + 2, before[1] + 1)
    assert REGISTRY.get_sample_value("koschei_frontend_request_seconds_count", {"route": "/package/<name>"})
    assert REGISTRY.get_sample_value("koschei_frontend_database_wait_seconds_count")


def test_the_pages_port_has_no_metrics(client: FlaskClient) -> None:
    assert client.get("/metrics").status_code == 404


def test_a_worker_has_the_number_of_the_one_it_follows() -> None:
    slots, arbiter = metrics_port.Slots(), SimpleNamespace(WORKERS={})
    workers = [SimpleNamespace() for _ in range(4)]
    for pid, worker in enumerate(workers[:3]):
        slots.give(arbiter, worker)
        arbiter.WORKERS[pid] = worker
    assert [worker.slot for worker in workers[:3]] == [1, 2, 3]
    del arbiter.WORKERS[1]
    slots.give(arbiter, workers[3])
    assert (workers[3].slot, slots.mine()) == (2, 0)
    slots.take(arbiter, workers[3])
    assert slots.mine() == 2


@pytest.mark.parametrize(
    ("bind", "both"),
    [
        ("0.0.0.0:8080", ["0.0.0.0:8080", "0.0.0.0:8086"]),
        ("[::]:8080", ["[::]:8080", "[::]:8086"]),
        (":8080", [":8080", "0.0.0.0:8086"]),
        ("unix:/run/koschei", ["unix:/run/koschei", "0.0.0.0:8086"]),
    ],
)
def test_the_metrics_are_on_the_pages_host(bind: str, both: list[str]) -> None:
    assert server.options(bind, 2, 8086)["bind"] == both
    assert server.options(bind, 2)["bind"] == bind


class Serving:
    """A frontend with two workers and a port for metrics."""

    def __init__(self, folder: Path, database: Database) -> None:
        config = f'db_url = "{database.url}"\n[flask]\nSECRET_KEY = "{SECRET_KEY}"\n'
        self.port, self.metrics_port = free_port(), free_port()
        self.log = folder / "log"
        (folder / "tmp").mkdir()
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "--bind", f"127.0.0.1:{self.port}", "--metrics-port", str(self.metrics_port)],
                env=environment(folder, config, WEB_CONCURRENCY="2", TMPDIR=str(folder / "tmp")),
                stdout=output,
                stderr=output,
                cwd=folder,
            )

    def get(self, port: int, path: str) -> tuple[int, str]:
        """Status and text of an answer; 0 when nobody listens."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
                return int(response.status), response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def live(self) -> int:
        """How many answers of /healthz/live were counted, by all workers."""
        _, text = self.get(self.metrics_port, "/metrics")
        label = r'koschei_frontend_requests_total\{method="GET",route="/healthz/live",status="2xx"\} ([\d.]+)'
        return sum(int(float(number)) for number in re.findall(label, text))


def test_all_workers_are_told_of_on_a_port_of_its_own(tmp_path: Path, database: Database) -> None:
    serving = Serving(tmp_path, database)
    try:
        wait_until(lambda: serving.get(serving.port, "/healthz/live")[0] == 200, 60, "the frontend to answer")
        before = serving.live()
        for _ in range(40):
            serving.get(serving.port, "/healthz/live")
        assert serving.live() == before + 40
        assert serving.get(serving.port, "/metrics")[0] == 404
        assert serving.get(serving.metrics_port, "/healthz/live")[0] == 404
        assert serving.get(serving.metrics_port, "/")[0] == 404

        children = Path(f"/proc/{serving.process.pid}/task/{serving.process.pid}/children")
        old = children.read_text().split()
        for pid in old:
            os.kill(int(pid), signal.SIGTERM)
        wait_until(
            lambda: len(new := children.read_text().split()) == 2 and not set(new) & set(old), 60, "other workers"
        )
        wait_until(lambda: serving.get(serving.port, "/healthz/live")[0] == 200, 60, "them to answer")
        assert serving.live() > before + 40, "what was counted before must not be lost"
        (folder,) = (tmp_path / "tmp").glob("koschei-metrics-*")
        assert {int(path.stem.rpartition("_")[2]) for path in folder.iterdir()} <= {0, 1, 2}
        serving.process.send_signal(signal.SIGTERM)
        assert serving.process.wait(timeout=60) == 0, serving.log.read_text()
    finally:
        if serving.process.poll() is None:
            serving.process.kill()
            serving.process.wait()
    assert list((tmp_path / "tmp").glob("koschei-metrics-*")) == []
    assert "Traceback" not in serving.log.read_text()


def test_it_is_not_the_pages_port(tmp_path: Path, database: Database) -> None:
    settings = tmp_path / "koschei.toml"
    settings.write_text(f'db_url = "{database.url}"\n[flask]\nSECRET_KEY = "{SECRET_KEY}"\n')
    answer = CliRunner().invoke(
        main.main, ["--bind", "127.0.0.1:8080", "--metrics-port", "8080"], env={"KOSCHEI_CONFIG": str(settings)}
    )
    assert answer.exit_code == 1
    assert "choose another" in answer.output
