"""What Koji tells us about, as values. Each is made from an answer by `from_koji`, which refuses what makes no sense.

`method` is the name of the call that was answered, for the error. Times are UTC. Names of the fields are the hub's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any, Self

from koschei.koji.answers import Row
from koschei.rules.verdict import TaskState

__all__ = [
    "BuildState",
    "Host",
    "Repo",
    "RepoState",
    "SrpmFacts",
    "TaggedBuild",
    "TaggedPackage",
    "Target",
    "Task",
    "TaskState",
]


class RepoState(IntEnum):
    """State of a repository, in Koji's numbering."""

    INIT = 0
    READY = 1
    EXPIRED = 2
    DELETED = 3
    PROBLEM = 4


class BuildState(IntEnum):
    """State of a real build, in Koji's numbering."""

    BUILDING = 0
    COMPLETE = 1
    DELETED = 2
    FAILED = 3
    CANCELED = 4


@dataclass(frozen=True)
class Target:
    """A build target: builds take their buildroot from one tag and end up in another."""

    name: str
    build_tag: str
    dest_tag: str

    @classmethod
    def from_koji(cls, method: str, answer: object) -> Self:
        row = Row(method, answer)
        return cls(row.text("name"), build_tag=row.text("build_tag_name"), dest_tag=row.text("dest_tag_name"))


@dataclass(frozen=True)
class Repo:
    """A repository that Koji made of a tag, as of `create_event`."""

    id: int
    tag: str
    state: RepoState
    create_event: int
    created: datetime | None

    @property
    def usable(self) -> bool:
        """Whether its files are there: an expired one is kept for a while, for builds that use it."""
        return self.state in (RepoState.READY, RepoState.EXPIRED)

    @classmethod
    def from_koji(cls, method: str, answer: object) -> Self:
        row = Row(method, answer)
        return cls(
            id=row.number("id"),
            tag=row.text("tag_name"),
            state=row.state("state", RepoState),
            create_event=row.number("create_event"),
            created=row.moment_or_none("creation"),
        )


@dataclass(frozen=True)
class TaggedBuild:
    """A build in a tag; `tag` is the one it is really in, `task_id` None when it was imported."""

    build_id: int
    name: str
    epoch: int | None
    version: str
    release: str
    task_id: int | None
    tag: str
    completed: datetime | None
    state: BuildState
    volume: str = "DEFAULT"

    @property
    def nvr(self) -> str:
        return f"{self.name}-{self.version}-{self.release}"

    @classmethod
    def from_koji(cls, method: str, answer: object) -> Self:
        row = Row(method, answer)
        return cls(
            build_id=row.number("build_id"),
            name=row.text("package_name"),
            epoch=row.number_or_none("epoch"),
            version=row.text("version"),
            release=row.text("release"),
            task_id=row.number_or_none("task_id"),
            tag=row.text("tag_name"),
            completed=row.moment_or_none("completion"),
            state=row.state("state", BuildState),
            volume=row.text_or_empty("volume_name") or "DEFAULT",
        )


@dataclass(frozen=True)
class TaggedPackage:
    """A package in the package list of a tag."""

    name: str
    blocked: bool

    @classmethod
    def from_koji(cls, method: str, answer: object) -> Self:
        row = Row(method, answer)
        return cls(row.text("package_name"), blocked=row.flag("blocked"))


@dataclass(frozen=True)
class Task:
    """A task; `request` is the list of its arguments, None when it was not asked for."""

    id: int
    method: str
    arch: str
    label: str | None
    state: TaskState
    created: datetime
    finished: datetime | None
    parent: int | None
    owner: int | None
    request: tuple[Any, ...] | None

    @classmethod
    def from_koji(cls, method: str, answer: object) -> Self:
        row = Row(method, answer)
        return cls(
            id=row.number("id"),
            method=row.text("method"),
            arch=row.text_or_empty("arch"),
            label=row.text_or_empty("label") or None,
            state=row.state("state", TaskState),
            created=row.moment("create"),
            finished=row.moment_or_none("completion"),
            parent=row.number_or_none("parent"),
            owner=row.number_or_none("owner"),
            request=row.list_or_none("request"),
        )


@dataclass(frozen=True)
class Host:
    """A builder; `load` and `capacity` are weights of tasks, `ready` whether it takes new ones."""

    id: int
    name: str
    arches: tuple[str, ...]
    capacity: float
    load: float
    ready: bool

    @classmethod
    def from_koji(cls, method: str, answer: object) -> Self:
        row = Row(method, answer)
        return cls(
            id=row.number("id"),
            name=row.text("name"),
            arches=row.words("arches"),
            capacity=row.amount("capacity"),
            load=row.amount("task_load"),
            ready=row.flag("ready"),
        )


@dataclass(frozen=True)
class SrpmFacts:
    """What never changes about a source package: its BuildRequires and its architecture headers."""

    name: str
    version: str
    release: str
    build_requires: tuple[str, ...] = ()
    buildarchs: tuple[str, ...] = ()
    exclusivearch: tuple[str, ...] = ()
    excludearch: tuple[str, ...] = ()
