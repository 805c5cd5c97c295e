"""Locks between processes that the kernel drops when their holder dies: flock on files of a cache folder."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL = 0.05


def try_lock(path: Path, operation: int, *, create: bool = False) -> int | None:
    """A descriptor of `path` that holds LOCK_SH or LOCK_EX, or None if that is taken or the file is not there.

    A file may be removed between being opened and locked, so the lock counts only if the path still leads to it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o644)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass  # taken, or removed meanwhile: either way not ours
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


@contextmanager
def exclusive(path: Path, stop: threading.Event) -> Iterator[bool]:
    """Hold the lock file `path`, which exists only meanwhile; False, and no lock, when `stop` was set first."""
    while (descriptor := try_lock(path, fcntl.LOCK_EX, create=True)) is None:
        if stop.wait(POLL):
            yield False
            return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
