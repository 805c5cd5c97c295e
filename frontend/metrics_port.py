"""The metrics of all worker processes together, on a port of their own that no route from outside leads to.

Any worker answers there, for all of them: each keeps its numbers in files that the others read. A thread of the parent
process could serve them as well, but the parent forks, and what its threads hold at that moment is held for ever.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class Slots:
    """Numbers of worker processes, from 1; 0 is their parent. One who follows another has its number, and its files.

    By process ids there would be files for each worker that ever was, and workers are replaced every now and then.
    """

    def __init__(self) -> None:
        self._mine = 0

    def mine(self) -> int:
        """The number of this process."""
        return self._mine

    def give(self, arbiter: Any, worker: Any) -> None:
        """Give a worker that is about to be forked the lowest free number."""
        taken = {getattr(other, "slot", 0) for other in arbiter.WORKERS.values()}
        worker.slot = next(number for number in range(1, len(taken) + 2) if number not in taken)

    def take(self, _arbiter: Any, worker: Any) -> None:
        """Be that worker."""
        self._mine = worker.slot


@contextmanager
def kept_in_files(slots: Slots) -> Iterator[None]:
    """Have the numbers kept in files of a folder that lasts as long as the block.

    Before any metric is made: the modules that make some are to be imported within it.
    """
    folder, parent = tempfile.mkdtemp(prefix="koschei-metrics-"), os.getpid()
    os.environ[FOLDER] = folder
    values.ValueClass = values.MultiProcessValue(slots.mine)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        # Workers are forked within the block, and leave it, too.
        if os.getpid() == parent:
            shutil.rmtree(folder)


class MetricsPort:
    """Answers for the metrics' port, and leaves every other to the pages."""

    def __init__(self, pages: WSGIApplication, port: int) -> None:
        self._pages, self._port = pages, str(port)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """By the port that the connection came in on, which nobody outside can make up."""
        if environ["SERVER_PORT"] != self._port:
            return self._pages(environ, start_response)
        if environ["PATH_INFO"] != "/metrics" or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _answer(start_response, "404 Not Found", "text/plain; charset=utf-8", b"this port has /metrics\n")
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return _answer(start_response, "200 OK", CONTENT_TYPE_LATEST, generate_latest(registry))


def _answer(start_response: StartResponse, status: str, content_type: str, body: bytes) -> Iterable[bytes]:
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    start_response(status, headers)
    return [body]
