"""Repositories taken in: a folder of checked, sorted metadata that several processes share.

An entry is a folder that appears by one rename, complete. Who uses one holds a shared lock on its `entry.json`, so
that only unused ones are evicted; who makes one holds `.prepare-KEY.lock`. All locks go with their process, and what a
killed one leaves behind (`.tmp-*`, `.trash-*`) the next one removes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from koschei.depsolve.download import FolderSource, HttpSource, Source
from koschei.depsolve.filelists import find_owners
from koschei.depsolve.locks import exclusive, try_lock
from koschei.depsolve.primary import take_in_primary
from koschei.depsolve.repomd import Checksum, MetadataFile, parse_repomd
from koschei.errors import RepositoryBroken, RepositoryError, RepositoryGone

log = logging.getLogger(__name__)

# Raise it when the content of an entry changes; older entries are then fetched anew.
FORMAT = 1
MAX_REPOMD = 16 << 20
ENTRY = "entry.json"
PRIMARY = "primary.xml.zst"
FILELISTS = "filelists"
OWNERS = "owners.json"
KEY = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,199}")


class LocalRepository:
    """A repository that has been taken in. It cannot be evicted until it is closed, or forgotten.

    `folder` also has room for what solvers want to remember about it. `file_dependencies` are the files that its
    packages require, conflict with, and so on.
    """

    def __init__(
        self, cache: RepositoryCache, source: Source, folder: Path, entry: Mapping[str, Any], lock: int
    ) -> None:
        self.folder = folder
        self.key = folder.name
        self.name = source.name
        self.primary = folder / PRIMARY
        self.file_dependencies = frozenset[str](entry["file_dependencies"])
        self.cache = cache
        self.source = source
        self.filelists = metadata_from(entry["filelists"])
        self.close = weakref.finalize(self, os.close, lock)

    def __enter__(self) -> LocalRepository:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalRepository {self.key} of {self.name}>"

    def owners(self, paths: Collection[str]) -> Mapping[str, Collection[str]]:
        """By file, the checksums of the packages that the file lists say own it. Fetches them when first needed.

        Raises what `RepositoryCache.take_in` raises. Empty when the repository has no file lists.
        """
        if self.filelists is None:
            return {}
        known = self.known_owners()
        if not known.keys() >= set(paths):
            with self.cache.preparing(self.key):
                known = self.known_owners()
                missing = set(paths) - known.keys()
                if missing:
                    packed = self.fetch_filelists(self.filelists)
                    known |= find_owners(packed, self.filelists, missing)
                    write_atomically(self.folder / OWNERS, json.dumps(known).encode())
        return {path: known[path] for path in paths}

    def known_owners(self) -> dict[str, list[str]]:
        try:
            known = json.loads((self.folder / OWNERS).read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError:
            log.warning("%s is damaged and made anew", self.folder / OWNERS)
            return {}
        return known if isinstance(known, dict) else {}

    def fetch_filelists(self, metadata: MetadataFile) -> Path:
        target = self.folder / FILELISTS
        if target.exists():
            try:
                metadata.check(target)
            except RepositoryBroken as error:
                log.warning("%s is damaged and fetched anew: %s", target, error)
            else:
                return target
        part = self.folder / ".part"
        fetch_checked(self.source, metadata, part)
        part.rename(target)
        return target


class RepositoryCache:
    """The repositories on this machine, at most `capacity` of them but for those in use, the last used being kept.

    `timeout` (seconds), `retries` and `retry_pause` (seconds, doubling) are for downloads; setting `stop` ends waiting,
    `alive` is told how they go on.
    """

    def __init__(
        self,
        folder: Path,
        capacity: int,
        *,
        timeout: float = 60.0,
        retries: int = 4,
        retry_pause: float = 1.0,
        stop: threading.Event | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder = folder
        self.capacity = capacity
        self.timeout = timeout
        self.retries = retries
        self.retry_pause = retry_pause
        self.stop = stop or threading.Event()
        self.alive = alive
        folder.mkdir(parents=True, exist_ok=True)
        self.clean_up()

    def take_in(self, url: str, key: str) -> LocalRepository:
        """The repository at `url` (which has a `repodata`), from the cache if it is there under `key`.

        RepositoryGone when it is not there (any more), RepositoryBroken when it is wrong in itself, RepositoryError
        when it could not be reached or `stop` was set. None of them leaves anything behind.
        """
        source = HttpSource(
            url,
            timeout=self.timeout,
            retries=self.retries,
            pause=self.retry_pause,
            stop=self.stop,
            alive=self.alive,
        )
        return self.take_in_from(source, key)

    def local(self, folder: Path) -> LocalRepository:
        """The same for a repository in a local folder, which is only read."""
        folder = folder.resolve()
        try:
            repomd = (folder / "repodata/repomd.xml").read_bytes()
        except OSError as error:
            raise RepositoryGone(f"There is no repository in {folder}: {error}") from error
        digest = hashlib.sha256(repomd + bytes(folder)).hexdigest()
        return self.take_in_from(FolderSource(folder), f"local-{digest[:24]}")

    def take_in_from(self, source: Source, key: str) -> LocalRepository:
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} cannot be the name of a folder")
        repository = self.use(source, key)
        if repository is None:
            with self.preparing(key):
                # Another process may have made it while we waited for the lock.
                repository = self.use(source, key) or self.prepare(source, key)
            self.evict()
        return repository

    @contextmanager
    def preparing(self, key: str) -> Iterator[None]:
        with exclusive(self.folder / f".prepare-{key}.lock", self.stop) as locked:
            if not locked:
                raise RepositoryError(f"Repository {key} was not taken in: we are stopping")
            yield

    def use(self, source: Source, key: str) -> LocalRepository | None:
        """The entry, locked, if it is there and in order."""
        folder = self.folder / key
        lock = try_lock(folder / ENTRY, fcntl.LOCK_SH)
        if lock is None:
            return None
        try:
            entry = json.loads((folder / ENTRY).read_bytes())
            if entry["format"] != FORMAT or entry["source"] != source.name:
                raise RepositoryBroken("it is of another format or place")
            with (folder / PRIMARY).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
                    raise RepositoryBroken("the checksum of its primary is wrong")
            repository = LocalRepository(self, source, folder, entry, lock)
        except (OSError, ValueError, KeyError, TypeError, RepositoryBroken) as error:
            log.warning("cached repository %s is discarded: %s: %s", key, type(error).__name__, error)
            os.close(lock)
            return None
        touch(folder)
        return repository

    def prepare(self, source: Source, key: str) -> LocalRepository:
        """Fetch it and put it in place of whatever is there. The caller holds the lock for it."""
        folder = self.folder / key
        lock = None
        try:
            temporary = Path(tempfile.mkdtemp(prefix=f".tmp-{key}=", dir=self.folder))
            try:
                entry = fetch_entry(source, temporary)
                (temporary / ENTRY).write_text(json.dumps(entry))
                # Locked before it can be seen, or it might be evicted before it is used.
                lock = try_lock(temporary / ENTRY, fcntl.LOCK_SH)
                assert lock is not None
                touch(temporary)
                if folder.exists():
                    self.discard(folder)
                temporary.rename(folder)
                return LocalRepository(self, source, folder, entry, lock)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)  # not there when all went well
        except OSError as error:
            if lock is not None:
                os.close(lock)
            raise RepositoryError(f"Repository {key} cannot be written to {self.folder}: {error}") from error

    def discard(self, folder: Path) -> None:
        trash = Path(tempfile.mkdtemp(prefix=".trash-", dir=self.folder))
        try:
            folder.rename(trash / "it")
        except FileNotFoundError:
            log.debug("%s was discarded by someone else", folder)
        # Another process may be clearing the trash at the same time.
        shutil.rmtree(trash, ignore_errors=True)

    def evict(self) -> None:
        """Remove the least recently used entries that nobody uses until the rest fits the capacity."""
        ages = []
        for folder in self.folder.iterdir():
            try:
                if not folder.name.startswith("."):
                    ages.append((folder.stat().st_mtime_ns, folder))
            except FileNotFoundError:
                continue  # evicted by another process
        excess = len(ages) - self.capacity
        for _, folder in sorted(ages):
            if excess <= 0:
                return
            lock = try_lock(folder / ENTRY, fcntl.LOCK_EX)
            if lock is None:
                continue
            try:
                self.discard(folder)
            finally:
                os.close(lock)
            excess -= 1
        if excess > 0:
            log.warning("%d more repositories than the %d allowed are in use", excess, self.capacity)

    def clean_up(self) -> None:
        """Remove what killed processes left behind."""
        for folder in self.folder.glob(".trash-*"):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in self.folder.glob(".tmp-*=*"):
            key = folder.name.removeprefix(".tmp-").rpartition("=")[0]
            lock_file = self.folder / f".prepare-{key}.lock"
            lock = try_lock(lock_file, fcntl.LOCK_EX, create=True)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                lock_file.unlink(missing_ok=True)
                os.close(lock)
        for lock_file in self.folder.glob(".prepare-*.lock"):
            lock = try_lock(lock_file, fcntl.LOCK_EX)
            if lock is not None:
                lock_file.unlink(missing_ok=True)
                os.close(lock)


def fetch_entry(source: Source, folder: Path) -> dict[str, Any]:
    """Fetch, check and sort a repository into `folder`; returns the content of its entry.json."""
    repomd = folder / "repomd.xml"
    source.fetch("repodata/repomd.xml", repomd, MAX_REPOMD)
    try:
        files = parse_repomd(repomd)
        packed = folder / "packed"
        fetch_checked(source, files["primary"], packed)
        file_dependencies = take_in_primary(packed, files["primary"], folder / PRIMARY, folder / "plain")
        packed.unlink()
    except RepositoryBroken as error:
        raise RepositoryBroken(f"Repository {source.name} cannot be used: {error}") from error
    with (folder / PRIMARY).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "format": FORMAT,
        "source": source.name,
        "sha256": digest,
        "file_dependencies": sorted(file_dependencies),
        "filelists": asdict(files["filelists"]) if "filelists" in files else None,
    }


def fetch_checked(source: Source, metadata: MetadataFile, target: Path) -> None:
    source.fetch(metadata.href, target, metadata.max_size)
    metadata.check(target)


def metadata_from(value: Any) -> MetadataFile | None:
    """The inverse of dataclasses.asdict."""
    if value is None:
        return None
    opened = value["open_checksum"]
    return MetadataFile(
        href=value["href"],
        checksum=Checksum(**value["checksum"]),
        open_checksum=Checksum(**opened) if opened else None,
        size=value["size"],
        open_size=value["open_size"],
    )


def touch(folder: Path) -> None:
    """It is used now: to the nanosecond, where the system's own times can be milliseconds apart."""
    now = time.time_ns()
    os.utime(folder, ns=(now, now))


def write_atomically(path: Path, content: bytes) -> None:
    """Make `path` hold `content`, at once or not at all."""
    descriptor, temporary = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)
