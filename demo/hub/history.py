"""Builds that happened before the story begins: finished at once, with the tasks they would have left."""

from __future__ import annotations

from typing import Any, Protocol

import koji

from .agenda import Agenda
from .repos import READY, Repos
from .rpmdata import build_arches
from .tables import Build, Listed, Tag
from .tasks import CLOSED, Task, TaskTable
from .values import SourcePackage
from .world import World


class Parts(Protocol):
    """What a past build is put into: the parts of a hub."""

    world: World
    agenda: Agenda
    tasks: TaskTable
    repos: Repos


def finished_build(
    hub: Parts, tag: Tag, source: SourcePackage, repo_id: int | None, imported: bool, owner: str
) -> Build:
    """The Build row, RPMs and (unless imported) tasks; the package is put on the tag's list if it is not there."""
    world = hub.world
    user = world.user(owner)
    if user is None:
        raise KeyError(f"no user {owner!r} to own {source.nvr}")
    if world.build(source.nvr) is not None:
        raise ValueError(f"build {source.nvr!r} exists already; use tag_build")
    package_id = world.package_id(source.name, create=True) or 0
    if package_id not in world.package_list(tag.id):
        world.list_package(tag, Listed(package_id, user.id), user.id)
    target = next((each for each in world.targets.values() if each.dest_tag == tag.id), None)
    build_tag = world.tags[target.build_tag] if target else tag
    tag_arches = world.tag_config(build_tag.id).arches.split() or ["x86_64"]
    arches = build_arches(source, tag_arches)
    now = hub.agenda.now()
    build = Build(
        id=world.next_build_id(),
        source=source,
        package_id=package_id,
        owner_id=user.id,
        creation_event=world.new_event(),
        creation_ts=now,
        start_ts=now,
        completion_ts=now,
    )
    if not imported:
        if repo_id is None:
            newest = hub.repos.newest(build_tag.id, READY)
            repo_id = newest.id if newest else None
        build.url = f"git+https://src.example.org/rpms/{source.name}#{source.nvr}"
        build.task_id = _tasks(hub, build, target.name if target else None, build_tag, arches, repo_id).id
    world.add_build(build)
    world.add_rpms(build, arches)
    return build


def _tasks(
    hub: Parts, build: Build, target: str | None, build_tag: Tag, arches: list[str], repo_id: int | None
) -> Task:
    opts = {} if repo_id is None else {"repo_id": repo_id}
    parent = _closed(hub, build, "build", [build.url, target, {}], None, weight=0.2, waiting=True)
    request = [build.url, build_tag.id, {**opts, "scratch": False}]
    child = _closed(hub, build, "buildSRPMFromSCM", request, None, parent=parent.id, label="srpm", awaited=False)
    srpm = f"{koji.pathinfo.taskrelpath(child.id)}/{build.source.srpm}"
    child.result = {"srpm": srpm, "logs": [], "brootid": child.id, "source": {"source": build.url, "url": build.url}}
    for index, arch in enumerate(arches):
        request = [srpm, build_tag.id, arch, index == 0, opts]
        result: dict[str, Any] = {"rpms": [], "srpms": [], "logs": [], "brootid": child.id + index + 1}
        fields = {"parent": parent.id, "label": arch, "arch": koji.canonArch(arch), "awaited": False, "weight": 1.5}
        _closed(hub, build, "buildArch", request, result, **fields)
    return parent


def _closed(hub: Parts, build: Build, method: str, request: list[Any], result: Any, **fields: Any) -> Task:
    """A task that was CLOSED when the build was complete."""
    task = hub.tasks.create(method, request, build.owner_id, state=CLOSED, **fields)
    task.host_id = next(iter(hub.world.hosts), None)
    task.result = result
    task.start_ts = task.completion_ts = build.completion_ts
    return task
