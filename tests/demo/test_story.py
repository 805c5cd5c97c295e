"""`python -m demo`, run as people run it: the story comes to its end, and nothing is left behind however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.cast import expected
from demo.distribution import distribution
from demo.postgres import Postgres
from demo.rabbitmq import RabbitError, find_server
from tests.support import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
KEYS = {
    "packages",
    "resolved",
    "unresolved",
    "builds_complete",
    "builds_failed",
    "builds_spoiled_by_koji",
    "state_changes",
    "events_queued",
    "events_sent",
    "broken_packages",
}


@dataclass
class Demo:
    """The demo in a process; everything it starts inherits a mark by which it can be found."""

    process: subprocess.Popen[str]
    folder: Path
    mark: str

    def output(self) -> str:
        return (self.folder.parent / "stdout").read_text()

    def left(self) -> list[str]:
        """The command lines of the processes that carry the mark."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                if self.mark.encode() in (entry / "environ").read_bytes():
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue  # ended meanwhile, or somebody else's
        return found

    def url(self) -> str | None:
        """Where the dashboard is said to be."""
        match = re.search(r"http://127\.0\.0\.1:\d+", self.output())
        return match[0] if match else None


@pytest.fixture
def start(tmp_path: Path) -> Iterator[object]:
    """Starts the demo with arguments; ends it if the test has not."""
    started: list[Demo] = []

    def run(*arguments: str) -> Demo:
        mark, folder = f"demo-{uuid.uuid4().hex}", tmp_path / "run"
        with (tmp_path / "stdout").open("w") as stdout, (tmp_path / "stderr").open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "demo", "--folder", str(folder), "--port", "0", *arguments],
                cwd=REPOSITORY,
                env={**os.environ, "DEMO_MARK": mark},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                text=True,
            )
        started.append(Demo(process, folder, mark))
        return started[-1]

    yield run
    for demo in started:
        if demo.process.poll() is None:
            demo.process.terminate()
        demo.process.wait(timeout=120)
        Postgres(demo.folder / "postgres").remove()  # of a demo that was killed, data is left


def check_nothing_is_left(demo: Demo) -> None:
    """Whatever it started ends soon, if it has not ended yet."""
    wait_until(lambda: not demo.left(), timeout=120, message="what the demo has started to end")


def bus_here() -> bool:
    """Whether the demo has a bus: RabbitMQ is here, or is installed by now."""
    try:
        find_server()
    except RabbitError:
        return False
    return True


def get(url: str) -> str | None:
    """The page, None while there is none."""
    try:
        with urllib.request.urlopen(url, timeout=60) as reply:
            return str(reply.read().decode())
    except OSError:
        return None


def test_the_story_comes_to_the_end_it_must_come_to(start, tmp_path: Path) -> None:
    demo = start("--once")
    assert demo.process.wait(timeout=600) == 0, demo.output() + (tmp_path / "stderr").read_text()
    summary = json.loads(demo.output().splitlines()[-1])
    assert set(summary) == KEYS
    must = expected(distribution())
    assert summary["broken_packages"] == must.broken
    assert summary["unresolved"] == 2
    assert summary["packages"] == summary["resolved"] + 2 == len(distribution().tracked)
    assert summary["builds_complete"] > summary["packages"]
    assert summary["builds_failed"] >= len(must.broken) - 2
    assert summary["builds_spoiled_by_koji"] == len(must.not_counted) == 2
    assert summary["state_changes"] >= summary["events_queued"] > summary["packages"]
    if bus_here():
        assert summary["events_sent"] == summary["events_queued"]
        assert f"{summary['events_sent']} messages were sent on the bus" in demo.output()
        assert "Sample Linux 43 buildroot was fixed" in demo.output()
    else:
        assert summary["events_sent"] == 0
        assert "no message bus" in demo.output()
    check_nothing_is_left(demo)
    assert not (demo.folder / "env").exists()


def test_a_step_that_stalls_is_named_with_what_it_waited_for_and_the_exit_status_says_so(start, tmp_path: Path) -> None:
    demo = start("--once", "--no-bus", "--patience", "0.1")
    assert demo.process.wait(timeout=600) == 1
    error = (tmp_path / "stderr").read_text().splitlines()
    assert "“the first repository” stalled" in error[0]
    assert "not known yet" in error[0]
    assert any("expected ok, found" in line for line in error[1:])
    assert set(json.loads(demo.output().splitlines()[-1])) == KEYS
    check_nothing_is_left(demo)


def test_while_it_runs_pages_are_served_and_koschei_admin_talks_to_it_and_sigterm_ends_it_all(start) -> None:
    demo = start("--no-bus")
    wait_until(lambda: (demo.folder / "env").exists() and demo.url(), timeout=300, message="the address")
    page = wait_until(lambda: get(f"{demo.url()}/"), message="the dashboard")
    assert "Sample Linux 43" in page
    command = f". {demo.folder}/env && koschei-admin status --json"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=120, check=False)
    assert [each["name"] for each in json.loads(done.stdout)["collections"]] == ["f43"], done.stderr
    demo.process.terminate()
    assert demo.process.wait(timeout=120) == 0
    check_nothing_is_left(demo)
    assert get(f"{demo.url()}/") is None


def test_a_demo_that_is_killed_takes_its_processes_with_it(start) -> None:
    demo = start("--no-bus")
    wait_until(lambda: len(demo.left()) > 7, timeout=300, message="the services")
    demo.process.send_signal(signal.SIGKILL)
    demo.process.wait()
    wait_until(lambda: not demo.left(), timeout=120, message="the orphans to end")


def test_a_taken_port_is_named_and_nothing_is_started(start, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        demo = start("--no-bus", "--port", port)
        assert demo.process.wait(timeout=120) == 1
    error = (tmp_path / "stderr").read_text()
    assert f"port {port}" in error
    assert "--port" in error
    assert len(error.splitlines()) == 1
    check_nothing_is_left(demo)


def test_two_demos_do_not_share_a_folder(start, tmp_path: Path) -> None:
    first = start("--no-bus")
    wait_until((first.folder / "env").exists, timeout=300, message="the first demo")
    second = start("--once", "--no-bus")
    assert second.process.wait(timeout=120) == 1
    assert f"Another demo runs in {first.folder}" in (tmp_path / "stderr").read_text()
    assert (first.folder / "env").exists()
