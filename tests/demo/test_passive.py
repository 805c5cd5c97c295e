"""Passive mode against a hub in another process: what it finds is shown, and nobody is asked for anything else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The tiny world of demo.hub, run by itself; the arguments that lead there."""
    topdir = tmp_path_factory.mktemp("koji")
    process = subprocess.Popen(
        [sys.executable, "-m", "demo.hub", "--topdir", str(topdir), "--quick"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    addresses = dict(process.stdout.readline().split() for _ in range(2))
    yield ["--hub", addresses["hub"], "--topurl", addresses["files"]]
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=60) == 0


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo", "--folder", str(folder), "--port", "0", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "DEMO_MARK": str(folder)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def left(folder: Path) -> list[str]:
    """Processes that were started for the folder and still run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"DEMO_MARK={folder}".encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_all_packages_of_a_target_are_resolved_in_its_newest_repository(hub: list[str], tmp_path: Path) -> None:
    found = summary(run(tmp_path, *hub, "--target", "f43", "--once"))
    assert (found["packages"], found["resolved"], found["unresolved"]) == (5, 5, 0)
    assert found["builds_complete"] == 5
    assert found["broken_packages"] == []
    wait_until(lambda: not left(tmp_path), timeout=120, message="what was started to end")


def test_only_the_named_packages_are_looked_after(hub: list[str], tmp_path: Path) -> None:
    found = summary(run(tmp_path, *hub, "--target", "f43", "--packages", "rnv,bash", "--once"))
    assert (found["packages"], found["resolved"], found["builds_complete"]) == (2, 2, 2)
    wait_until(lambda: not left(tmp_path), timeout=120, message="what was started to end")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "nosuch"], "has no target 'nosuch'"),
        (["--target", "f43", "--packages", "rnv,nosuch"], "no packages named nosuch"),
    ],
)
def test_what_koji_does_not_have_is_named(hub: list[str], tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run(tmp_path, *hub, *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    wait_until(lambda: not left(tmp_path), timeout=120, message="what was started to end")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock"]


def test_a_hub_that_cannot_be_reached_is_said_once_and_soon(tmp_path: Path) -> None:
    started = time.monotonic()
    done = run(tmp_path, "--hub", "http://127.0.0.1:1/kojihub")
    assert done.returncode == 1
    assert "http://127.0.0.1:1/kojihub cannot be used" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert time.monotonic() - started < 60
    wait_until(lambda: not left(tmp_path), timeout=120, message="what was started to end")


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "--hub", "koji.example.org")
    assert done.returncode == 1
    assert "koji_config.server" in done.stderr
