"""A repository as a libsolv pool, from a cache file beside the repository when there is one.

libsolv trusts what it reads, so its cache files carry a checksum of ours, and nothing reaches it unchecked.
"""

from __future__ import annotations

import errno
import logging
import os
import tempfile
import zlib
from collections.abc import Collection, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import solv

from koschei.depsolve.compression import plain_chunks
from koschei.depsolve.filelists import small_filelists
from koschei.depsolve.interface import check_arch
from koschei.depsolve.repomd import MAX_OPEN_SIZE
from koschei.depsolve.repository import LocalRepository
from koschei.errors import RepositoryBroken

log = logging.getLogger(__name__)

# Raise it when what is written to the cache changes.
FORMAT = 1
HEADER = 64
# The marker argument of lookup_deparray: 0 asks for all Requires, those of scriptlets included.
ALL_REQUIRES = 0


def load_pool(repository: LocalRepository, arch: str) -> tuple[Any, Any]:
    """A pool with all packages of `repository`, and the libsolv repository they are in. Nothing is indexed yet."""
    pool = solv.Pool()
    pool.setdisttype(solv.Pool.DISTTYPE_RPM)
    check_arch(arch)
    pool.setarch(arch)
    packages = pool.add_repo(repository.key)
    cache = repository.folder / f"libsolv-{version('solv')}-{FORMAT}.solv"
    if not load_cache(packages, cache):
        load_primary(packages, repository)
        save_cache(packages, cache)
    return pool, packages


class PoolRelations:
    """The Relations of an indexed pool; its numbers are libsolv's ids."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    def providers(self, dependency: int) -> Iterable[int]:
        return (package.id for package in self.pool.whatprovides(dependency))

    def requires(self, package: int) -> Iterable[int]:
        found = self.pool.id2solvable(package).lookup_deparray(solv.SOLVABLE_REQUIRES, ALL_REQUIRES)
        return (dependency.id for dependency in found)

    def name(self, package: int) -> str:
        return str(self.pool.id2solvable(package).name)


def load_primary(packages: Any, repository: LocalRepository) -> None:
    # Unpacked to a file: the binding can read no stream of ours.
    with tempfile.NamedTemporaryFile(dir=repository.folder, prefix=".part-") as plain:
        for chunk in plain_chunks(repository.primary, MAX_OPEN_SIZE):
            plain.write(chunk)
        plain.flush()
        add_rpmmd(packages, plain.name, repository.name, 0)


def add_files(packages: Any, owners: Mapping[str, Collection[str]], repository: LocalRepository) -> None:
    """Tell libsolv which packages own some files."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=repository.folder, prefix=".part-") as plain:
        plain.write(small_filelists(owners))
        plain.flush()
        add_rpmmd(packages, plain.name, repository.name, solv.Repo.REPO_EXTEND_SOLVABLES)


def add_rpmmd(packages: Any, path: str, name: str, flags: int) -> None:
    file = solv.xfopen(path)
    if file is None:
        raise RepositoryBroken(f"{path} cannot be opened by libsolv")
    try:
        if not packages.add_rpmmd(file, None, flags):
            raise RepositoryBroken(f"libsolv cannot read the metadata of {name}: {packages.pool.errstr}")
    finally:
        file.close()


def load_cache(packages: Any, cache: Path) -> bool:
    """Whether the packages could be read from the file `cache`."""
    try:
        descriptor = os.open(cache, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        header = os.read(descriptor, HEADER)
        if header != make_header(descriptor):
            log.warning("%s is damaged and made anew", cache)
            return False
        os.lseek(descriptor, HEADER, os.SEEK_SET)
        file = solv.xfopen_fd(None, descriptor)
        try:
            if packages.add_solv(file):
                return True
        finally:
            file.close()
        log.warning("libsolv cannot read %s, it is made anew: %s", cache, packages.pool.errstr)
        packages.empty()
        return False
    finally:
        os.close(descriptor)


def save_cache(packages: Any, cache: Path) -> None:
    """Write the packages to `cache`; a full disk only costs time, again and again, so it is logged."""
    descriptor, temporary = tempfile.mkstemp(prefix=".part-", dir=cache.parent)
    try:
        os.write(descriptor, b" " * HEADER)
        file = solv.xfopen_fd(None, descriptor, "w")
        try:
            if packages.write(file) not in (True, 0) or file.flush() is False:
                raise OSError(errno.EIO, "libsolv could not write all of it")
        finally:
            file.close()
        os.pwrite(descriptor, make_header(descriptor), 0)
        os.replace(temporary, cache)
    except OSError as error:
        log.warning("%s cannot be written: %s", cache, error)
        os.unlink(temporary)
    finally:
        os.close(descriptor)


def make_header(descriptor: int) -> bytes:
    """What the first bytes of a cache file must be, given the rest."""
    position, checksum = HEADER, 0
    while chunk := os.pread(descriptor, 1 << 20, position):
        checksum = zlib.crc32(chunk, checksum)
        position += len(chunk)
    return f"koschei {FORMAT} {position} {checksum:08x}".encode().ljust(HEADER - 1) + b"\n"
