"""The rows the hub keeps, and rows with a history.

Koji never changes a row about tags, package lists, groups or targets: a change revokes the old row at an event and
creates a new one, so that everything can be asked "as of an event". `History` is that idea, indexed by owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import koji

from .values import Binary, SourcePackage

T = TypeVar("T")


@dataclass
class Entry(Generic[T]):
    """One row: valid from create_event until revoke_event (None: still)."""

    value: T
    create_event: int
    creator: int
    revoke_event: int | None = None
    revoker: int | None = None

    def at(self, event: int | None) -> bool:
        if event is None:
            return self.revoke_event is None
        return self.create_event <= event and (self.revoke_event is None or event < self.revoke_event)


class History(Generic[T]):
    """Rows by owner (a tag, a target), each with its lifetime in events."""

    def __init__(self) -> None:
        self._rows: dict[int, list[Entry[T]]] = {}

    def add(self, owner: int, value: T, event: int, user: int) -> Entry[T]:
        entry = Entry(value, event, user)
        self._rows.setdefault(owner, []).append(entry)
        return entry

    def active(self, owner: int, event: int | None = None) -> list[Entry[T]]:
        return [entry for entry in self._rows.get(owner, ()) if entry.at(event)]

    def all(self, owner: int) -> list[Entry[T]]:
        return list(self._rows.get(owner, ()))

    def __iter__(self) -> Iterator[Entry[T]]:
        for entries in self._rows.values():
            yield from entries


@dataclass(frozen=True)
class User:
    id: int
    name: str
    password: str | None = None
    admin: bool = False
    krb_principals: tuple[str, ...] = ()
    usertype: int = 0  # koji.USERTYPES; 1 is a builder
    permissions: frozenset[str] = frozenset()
    may_choose_repo: bool = False  # what the policy build_from_repo_id says; a policy is no permission


@dataclass
class Host:
    """A builder. `load` is what other people's work adds to the weight of the tasks it runs here."""

    id: int
    name: str
    user_id: int
    arches: str
    capacity: float
    enabled: bool = True
    ready: bool = True
    load: float = 0.0
    update_ts: float | None = None
    channels: set[str] = field(default_factory=lambda: {"default", "createrepo"})


@dataclass(frozen=True)
class Tag:
    id: int
    name: str
    create_event: int


@dataclass(frozen=True)
class TagConfig:
    arches: str = ""
    locked: bool = False
    extra: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class Parent:
    """One line of inheritance: `child` takes over what `parent` has."""

    child_id: int
    parent_id: int
    priority: int


@dataclass(frozen=True)
class Listed:
    """A package in a tag's package list."""

    package_id: int
    owner_id: int
    blocked: bool = False
    extra_arches: str | None = None


@dataclass(frozen=True)
class GroupMember:
    group: str
    package: str
    type: str = "mandatory"


@dataclass(frozen=True)
class Target:
    id: int
    name: str
    build_tag: int
    dest_tag: int


@dataclass
class Build:
    """A build of a source package; its times are seconds since 1970."""

    id: int
    source: SourcePackage
    package_id: int
    owner_id: int
    creation_event: int
    creation_ts: float
    start_ts: float
    state: int = koji.BUILD_STATES["COMPLETE"]
    completion_ts: float | None = None
    task_id: int | None = None
    url: str | None = None
    rpms: list[Rpm] = field(default_factory=list)

    @property
    def nvr(self) -> str:
        return self.source.nvr


@dataclass(frozen=True)
class Rpm:
    """An RPM of a build; the source RPM has no `binary`."""

    id: int
    build: Build
    binary: Binary | None
    arch: str
    buildtime: int

    @property
    def name(self) -> str:
        return self.binary.name if self.binary else self.build.source.name

    @property
    def version(self) -> str:
        return (self.binary.version if self.binary else None) or self.build.source.version

    @property
    def nvra(self) -> str:
        return f"{self.name}-{self.version}-{self.build.source.release}.{self.arch}"
