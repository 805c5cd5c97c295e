"""Where repositories come from: an address, or a folder."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx

from koschei.errors import RepositoryBroken, RepositoryError, RepositoryGone

GONE = (404, 410)
# The server is in trouble and says so; everything else that is not success means that we asked for the wrong thing.
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
# So little in a quarter of an hour is no download: see backend.health.
STEP = 1 << 20


class Source(Protocol):
    """A repository that is somewhere else."""

    name: str

    def fetch(self, href: str, target: Path, limit: int) -> None:
        """Write the file `href` of the repository to `target`; RepositoryBroken if it is longer than `limit` bytes."""
        ...


class FolderSource:
    """A repository in a local folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)

    def fetch(self, href: str, target: Path, limit: int) -> None:
        source = self.folder / href
        try:
            if source.stat().st_size > limit:
                raise RepositoryBroken(f"{source} is longer than the {limit} bytes it may have")
            shutil.copyfile(source, target)
        except FileNotFoundError as error:
            raise RepositoryGone(f"There is no {source}") from error
        except OSError as error:
            raise RepositoryError(f"{source} cannot be read: {error}") from error


class HttpSource:
    """A repository at an http or https address.

    `timeout` in seconds is for connecting and for each read. Trouble is tried again `retries` times, with growing
    pauses that begin around `pause` seconds; `stop` ends the waiting. `alive` is told of each attempt and each STEP
    bytes: not while a server drips.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        retries: int,
        pause: float,
        stop: threading.Event,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = url
        self.url = url.rstrip("/")
        self.timeout = timeout
        self.retries = retries
        self.pause = pause
        self.stop = stop
        self.alive = alive

    def fetch(self, href: str, target: Path, limit: int) -> None:
        url = f"{self.url}/{href}"
        # Koji's servers label .gz files as gzip encoding; asked for identity and read raw, a file stays what it is.
        headers = {"Accept-Encoding": "identity", "User-Agent": "koschei"}
        attempt = 0
        with httpx.Client(timeout=self.timeout, follow_redirects=True, headers=headers) as client:
            while True:
                self.alive()
                try:
                    return self.try_once(client, url, target, limit)
                except (httpx.TransportError, TemporaryTroubleError) as error:
                    attempt += 1
                    if attempt > self.retries:
                        raise RepositoryError(
                            f"{url} could not be fetched in {attempt} attempts: {error or type(error).__name__}"
                        ) from error
                    delay = self.pause * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)  # noqa: S311 - only jitter
                    if self.stop.wait(delay):
                        raise RepositoryError(f"{url} was not fetched: we are stopping") from error
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    raise RepositoryError(f"{url} cannot be fetched: {error}") from error

    def try_once(self, client: httpx.Client, url: str, target: Path, limit: int) -> None:
        with client.stream("GET", url) as response:
            if response.status_code in GONE:
                raise RepositoryGone(f"{url} is not there (HTTP status {response.status_code})")
            if response.status_code in TEMPORARY:
                raise TemporaryTroubleError(f"HTTP status {response.status_code}")
            if response.status_code != httpx.codes.OK:
                raise RepositoryError(f"{url} cannot be fetched: HTTP status {response.status_code}")
            size = told = 0
            with target.open("wb") as out:
                for chunk in response.iter_raw():
                    size += len(chunk)
                    if size > limit:
                        raise RepositoryBroken(f"{url} is longer than the {limit} bytes it may have")
                    if self.stop.is_set():
                        raise RepositoryError(f"{url} was not fetched: we are stopping")
                    if size - told >= STEP:
                        told = size
                        self.alive()
                    out.write(chunk)


class TemporaryTroubleError(Exception):
    """An answer that may be different next time."""
