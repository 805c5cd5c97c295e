"""Koji's repositories: INIT -> READY -> EXPIRED -> DELETED, or PROBLEM; several of one tag can be READY at once.

A repository shows its tag as of its create_event. Its files are written when it becomes READY, under
topdir/repos/TAG/ID, and go when it is DELETED; the row stays.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import koji

from .agenda import Agenda
from .messages import Bus
from .repodata import RepodataWriter, write_extras
from .tables import Tag
from .tasks import TaskTable
from .values import Timings
from .world import World

INIT = koji.REPO_STATES["INIT"]
READY = koji.REPO_STATES["READY"]
EXPIRED = koji.REPO_STATES["EXPIRED"]
DELETED = koji.REPO_STATES["DELETED"]
PROBLEM = koji.REPO_STATES["PROBLEM"]


@dataclass
class Repo:
    """One repository. builds: package name -> NVR of the build that it holds."""

    id: int
    tag_id: int
    create_event: int
    begin_event: int
    creation_ts: float
    task_id: int
    state: int = INIT
    state_ts: float = 0.0
    builds: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Request:
    """Somebody's wish for a repository that is at least as new as min_event."""

    id: int
    tag_id: int
    owner: int
    min_event: int | None
    create_ts: float
    update_ts: float
    priority: int
    repo_id: int | None = None
    task_id: int | None = None


class Repos:
    """The repository machine."""

    def __init__(
        self,
        world: World,
        tasks: TaskTable,
        agenda: Agenda,
        bus: Bus,
        timings: Timings,
        rng: random.Random,
        topdir: Path,
    ) -> None:
        self._world, self._tasks, self._agenda, self._bus = world, tasks, agenda, bus
        self._timings, self._rng, self._topdir = timings, rng, topdir
        self._repos: dict[int, Repo] = {}
        self.requests: dict[int, Request] = {}
        self._auto: set[int] = set()
        self._due: set[int] = set()
        self.writer = RepodataWriter(topdir)
        self.on_ready: Callable[[Repo], None] = lambda repo: None

    def __iter__(self) -> Iterator[Repo]:
        return iter(list(self._repos.values()))

    def get(self, repo_id: int) -> Repo | None:
        return self._repos.get(repo_id)

    def newest(
        self, tag_id: int, state: int | None = None, event: int | None = None, min_event: int = 0
    ) -> Repo | None:
        """The newest of the tag. With an event the state does not matter, as in Koji."""
        for repo in sorted(self._repos.values(), key=lambda repo: -repo.create_event):
            if repo.tag_id != tag_id or repo.create_event < min_event:
                continue
            if repo.create_event <= event if event is not None else state in (None, repo.state):
                return repo
        return None

    def directory(self, repo: Repo) -> Path:
        return self._topdir / "repos" / self._world.tags[repo.tag_id].name / str(repo.id)

    # life

    def create(self, tag: Tag, owner: int) -> Repo:
        """A new one in INIT; it becomes READY by itself."""
        task = self._tasks.create("newRepo", [tag.name], owner, channel_id=2, priority=15)
        self._tasks.open(task)
        task.host_id = next(iter(self._world.hosts), None)
        event = self._world.new_event()
        now = self._agenda.now()
        repo = Repo(
            id=len(self._repos) + 1,
            tag_id=tag.id,
            create_event=event,
            begin_event=self._world.last_change(tag.id, event),
            creation_ts=now,
            task_id=task.id,
            state_ts=now,
            builds={build.source.name: build.nvr for build, _, _ in self._tagged(tag, event)},
        )
        self._repos[repo.id] = repo
        self._bus.repo("init", tag, repo.id)
        self._agenda.after(self._rng.uniform(*self._timings.repo), lambda: self.finish(repo))
        return repo

    def finish(self, repo: Repo) -> None:
        """Write the files and make it READY, if it is still in INIT."""
        if repo.state != INIT:
            return
        tag = self._world.tags[repo.tag_id]
        self._write(repo, tag)
        self._set_state(repo, READY)
        self._tasks.close(self._tasks[repo.task_id], [repo.id, repo.create_event])
        latest = self._topdir / "repos" / tag.name / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(str(repo.id))
        for request in self.requests.values():
            if (
                request.repo_id is None
                and request.tag_id == repo.tag_id
                and repo.create_event >= (request.min_event or 0)
            ):
                request.repo_id, request.task_id, request.update_ts = repo.id, repo.task_id, self._agenda.now()
        self._bus.repo("done", tag, repo.id)
        self.on_ready(repo)

    def expire(self, repo: Repo) -> None:
        self._set_state(repo, EXPIRED)

    def delete(self, repo: Repo) -> None:
        """The files go at once; the row stays."""
        self._set_state(repo, DELETED)
        directory = self.directory(repo)
        if directory.exists():
            shutil.rmtree(directory)

    def fail(self, repo: Repo) -> None:
        self._set_state(repo, PROBLEM)
        task = self._tasks[repo.task_id]
        if not task.finished:
            self._tasks.fail(task, 1000, "failed to create repository")

    def _set_state(self, repo: Repo, state: int) -> None:
        repo.state, repo.state_ts = state, self._agenda.now()

    def _tagged(self, tag: Tag, event: int) -> list[tuple[Any, ...]]:
        return self._world.tagged_builds(tag.id, event, inherit=True, latest=True)

    def _write(self, repo: Repo, tag: Tag) -> None:
        rpms = [rpm for build, _, _ in self._tagged(tag, repo.create_event) for rpm in build.rpms if rpm.binary]
        directory = self.directory(repo)
        for arch in self.arches(tag):
            self.writer.write(directory, arch, rpms)
        directory.mkdir(parents=True, exist_ok=True)
        members = self._world.groups(tag.id, repo.create_event).get("build", [])
        info = {"id": repo.id, "tag": tag.name, "task_id": repo.task_id, "event_id": repo.create_event}
        write_extras(directory, info, [member.package for member, _ in members])

    def arches(self, tag: Tag) -> list[str]:
        """Canonical arches of the tag: i686 is i386 in a repository's paths."""
        return list(dict.fromkeys(koji.canonArch(arch) for arch in self._world.tag_config(tag.id).arches.split()))

    # on demand, and by itself

    def request(self, tag: Tag, owner: int, min_event: int | None, priority: int) -> tuple[Request, bool]:
        """Ask for a repository; the second value says that the same wish was open already."""
        for open_request in self.requests.values():
            if (open_request.tag_id, open_request.min_event, open_request.repo_id) == (tag.id, min_event, None):
                return open_request, True
        now = self._agenda.now()
        request = Request(len(self.requests) + 1, tag.id, owner, min_event, now, now, priority)
        self.requests[request.id] = request
        self.create_soon(tag.id, owner)
        return request, False

    def auto(self, tag: Tag, on: bool) -> None:
        (self._auto.add if on else self._auto.discard)(tag.id)

    def changed(self, tag_id: int) -> None:
        """A tag changed: repositories of tags that inherit from it and are on automatic become due."""
        for auto in self._auto:
            if tag_id in self._world.tag_order(auto):
                self.create_soon(auto, owner=1)

    def create_soon(self, tag_id: int, owner: int) -> None:
        """Changes that come together make one repository; one still being made makes it wait."""
        if tag_id in self._due:
            return
        self._due.add(tag_id)
        self._agenda.after(self._timings.assign, lambda: self._create_due(tag_id, owner))

    def _create_due(self, tag_id: int, owner: int) -> None:
        if self.newest(tag_id, INIT):
            self._agenda.after(max(self._timings.assign, 0.05), lambda: self._create_due(tag_id, owner))
            return
        self._due.discard(tag_id)
        self.create(self._world.tags[tag_id], owner)
