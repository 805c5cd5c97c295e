"""What a dependency solver answers, and how it is asked; engines.py has the solvers.

A repository is opened once with everything that will be asked of it (libraries number their dependencies when a
repository is loaded), then asked package by package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from koschei.errors import ConfigError

if TYPE_CHECKING:
    from koschei.depsolve.repository import LocalRepository


@dataclass(frozen=True, slots=True, order=True)
class Nevra:
    """A binary package: name, epoch (0 when it has none), version, release, architecture. The order is not RPM's."""

    name: str
    epoch: int
    version: str
    release: str
    arch: str

    def __str__(self) -> str:
        epoch = f"{self.epoch}:" if self.epoch else ""
        return f"{self.name}-{epoch}{self.version}-{self.release}.{self.arch}"

    @classmethod
    def parse(cls, text: str) -> Nevra:
        """The package that `str()` or any RPM tool writes as `name-[epoch:]version-release.arch`; else ValueError."""
        rest, dot, arch = text.rpartition(".")
        parts = rest.rsplit("-", 2)
        if not dot or len(parts) != 3 or not parts[0]:
            raise ValueError(f"{text!r} is not of the form name-[epoch:]version-release.arch")
        name, version, release = parts
        epoch, colon, bare = version.partition(":")
        if not colon:
            return cls(name, 0, version, release, arch)
        if not (epoch.isascii() and epoch.isdigit()):
            raise ValueError(f"{text!r} has an epoch that is not a number")
        return cls(name, int(epoch), bare, release, arch)


@dataclass(frozen=True, slots=True)
class Answer:
    """What would be installed, or why nothing can be.

    `problems` are sentences for people, sorted, none when resolved. `installed` is empty when unresolved, and never
    contains a source package.
    """

    resolved: bool
    problems: tuple[str, ...]
    installed: frozenset[Nevra]


class Resolver(Protocol):
    """One repository, one build group and a fixed set of requests. Not for several threads at once."""

    def base(self) -> Answer:
        """The base buildroot: the build group alone."""
        ...

    def resolve(self, key: str) -> Answer:
        """The build group and the BuildRequires of request `key`; the same whatever was asked before."""
        ...

    def distances(self, key: str) -> Mapping[str, int]:
        """How far binary package names are from the BuildRequires of `key`: 1 satisfies one itself, up to 4.

        A name that cannot be reached in four steps is absent. The build group does not count.
        """
        ...

    def close(self) -> None:
        """Give the memory back; the resolver cannot be asked any more."""
        ...


class Engine(Protocol):
    """A solver library."""

    def open(
        self,
        repository: LocalRepository,
        *,
        build_group: Sequence[str],
        requests: Mapping[str, Sequence[str]],
        ignore_weak_deps: bool,
        arch: str,
    ) -> Resolver:
        """Load `repository` for packages of `arch`; `requests` are BuildRequires by source package name.

        Raises RepositoryBroken when the solver cannot read it, and RepositoryError or RepositoryGone when file lists
        turn out to be needed and cannot be had.
        """
        ...


def check_arch(arch: str) -> None:
    """Raises ConfigError when `arch` cannot be the name of an architecture; libraries take anything."""
    if not arch.isascii() or not arch.isidentifier():
        raise ConfigError(f"dependency.resolve_for_arch: {arch!r} is not the name of an architecture")
