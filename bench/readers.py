"""Readers of the real frontend: who load pages over HTTP all the while, and what became of each request."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

START_TIMEOUT = 60.0
REQUEST_TIMEOUT = 60.0
# Between two requests of one reader.
PAUSE = 0.02


@contextmanager
def frontend(environ: Mapping[str, str], port: int) -> Iterator[None]:
    """`koschei-frontend` as it is installed, answering. Errors: RuntimeError when it does not."""
    script = Path(sys.executable).parent / "koschei-frontend"
    process = subprocess.Popen(
        [script, "--bind", f"127.0.0.1:{port}"], env=dict(environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"koschei-frontend does not answer (exit status {process.poll()})")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(60)


def answers(port: int) -> bool:
    """Whether the frontend is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Readers:
    """Some readers of the same pages, each beginning elsewhere. Anything but 200 is a failure."""

    def __init__(self, base: str, paths: list[str], number: int) -> None:
        self.address = urlsplit(base)
        self.paths = paths
        self.waits: list[float] = []
        self.failures: list[str] = []
        self._done = threading.Event()
        first = [len(paths) * place // number for place in range(number)]
        self._threads = [threading.Thread(target=self._read, args=(place,)) for place in first]

    def start(self) -> None:
        """Begin to read."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the requests that are under way, and end."""
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _read(self, place: int) -> None:
        while True:
            path = self.paths[place % len(self.paths)]
            begin = time.monotonic()
            failure = self._load(path)
            self.waits.append(time.monotonic() - begin)
            if failure:
                self.failures.append(f"{path}: {failure}")
            place += 1
            if self._done.wait(PAUSE):
                return

    def _load(self, path: str) -> str | None:
        """Load a page; what was wrong with it."""
        connection = http.client.HTTPConnection(self.address.netloc, timeout=REQUEST_TIMEOUT)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()
        return None if answer.status == 200 and body else f"{answer.status}, {len(body)} bytes"
