"""What operators do is seen by people: through the real `koschei-frontend`, while it serves."""

from __future__ import annotations

import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from koschei.db.engine import Database
from tests.frontend.test_gunicorn import free_port
from tests.guide.effects import EFFECTS, EVERYWHERE
from tests.guide.guide import SCRIPTS, VERBATIM, Installation, prepare
from tests.guide.pages import Answer, Fetch, Sight
from tests.support import wait_until

# In this order; what each takes away is not needed by those behind it.
HANDFUL = [
    line
    for line in VERBATIM
    if line.split(" ")[1] in ("set-notice", "clear-notice", "--collection", "branch-collection", "delete-collection")
]


@contextmanager
def served(installation: Installation, url: str, folder: Path) -> Iterator[Fetch]:
    """The frontend's own server on this database, and how to ask it."""
    port = free_port()
    log = folder / "log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [SCRIPTS / "koschei-frontend", "--bind", f"127.0.0.1:{port}"],
            env={**installation.environ(url), "WEB_CONCURRENCY": "2"},
            stdout=output,
            stderr=output,
            cwd=folder,
        )

    def fetch(address: str) -> Answer:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{address}", timeout=60) as response:
                return Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read().decode())
        except OSError:
            return Answer(0, "")

    try:
        wait_until(lambda: fetch("/healthz/ready").status == 200, 60, "the frontend to be ready")
        yield fetch
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0, log.read_text()
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def test_what_operators_know_by_heart_is_seen_on_the_pages_of_the_running_frontend(
    installation: Installation, database: Database, tmp_path: Path
) -> None:
    assert len(HANDFUL) == 5
    with served(installation, database.url, tmp_path) as fetch:
        for line in HANDFUL:
            with database.begin() as session:
                prepare(session, line)
            result = installation.run(database.url, line)
            assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
            effect = EFFECTS[line]
            assert isinstance(effect, list)
            sights = [Sight("/" if s.page == EVERYWHERE else s.page, s.text, s.there) for s in effect]
            assert [str(sight) for sight in sights if not sight.holds(fetch)] == []
