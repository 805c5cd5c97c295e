"""`koschei-frontend` for real: gunicorn, workers, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from demo.ports import free_port
from koschei.db.engine import Database
from tests.frontend.conftest import SECRET_KEY
from tests.support import wait_until
from tests.world import filling

COMMAND = [sys.executable, "-c", "from frontend.main import main; main()"]
REPOSITORY = Path(__file__).parents[2]


def environment(folder: Path, config: str, **more: str) -> dict[str, str]:
    """An environment as bare as a container's: no home, our settings."""
    (folder / "koschei.toml").write_text(config)
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    return {**kept, "KOSCHEI_CONFIG": str(folder / "koschei.toml"), "PYTHONPATH": str(REPOSITORY), **more}


def test_it_serves_and_ends_when_told(tmp_path: Path, database: Database) -> None:
    with filling(database) as world:
        world.package("hello", world.collection("f44", "Fedora Rawhide"))
    config = f'db_url = "{database.url}"\n[flask]\nSECRET_KEY = "{SECRET_KEY}"\n'
    port = free_port()
    log = tmp_path / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [*COMMAND, "--bind", f"127.0.0.1:{port}"],
            env=environment(tmp_path, config, WEB_CONCURRENCY="2"),
            stdout=output,
            stderr=output,
            cwd=tmp_path,
        )
    try:

        def page() -> str:
            assert server.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/packages", timeout=60) as response:
                    return str(response.read().decode())
            except OSError:
                return ""

        assert ">hello</a>" in wait_until(page, 60, "the frontend to answer")
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0, log.read_text()
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    assert {path.name for path in tmp_path.iterdir()} == {"koschei.toml", "log"}
    assert "Traceback" not in log.read_text()


def test_it_says_what_is_missing_or_wrong_and_does_not_start(tmp_path: Path) -> None:
    def refused(config: str, **more: str) -> str:
        reply = subprocess.run(
            COMMAND, env=environment(tmp_path, config, **more), capture_output=True, text=True, check=False, timeout=60
        )
        assert reply.returncode == 1
        assert "Traceback" not in reply.stderr
        return reply.stderr

    assert "SECRET_KEY" in refused("")
    assert "WEB_CONCURRENCY" in refused(f'[flask]\nSECRET_KEY = "{SECRET_KEY}"\n', WEB_CONCURRENCY="many")
