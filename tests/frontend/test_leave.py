"""`koschei-frontend` leaves without losing a request: what is under way is answered, and what still comes, too."""

from __future__ import annotations

import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from demo.ports import free_port
from koschei.db.engine import Database
from tests.frontend.conftest import SECRET_KEY
from tests.frontend.test_gunicorn import COMMAND, environment
from tests.support import wait_for_a_waiter, wait_until
from tests.world import filling


class Frontend:
    """A process that serves one collection with one package."""

    def __init__(self, folder: Path, database: Database, drain: str) -> None:
        with filling(database) as world:
            world.package("hello", world.collection("f44", "Fedora Rawhide"))
        config = f'db_url = "{database.url}"\n[flask]\nSECRET_KEY = "{SECRET_KEY}"\n'
        self.port = free_port()
        self.log = folder / "log"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [*COMMAND, "--bind", f"127.0.0.1:{self.port}", "--drain", drain],
                env=environment(folder, config, WEB_CONCURRENCY="1"),
                stdout=output,
                stderr=output,
                cwd=folder,
            )
        wait_until(lambda: self.get("/healthz/ready") == 200, 60, "the frontend to be ready")

    def get(self, path: str) -> int:
        """The status of an answer; 0 when nobody listens."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
                response.read()
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def terminate(self) -> None:
        """What the platform sends."""
        self.process.send_signal(signal.SIGTERM)


Start = Callable[[str], Frontend]


@pytest.fixture
def start(tmp_path: Path, database: Database) -> Iterator[Start]:
    """Starts a frontend that drains for so many seconds."""
    started: list[Frontend] = []

    def make(drain: str) -> Frontend:
        started.append(Frontend(tmp_path, database, drain))
        return started[-1]

    yield make
    for frontend in started:
        if frontend.process.poll() is None:
            frontend.process.kill()
        frontend.process.wait()


def test_a_request_under_way_is_answered(start: Start, database: Database) -> None:
    frontend = start("0")
    with ThreadPoolExecutor(1) as pool, database.engine.connect() as blocker:
        blocker.execute(text("LOCK TABLE package IN ACCESS EXCLUSIVE MODE"))
        answer = pool.submit(frontend.get, "/packages")
        wait_for_a_waiter(database, "koschei-frontend")
        frontend.terminate()
        wait_until(lambda: "term" in frontend.log.read_text().lower(), 30, "the signal to be seen")
        assert not answer.done()
        blocker.rollback()
        assert answer.result(30) == 200
    assert frontend.process.wait(30) == 0


def test_it_says_that_it_leaves_and_serves_on_until_told_again(start: Start) -> None:
    frontend = start("300")
    frontend.terminate()
    wait_until(lambda: frontend.get("/healthz/ready") == 503, 30, "it to be ready no more")
    assert frontend.get("/healthz/live") == 200
    assert frontend.get("/packages") == 200
    frontend.terminate()
    assert frontend.process.wait(30) == 0


def test_it_leaves_by_itself_when_the_time_is_over(start: Start) -> None:
    frontend = start("0.5")
    frontend.terminate()
    assert frontend.process.wait(30) == 0
    assert "Traceback" not in frontend.log.read_text()
