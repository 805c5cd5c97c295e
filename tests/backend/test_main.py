"""koschei-backend as it is called: what it says before a service runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.backend.conftest import REPOSITORY


def test_statements_are_logged_on_demand(empty_database_url: str, tmp_path: Path) -> None:
    """On a database without tables it ends at once, with exit status 3."""
    config = tmp_path / "settings.toml"
    config.write_text(f'db_url = "{empty_database_url}"\nservices.scheduler.health_port = 0\n')
    command = [sys.executable, "-m", "backend.main", "-s", "scheduler"]
    env = {"KOSCHEI_CONFIG": str(config), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60, check=False)
    *lines, last = done.stderr.splitlines()
    assert (done.returncode, last.startswith("koschei-backend: ")) == (3, True), done.stderr
    said = [json.loads(line) for line in lines]
    assert any(line["event"].startswith("SELECT ") for line in said)
    assert {line["service"] for line in said} == {"scheduler"}
