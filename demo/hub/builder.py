"""The builders: takes build tasks through their life as kojid does, with outcomes by rule.

build -> one SRPM child -> one buildArch child per architecture -> (real builds) the Build row and a tagBuild child. The
parent ends after its last child; a failed child cancels its siblings and hands its fault to the parent.
"""

from __future__ import annotations

import random
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

import koji

from . import outputs
from .agenda import Agenda
from .logs import arch_logs, srpm_logs
from .messages import Bus
from .repos import READY, Repos
from .rpmdata import build_arches
from .tables import Build, Host, Tag, Target
from .tasks import ASSIGNED, FREE, OPEN, Task, TaskTable
from .values import BuildContext, Outcome, OutcomeRule, SourcePackage, Timings
from .world import World

_NO_SPACE = (
    "Traceback (most recent call last):\n"
    '  File "/usr/lib/python3.13/site-packages/koji/daemon.py", line 1488, in runTask\n'
    "    response = (handler.run(),)\n"
    "OSError: [Errno 28] No space left on device\n"
)
_FAULTS: dict[str, tuple[int, str]] = {
    "policy": (1004, "policy violation (build_from_repo_id)"),
    "lock": (1001, "unable to lock the build tag"),
    "infra": (1, _NO_SPACE),
    "srpm_failed": (1005, "error building srpm, mock exited with status 1; see build.log for more information"),
    "arch_failed": (
        1005,
        "error building package (arch {arch}), mock exited with status 1; "
        "see build.log or root.log for more information",
    ),
    "buildroot": (1012, "could not init mock buildroot, mock exited with status 30; see root.log for more information"),
}
_LOG_OF_FAULT = {"arch_failed": "build", "buildroot": "root", "infra": "builder"}


class TaskError(Exception):
    """A task ends FAILED with this code and text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Job:
    """What the builders know of one build task while it runs."""

    def __init__(self, task: Task, source: SourcePackage, attempt: int) -> None:
        self.task = task
        self.source = source
        self.attempt = attempt
        self.src: str = task.request[0]
        self.target_name: str | None = task.request[1]
        self.opts: dict[str, Any] = task.request[2] if len(task.request) > 2 and task.request[2] else {}
        self.target: Target | None = None
        self.build_tag: Tag | None = None
        self.repo_id: int | None = self.opts.get("repo_id")
        self.build: Build | None = None
        self.was_freed = False

    @property
    def scratch(self) -> bool:
        return bool(self.opts.get("scratch"))


class Builder:
    """Runs tasks by the agenda."""

    def __init__(
        self,
        world: World,
        tasks: TaskTable,
        repos: Repos,
        agenda: Agenda,
        bus: Bus,
        timings: Timings,
        rng: random.Random,
        tag_build: Callable[[Tag, Build, int], None],
    ) -> None:
        self._world, self._tasks, self._repos, self._agenda, self._bus = world, tasks, repos, agenda, bus
        self._timings, self._rng, self._tag_build = timings, rng, tag_build
        self.rule: OutcomeRule | None = None
        self._jobs: dict[int, Job] = {}
        self._attempts: Counter[str] = Counter()
        self._brootids = 0

    def submit(self, task: Task, source: SourcePackage) -> None:
        """Take over a new build task, made from `source`."""
        self._attempts[source.nvr] += 1
        self._jobs[task.id] = Job(task, source, self._attempts[source.nvr])
        self._queue(task)

    def load(self, host: Host) -> float:
        """Weight of the tasks open on the host, and of what else it was said to do."""
        mine = (self._tasks[each] for each in self._tasks.active)
        return host.load + sum(task.weight for task in mine if task.host_id == host.id and task.state == OPEN)

    # FREE -> ASSIGNED -> OPEN

    def _queue(self, task: Task) -> None:
        self._agenda.after(self._timings.assign, lambda: self._assign(task))

    def _assign(self, task: Task) -> None:
        if task.state != FREE:
            return
        host = self._pick_host(task)
        if host is None:
            self._agenda.after(max(self._timings.assign, 0.05), lambda: self._assign(task))
            return
        self._tasks.assign(task, host.id)
        self._agenda.after(self._timings.assign / 4, lambda: self._open(task))

    def _pick_host(self, task: Task) -> Host | None:
        def can(host: Host) -> bool:
            arches = {koji.canonArch(arch) for arch in host.arches.split()}
            return host.enabled and host.ready and (task.arch == "noarch" or task.arch in arches)

        # A parent waits more than it works: kojid gives it a slot even on a full host, or nothing would ever end.
        room = {
            host.id: self.load(host) / host.capacity
            for host in self._world.hosts.values()
            if can(host) and (self.load(host) < host.capacity or task.method == "tagBuild")
        }
        return self._world.hosts[min(room, key=lambda host_id: (room[host_id], host_id))] if room else None

    def _open(self, task: Task) -> None:
        if task.state != ASSIGNED:
            return
        self._tasks.open(task)
        handlers = {"build": self._run_build, "buildArch": self._run_arch, "tagBuild": self._run_tag}
        try:
            handlers.get(task.method, self._run_srpm)(self._jobs[task.parent or task.id], task)
        except TaskError as fault:
            self._fail(task, fault)

    # outcomes

    def _ask(self, job: Job, stage: str, arch: str) -> Outcome:
        if self.rule is None:
            return Outcome()
        repo = self._repos.get(job.repo_id) if job.repo_id else None
        context = BuildContext(
            package=job.source.name,
            nvr=job.source.nvr,
            scratch=job.scratch,
            arch=arch,
            stage=stage,
            target=job.target_name,
            repo_id=job.repo_id,
            repo_builds=repo.builds if repo else {},
            attempt=job.attempt,
        )
        try:
            return (self.rule(context) or Outcome()).at(stage)
        except Exception:
            # A mistake in the rule shows where its author looks: as the fault of the build, like any builder's error.
            return Outcome("infra", stage=stage, text=traceback.format_exc())

    def _raise(self, outcome: Outcome, arch: str) -> None:
        code, text = _FAULTS[outcome.kind]
        raise TaskError(code, outcome.text or text.format(arch=arch))

    def _later(self, task: Task, delay: float, action: Callable[[], None]) -> None:
        """Do it then, if the task is still open; a fault ends the task."""

        def run() -> None:
            if task.state != OPEN:
                return
            try:
                action()
            except TaskError as fault:
                self._fail(task, fault)

        self._agenda.after(delay, run)

    def _work(
        self, job: Job, task: Task, stage: str, arch: str, limits: tuple[float, float], end: Callable[[Outcome], None]
    ) -> None:
        """Ask how the stage goes; be stuck, be cancelled by somebody, or come to `end` in time."""
        outcome = self._ask(job, stage, arch)
        duration = self._rng.uniform(*limits) if outcome.duration is None else outcome.duration
        if outcome.kind == "canceled":
            self._later(task, duration, lambda: self._tasks.cancel(job.task))
        elif outcome.kind != "stuck":
            self._later(task, duration, lambda: end(outcome))

    # the parent

    def _run_build(self, job: Job, task: Task) -> None:
        outcome = self._ask(job, "build", "noarch")
        if outcome.kind == "freed" and not job.was_freed:
            job.was_freed = True
            self._tasks.free(task)
            self._queue(task)
            return
        if outcome.kind == "stuck":
            return
        if outcome.kind == "canceled":
            self._later(task, outcome.duration or 0.0, lambda: self._tasks.cancel(task))
            return
        if outcome.kind in _FAULTS:
            self._raise(outcome, "noarch")
        self._choose_tag_and_repo(job)
        self._later(task, self._timings.assign / 4, lambda: self._await_repo(job))

    def _choose_tag_and_repo(self, job: Job) -> None:
        """Target and repository as the build's options want them; kojid's refusals."""
        if job.target_name is not None:
            job.target = self._world.target(job.target_name)
            if job.target is None:
                raise TaskError(1000, f"unknown build target: {job.target_name}")
            job.build_tag = self._world.tags[job.target.build_tag]
        if job.opts.get("arch_override") and not job.scratch:
            raise TaskError(1005, "arch_override is only allowed for scratch builds")
        if job.repo_id is None:
            if job.target is None:
                raise TaskError(1000, "no build target and no repo_id given")
            return
        owner = self._world.users[job.task.owner]
        if not (owner.admin or owner.may_choose_repo):
            raise TaskError(*_FAULTS["policy"])
        repo = self._repos.get(job.repo_id)
        if repo is None:
            raise TaskError(1005, f"No such repo: {job.repo_id}")
        tag = self._world.tags[repo.tag_id]
        if koji.REPO_STATES[repo.state] not in ("READY", "EXPIRED"):
            raise TaskError(1005, f"Bad repo: {repo.id} ({koji.REPO_STATES[repo.state]})")
        if job.build_tag is not None and job.build_tag.id != tag.id:
            raise TaskError(1005, f"Repo/Target mismatch: {tag.name}/{job.build_tag.name}")
        job.build_tag = tag

    def _await_repo(self, job: Job) -> None:
        """Without a repo_id the newest READY repository is taken; if there is none, one is asked for and waited for."""
        if job.build_tag is None:
            raise TaskError(1000, f"task {job.task.id} has no build tag")
        if job.repo_id is None:
            repo = self._repos.newest(job.build_tag.id, READY)
            if repo is None:
                if self._repos.newest(job.build_tag.id, koji.REPO_STATES["INIT"]) is None:
                    self._repos.create_soon(job.build_tag.id, job.task.owner)
                self._later(job.task, max(self._timings.assign, 0.05), lambda: self._await_repo(job))
                return
            job.repo_id = repo.id
        if job.src.startswith("../packages/") and self._world.build(job.source.nvr) is None:
            raise TaskError(1005, f"Input SRPM file missing: {job.src}")
        method = "buildSRPMFromSCM" if "://" in job.src else "rebuildSRPM"
        opts = {"repo_id": job.repo_id, "scratch": job.scratch if "://" in job.src else True}
        self._child(job, method, [job.src, job.build_tag.id, opts], label="srpm")

    def _child(self, job: Job, method: str, request: list[Any], label: str, arch: str = "noarch") -> Task:
        child = self._tasks.create(method, request, job.task.owner, parent=job.task.id, label=label, arch=arch)
        child.awaited = job.task.waiting = True
        self._queue(child)
        return child

    def _fail(self, task: Task, fault: TaskError) -> None:
        self._tasks.fail(task, fault.code, fault.text)
        parent = self._tasks[task.parent] if task.parent else None
        if parent is None:
            self._jobs.pop(task.id, None)
            return
        for sibling in parent.children:
            self._tasks.cancel(self._tasks[sibling])
        job = self._jobs.get(parent.id)
        if job and job.build:
            self._set_build_state(job.build, "FAILED")
        if not parent.finished:
            self._fail(parent, fault)

    # the SRPM

    def _run_srpm(self, job: Job, task: Task) -> None:
        self._work(job, task, "srpm", "noarch", self._timings.srpm, lambda outcome: self._end_srpm(job, task, outcome))

    def _end_srpm(self, job: Job, task: Task, outcome: Outcome) -> None:
        failed = outcome.kind in _FAULTS
        directory = self._tasks.directory(task)
        files = outputs.write(directory, srpm_logs(job.source, failed))
        if failed:
            self._raise(outcome, "noarch")
        outputs.write(directory, {job.source.srpm: outputs.placeholder(job.source.srpm)})
        relative = koji.pathinfo.taskrelpath(task.id)
        srpm = f"{relative}/{job.source.srpm}"
        result = {
            "srpm": srpm,
            "logs": [f"{relative}/{name}" for name in files],
            "brootid": self._next_brootid(),
            "source": {"source": job.src.rsplit("/", 1)[-1], "url": job.src if "://" in job.src else job.source.srpm},
        }
        self._tasks.close(task, result)
        task.awaited = job.task.waiting = False
        try:
            self._start_arches(job, srpm)
        except TaskError as fault:
            self._fail(job.task, fault)

    def _next_brootid(self) -> int:
        self._brootids += 1
        return self._brootids

    # the architectures

    def _start_arches(self, job: Job, srpm: str) -> None:
        tag = job.build_tag
        if tag is None:
            raise TaskError(1000, f"task {job.task.id} has no build tag")
        arches = self._world.tag_config(tag.id).arches.split()
        if job.target is not None:
            package_id = self._world.package_id(job.source.name)
            listed = self._world.package_list(job.target.dest_tag).get(package_id or 0)
            arches += (listed[0].extra_arches or "").split() if listed else []
        wanted = build_arches(job.source, arches)
        if job.opts.get("arch_override"):
            canonical = {koji.canonArch(arch) for arch in arches} | {"noarch"}
            wanted = [arch for arch in job.opts["arch_override"].split() if koji.canonArch(arch) in canonical]
        if not wanted:
            raise TaskError(1005, "No matching arches were found")
        if not job.scratch:
            self._init_build(job)
        for index, arch in enumerate(wanted):
            request = [srpm, tag.id, arch, index == 0, {"repo_id": job.repo_id}]
            self._child(job, "buildArch", request, label=arch, arch=koji.canonArch(arch))

    def _run_arch(self, job: Job, task: Task) -> None:
        arch = task.request[2]
        self._work(job, task, "arch", arch, self._timings.arch, lambda outcome: self._end_arch(job, task, outcome))

    def _end_arch(self, job: Job, task: Task, outcome: Outcome) -> None:
        arch = task.request[2]
        directory = self._tasks.directory(task)
        failure = _LOG_OF_FAULT.get(outcome.kind, "builder") if outcome.kind in _FAULTS else None
        logs = outputs.write(directory, arch_logs(job.source, arch, failure, outcome.log))
        if failure:
            self._raise(outcome, arch)
        rpms = outputs.rpm_names(job.source, arch, first=task.request[3])
        srpms = [job.source.srpm] if task.request[3] else []
        outputs.write(directory, {name: outputs.placeholder(name) for name in rpms + srpms})
        relative = koji.pathinfo.taskrelpath(task.id)
        result = {
            "rpms": [f"{relative}/{name}" for name in rpms],
            "srpms": [f"{relative}/{name}" for name in srpms],
            "logs": [f"{relative}/{name}" for name in logs],
            "brootid": self._next_brootid(),
        }
        self._tasks.close(task, result)
        arch_tasks = [
            child for child in map(self._tasks.get, job.task.children) if child and child.method == "buildArch"
        ]
        if all(child.finished for child in arch_tasks):
            self._later(job.task, self._timings.assign / 4, lambda: self._end_arches(job, arch_tasks))

    def _end_arches(self, job: Job, arch_tasks: list[Task]) -> None:
        for child in arch_tasks:
            child.awaited = False
        destination = outputs.destination(self._tasks, self._world, job.task, job.build)
        for child in arch_tasks:
            outputs.publish(self._tasks.directory(child), destination, child.request[2], scratch=job.scratch)
        if job.build is None or job.target is None:
            self._close(job)
            return
        self._world.add_rpms(job.build, [child.request[2] for child in arch_tasks])
        self._set_build_state(job.build, "COMPLETE")
        if job.opts.get("skip_tag"):
            self._close(job)
            return
        request = [job.target.dest_tag, job.build.id, False, None, True]
        child = self._tasks.create("tagBuild", request, job.task.owner, parent=job.task.id, label="tag")
        self._queue(child)

    def _run_tag(self, job: Job, task: Task) -> None:
        if job.build is None:
            raise TaskError(1000, f"task {task.id} has no build to tag")
        self._tag_build(self._world.tags[task.request[0]], job.build, task.owner)
        self._tasks.close(task, None)
        self._close(job)

    def _close(self, job: Job) -> None:
        self._tasks.close(job.task, None)
        del self._jobs[job.task.id]

    # the Build row of a real build

    def _init_build(self, job: Job) -> None:
        existing = self._world.build(job.source.nvr)
        if existing is not None:
            state = koji.BUILD_STATES[existing.state]
            if state in ("COMPLETE", "BUILDING"):
                text = f"Build already exists (id={existing.id}, state={state}): {existing.nvr}"
                raise TaskError(1000, text)
        now = self._agenda.now()
        package_id = self._world.package_id(job.source.name, create=True)
        job.build = Build(
            id=self._world.next_build_id(),
            source=job.source,
            package_id=package_id or 0,
            owner_id=job.task.owner,
            creation_event=self._world.new_event(),
            creation_ts=now,
            start_ts=job.task.start_ts or now,
            state=koji.BUILD_STATES["BUILDING"],
            task_id=job.task.id,
            url=job.src if "://" in job.src else job.source.srpm,
        )
        self._world.add_build(job.build)
        self._bus.build_changed(job.build, None)

    def build_canceled(self, task: Task) -> None:
        """The build task ended CANCELED: its Build row, if it has one, follows."""
        job = self._jobs.pop(task.id, None)
        if job and job.build and job.build.state == koji.BUILD_STATES["BUILDING"]:
            self._set_build_state(job.build, "CANCELED")

    def _set_build_state(self, build: Build, state: str) -> None:
        old, build.state = build.state, koji.BUILD_STATES[state]
        build.completion_ts = self._agenda.now()
        self._bus.build_changed(build, old)
