"""The hub as its owner sees it: builds the world, drives it, breaks it, and watches what is asked of it.

`HubServer` lets clients in; everything here can also be called directly, from any thread. State lives in memory and in
files under topdir. Time goes on by itself (a thread runs what is due); with a `clock` of one's own it goes on whenever
the hub is touched, or at `tick()`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import koji

from . import history
from .agenda import Agenda
from .builder import Builder
from .calls import CallLog
from .faults import Faults
from .messages import Bus, OnMessage
from .repos import READY, Repo, Repos
from .rows import build_info
from .sessions import Sessions
from .sources import SourceFinder
from .tables import Build, GroupMember, Host, Listed, Tag, TagConfig, Target
from .tasks import Task, TaskTable
from .values import OutcomeRule, SourcePackage, Timings
from .world import World

_ADMIN_ID = 1


class Hub:
    """One Koji hub with its builders. There is an administrator 'kojiadmin' (password the same) from the start."""

    def __init__(
        self,
        topdir: Path,
        timings: Timings | None = None,
        seed: int = 1,
        on_message: OnMessage | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.topdir = Path(topdir)
        self.topdir.mkdir(parents=True, exist_ok=True)
        self.timings = timings or Timings()
        self.lock = threading.RLock()
        self.calls = CallLog()
        self.faults = Faults()
        self.agenda = Agenda(clock)
        rng = random.Random(seed)
        self.world = World(self.agenda.now)
        self.tasks = TaskTable(self.agenda.now, self.topdir, rng)
        self.bus = Bus(self.world, self.tasks, rng)
        self.bus.on_message = on_message
        self.repos = Repos(self.world, self.tasks, self.agenda, self.bus, self.timings, rng, self.topdir)
        self.builder = Builder(
            self.world, self.tasks, self.repos, self.agenda, self.bus, self.timings, rng, self.tag_build_by
        )
        self.sources = SourceFinder(self.world)
        self.sessions = Sessions(self.world, self.agenda.now, lambda: self.faults.lies_after_renew)
        self.faults.end_sessions = self.sessions.end_all
        self.tasks.on_change = self._task_changed
        self.world.add_user("kojiadmin", "kojiadmin", True, None)
        self._changed = threading.Condition(self.lock)
        self._running = clock is time.time
        self._thread = threading.Thread(target=self._run, name="hub", daemon=True)
        if self._running:
            self._thread.start()

    # time and threads

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """The hub to oneself, with everything done that is due. Messages leave afterwards."""
        with self.lock:
            self.agenda.run_due()
            try:
                yield
            finally:
                self._changed.notify_all()
        if not self._owned():
            self.bus.flush()

    def _owned(self) -> bool:
        """Whether this thread still holds the lock further out: then it is too early to speak."""
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]

    def tick(self) -> None:
        """Do what is due and send the messages."""
        with self.locked():
            pass

    def _run(self) -> None:
        while self._running:
            with self.lock:
                due = self.agenda.next_due()
                wait = None if due is None else max(0.0, due - self.agenda.now())
                if wait is None or wait > 0:
                    self._changed.wait(0.5 if wait is None else min(wait, 0.5))
            self.tick()

    def close(self) -> None:
        """Time stops. The files stay."""
        if self._running:
            self._running = False
            with self.lock:
                self._changed.notify_all()
            if threading.current_thread() is not self._thread:
                self._thread.join(timeout=10)

    def wait_for(self, condition: Callable[[], bool], timeout: float = 60.0) -> None:
        """Block until the condition holds; TimeoutError after `timeout` seconds."""
        with self.lock:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"the hub did not get there within {timeout} s")

    def wait_task(self, task_id: int, timeout: float = 60.0) -> Task:
        """The task, once it has ended."""
        self.wait_for(lambda: self.tasks[task_id].finished, timeout)
        return self.tasks[task_id]

    def _task_changed(self, task: Task, old: int) -> None:
        self.bus.task_changed(task, old)
        if task.method == "build" and task.state == koji.TASK_STATES["CANCELED"]:
            self.builder.build_canceled(task)

    # users and builders

    @property
    def outcome(self) -> OutcomeRule | None:
        """The rule that says how builds end; None: all go well."""
        return self.builder.rule

    @outcome.setter
    def outcome(self, rule: OutcomeRule | None) -> None:
        self.builder.rule = rule

    def add_user(
        self,
        name: str,
        password: str | None = None,
        admin: bool = False,
        permissions: Iterable[str] = (),
        krb_principal: str | None = None,
        may_choose_repo: bool = False,
    ) -> int:
        """Permissions known: 'regen-repo', 'repo', 'tag', 'target'. may_choose_repo: builds may name a repository."""
        with self.locked():
            user = self.world.add_user(name, password, admin, krb_principal)
            user = dataclasses.replace(user, permissions=frozenset(permissions), may_choose_repo=may_choose_repo)
            self.world.users[user.id] = user
            return user.id

    def add_host(self, name: str, arches: str, capacity: float = 4.0, **fields: Any) -> Host:
        """A builder; the caller may change its `load`, `enabled` and `ready` afterwards."""
        with self.locked():
            host = self.world.add_host(name, arches, capacity)
            for field, value in fields.items():
                setattr(host, field, value)
            return host

    # tags

    def tag(self, name: str) -> Tag:
        """The tag; KeyError when there is none."""
        tag = self.world.tag(name)
        if tag is None:
            raise KeyError(f"no tag {name!r}; there are {', '.join(tag.name for tag in self.world.tags.values())}")
        return tag

    def add_tag(self, name: str, arches: str = "", parents: Sequence[str] = ()) -> int:
        with self.locked():
            tag = self.world.add_tag(name, arches, _ADMIN_ID)
            if parents:
                self.set_parents(name, parents)
            return tag.id

    def set_parents(self, name: str, parents: Sequence[str]) -> None:
        with self.locked():
            tag = self.tag(name)
            self.world.set_parents(tag, [self.tag(parent) for parent in parents], _ADMIN_ID)
            self.repos.changed(tag.id)

    def set_arches(self, name: str, arches: str) -> None:
        with self.locked():
            tag = self.tag(name)
            old = self.world.tag_config(tag.id)
            self.world.configure_tag(tag, TagConfig(arches, old.locked, old.extra), _ADMIN_ID)
            self.repos.changed(tag.id)

    def add_target(self, name: str, build_tag: str, dest_tag: str) -> Target:
        with self.locked():
            return self.world.add_target(name, self.tag(build_tag), self.tag(dest_tag))

    def set_group(self, tag: str, group: str, packages: Iterable[str], type: str = "mandatory") -> None:
        """What the group installs from now on; repositories made before keep what they had."""
        with self.locked():
            members = [GroupMember(group, package, type) for package in packages]
            self.world.set_group(self.tag(tag), members, group, _ADMIN_ID)
            self.repos.changed(self.tag(tag).id)

    # package lists

    def add_package(
        self, tag: str, name: str, owner: str = "kojiadmin", blocked: bool = False, extra_arches: str | None = None
    ) -> int:
        with self.locked():
            user = self.world.user(owner)
            if user is None:
                raise KeyError(f"no user {owner!r} to own {name}")
            package_id = self.world.package_id(name, create=True) or 0
            self.world.list_package(self.tag(tag), Listed(package_id, user.id, blocked, extra_arches), _ADMIN_ID)
            self.repos.changed(self.tag(tag).id)
            return package_id

    def block_package(self, tag: str, name: str) -> None:
        self._set_blocked(tag, name, True)

    def unblock_package(self, tag: str, name: str) -> None:
        self._set_blocked(tag, name, False)

    def _set_blocked(self, tag: str, name: str, blocked: bool) -> None:
        with self.locked():
            listed, _ = self.world.package_list(self.tag(tag).id).get(self.world.package_id(name) or 0, (None, 0))
            if listed is None:
                raise KeyError(f"package {name!r} is not on the list of {tag!r}")
            changed = Listed(listed.package_id, listed.owner_id, blocked, listed.extra_arches)
            self.world.list_package(self.tag(tag), changed, _ADMIN_ID)
            self.repos.changed(self.tag(tag).id)

    # builds

    def import_build(
        self,
        tag: str,
        source: SourcePackage,
        repo_id: int | None = None,
        imported: bool = False,
        owner: str = "kojiadmin",
        announce: bool = True,
    ) -> dict[str, Any]:
        """A finished official build, tagged. With `imported` it has no task; `announce=False` sends no messages.

        repo_id is the repository its tasks say they were built in; the newest READY one of the build tag by default.
        """
        with self.locked():
            build = history.finished_build(self, self.tag(tag), source, repo_id, imported, owner)
            if announce:
                self.bus.build_changed(build, koji.BUILD_STATES["BUILDING"])
            self.tag_build_by(self.tag(tag), build, build.owner_id, announce)
            return build_info(self.world, build)

    def start_build(self, target: str, source: SourcePackage, user: str = "maintainer", src: str | None = None) -> int:
        """A real build by somebody, through the builders; tagged into the target's dest_tag when it succeeds."""
        with self.locked():
            owner = self.world.user(user) or self.world.add_user(user, user, False, None)
            self.sources.add(source)
            url = src or f"git+https://src.example.org/rpms/{source.name}#{source.nvr}"
            return self.submit(url, target, {}, owner.id, None, source).id

    def submit(
        self,
        src: str,
        target: str | None,
        opts: dict[str, Any],
        owner: int,
        priority: int | None,
        source: SourcePackage | None = None,
    ) -> Task:
        """A new build task, as the `build` call makes it; priority is relative to Koji's default."""
        task = self.tasks.create("build", [src, target, opts], owner, priority=koji.PRIO_DEFAULT + (priority or 0))
        self.builder.submit(task, source or self.sources.find(src))
        return task

    def tag_build(self, tag: str, nvr: str) -> None:
        with self.locked():
            self.tag_build_by(self.tag(tag), self._build(nvr), _ADMIN_ID)

    def untag_build(self, tag: str, nvr: str) -> None:
        with self.locked():
            self.untag_build_by(self.tag(tag), self._build(nvr), _ADMIN_ID)

    def _build(self, nvr: str) -> Build:
        build = self.world.build(nvr)
        if build is None:
            raise KeyError(f"no build {nvr!r}")
        return build

    def tag_build_by(self, tag: Tag, build: Build, user: int, announce: bool = True) -> None:
        self.world.tag_build(tag, build, user)
        if announce:
            self.bus.tagged(tag, build, user)
        self.repos.changed(tag.id)

    def untag_build_by(self, tag: Tag, build: Build, user: int) -> bool:
        done = self.world.untag_build(tag, build, user)
        if done:
            self.bus.tagged(tag, build, user, untagged=True)
            self.repos.changed(tag.id)
        return done

    # repositories

    def new_repo(self, tag: str, wait: bool = False) -> int:
        """A new repository in INIT, READY after its time; with `wait` it is READY at once."""
        with self.locked():
            repo = self.repos.create(self.tag(tag), _ADMIN_ID)
            if wait:
                self.repos.finish(repo)
            return repo.id

    def auto_repo(self, tag: str, on: bool = True) -> None:
        """A new repository after each change of the tag or of what it inherits from."""
        with self.locked():
            self.repos.auto(self.tag(tag), on)

    def expire_repo(self, repo_id: int) -> None:
        with self.locked():
            self.repos.expire(self._repo(repo_id))

    def delete_repo(self, repo_id: int) -> None:
        with self.locked():
            self.repos.delete(self._repo(repo_id))

    def fail_repo(self, repo_id: int) -> None:
        with self.locked():
            self.repos.fail(self._repo(repo_id))

    def wait_repo(self, repo_id: int, timeout: float = 60.0) -> None:
        """Block until the repository is READY."""
        self.wait_for(lambda: self._repo(repo_id).state == READY, timeout)

    def _repo(self, repo_id: int) -> Repo:
        repo = self.repos.get(repo_id)
        if repo is None:
            raise KeyError(f"no repository {repo_id}")
        return repo
