"""`koschei-admin compare-engines` with the real libdnf5, on a small hub. Only `make test-libdnf5` runs this.

The command is a process of its own: here, createrepo_c makes the hub's repositories, and it does not go with libdnf5.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.koji_world import KojiWorld, koji_world
from tests.resolving import SOURCES, examine

COMMAND = "from admin.main import main; main()"


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, SOURCES) as world:
        world.poll()
        examine(world)
        yield world


def run(world: KojiWorld, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    settings = world.config.koji_config
    env = {
        **os.environ,
        "KOSCHEI__DB_URL": url,
        "KOSCHEI__KOJI_CONFIG__SERVER": settings.server,
        "KOSCHEI__KOJI_CONFIG__TOPURL": settings.topurl,
        "KOSCHEI__DIRECTORIES__CACHEDIR": str(world.config.directories.cachedir),
    }
    command = [sys.executable, "-c", COMMAND, "compare-engines", "-c", "f43", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_both_solvers_are_asked_about_a_collection(world: KojiWorld, database_url: str) -> None:
    result = run(world, database_url, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert (found["compared"], found["differences"], found["left_out"]) == (len(SOURCES) + 2, [], [])
    assert list(found["seconds"]) == ["solv", "libdnf5"]
    shown = run(world, database_url, "far")
    assert shown.stdout.startswith("1 packages of f43 in repository ")
    assert ": 0 differences; solv took " in shown.stdout
