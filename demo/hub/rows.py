"""The dictionaries that Koji answers with: its keys and types, as recorded from a real hub."""

from __future__ import annotations

import datetime as dt
from typing import Any

import koji

from .repos import Repo, Request
from .rpmdata import digest
from .tables import Build, Entry, Host, Listed, Parent, Rpm, Tag, Target, User
from .tasks import Task, TaskTable
from .world import World

Row = dict[str, Any]


def text_time(ts: float | None) -> str | None:
    """Times as text: UTC with its offset and always six decimals."""
    return None if ts is None else dt.datetime.fromtimestamp(ts, dt.UTC).isoformat(" ", "microseconds")


def user(row: User) -> Row:
    return {
        "id": row.id,
        "name": row.name,
        "status": 0,
        "usertype": row.usertype,
        "krb_principals": list(row.krb_principals),
    }


def host(row: Host, load: float) -> Row:
    return {
        "id": row.id,
        "name": row.name,
        "user_id": row.user_id,
        "arches": row.arches,
        "capacity": row.capacity,
        "task_load": load,
        "enabled": row.enabled,
        "ready": row.ready,
        "comment": None,
        "description": None,
        "update_ts": row.update_ts,
    }


def channel(channel_id: int, name: str) -> Row:
    return {"id": channel_id, "name": name, "enabled": True, "comment": None, "description": None}


def tag(world: World, row: Tag, event: int | None = None) -> Row:
    config = world.tag_config(row.id, event)
    return {
        "id": row.id,
        "name": row.name,
        "arches": config.arches,
        "locked": config.locked,
        "maven_include_all": False,
        "maven_support": False,
        "perm": None,
        "perm_id": None,
        "extra": dict(config.extra),
    }


def inheritance(world: World, row: Parent) -> Row:
    return {
        "child_id": row.child_id,
        "parent_id": row.parent_id,
        "name": world.tags[row.parent_id].name,
        "priority": row.priority,
        "maxdepth": None,
        "intransitive": False,
        "noconfig": False,
        "pkg_filter": "",
    }


def target(world: World, row: Target) -> Row:
    return {
        "id": row.id,
        "name": row.name,
        "build_tag": row.build_tag,
        "build_tag_name": world.tags[row.build_tag].name,
        "dest_tag": row.dest_tag,
        "dest_tag_name": world.tags[row.dest_tag].name,
    }


def listed(world: World, row: Listed, tag_id: int, owners: bool = True) -> Row:
    answer: Row = {
        "package_id": row.package_id,
        "package_name": world.packages[row.package_id],
        "tag_id": tag_id,
        "tag_name": world.tags[tag_id].name,
        "blocked": row.blocked,
        "extra_arches": row.extra_arches,
    }
    if owners:
        answer |= {"owner_id": row.owner_id, "owner_name": world.users[row.owner_id].name}
    return answer


def _build(world: World, row: Build) -> Row:
    return {
        "build_id": row.id,
        "nvr": row.nvr,
        "name": row.source.name,
        "version": row.source.version,
        "release": row.source.release,
        "epoch": row.source.epoch,
        "state": row.state,
        "task_id": row.task_id,
        "package_id": row.package_id,
        "package_name": row.source.name,
        "owner_id": row.owner_id,
        "owner_name": world.users[row.owner_id].name,
        "creation_event_id": row.creation_event,
        "creation_time": text_time(row.creation_ts),
        "start_time": text_time(row.start_ts),
        "completion_time": text_time(row.completion_ts),
        "volume_id": 0,
        "volume_name": "DEFAULT",
        "draft": False,
        "promoter_id": None,
        "promoter_name": None,
        "promotion_time": None,
    }


def tagged_build(world: World, row: Build, entry: Entry[int], tag_id: int) -> Row:
    """A build as listTagged shows it; tag_id is the tag it is really in."""
    where = {"tag_id": tag_id, "tag_name": world.tags[tag_id].name, "create_event": entry.create_event}
    return {**_build(world, row), "id": row.id, **where}


def listed_build(world: World, row: Build) -> Row:
    """A build as listBuilds shows it."""
    return {
        **_build(world, row),
        "creation_ts": row.creation_ts,
        "start_ts": row.start_ts,
        "completion_ts": row.completion_ts,
        "promotion_ts": None,
        "source": row.url,
        "extra": {"source": {"original_url": row.url}} if row.url else None,
    }


def build_info(world: World, row: Build) -> Row:
    """A build as getBuild shows it."""
    return {**listed_build(world, row), "id": row.id, "cg_id": None, "cg_name": None}


def tagged_rpm(row: Rpm) -> Row:
    """An RPM as getLatestRPMS and listTaggedRPMS show it."""
    unique = digest(row.nvra, row.build.id)
    return {
        "id": row.id,
        "build_id": row.build.id,
        "name": row.name,
        "version": row.version,
        "release": row.build.source.release,
        "epoch": row.build.source.epoch,
        "arch": row.arch,
        "buildroot_id": None,
        "buildtime": row.buildtime,
        "draft": False,
        "extra": None,
        "metadata_only": False,
        "payloadhash": unique[:32],
        "size": int(unique[:4], 16),
    }


def rpm_info(row: Rpm) -> Row:
    """An RPM as getRPM shows it."""
    return {**tagged_rpm(row), "external_repo_id": 0, "external_repo_name": "INTERNAL"}


def listed_rpm(row: Rpm) -> Row:
    """An RPM as listRPMs shows it."""
    return {**rpm_info(row), "nvr": f"{row.name}-{row.version}-{row.build.source.release}"}


def task(row: Task, request: bool = False) -> Row:
    answer: Row = {
        "id": row.id,
        "method": row.method,
        "arch": row.arch,
        "label": row.label,
        "parent": row.parent,
        "owner": row.owner,
        "channel_id": row.channel_id,
        "host_id": row.host_id,
        "priority": row.priority,
        "weight": row.weight,
        "state": row.state,
        "waiting": row.waiting,
        "awaited": row.awaited,
        "create_time": text_time(row.create_ts),
        "create_ts": row.create_ts,
        "start_time": text_time(row.start_ts),
        "start_ts": row.start_ts,
        "completion_time": text_time(row.completion_ts),
        "completion_ts": row.completion_ts,
    }
    if request:
        answer["request"] = row.request
    return answer


def listed_task(world: World, row: Task, decode: bool) -> Row:
    """A task as listTasks shows it: request and result as XML unless they are to be decoded."""
    owner = world.users[row.owner]
    result: Any = None
    if row.fault is not None:
        result = {"faultCode": row.fault.faultCode, "faultString": row.fault.faultString} if decode else dump(row.fault)
    elif row.state == koji.TASK_STATES["CLOSED"]:
        result = [row.result] if decode else dump((row.result,), methodresponse=True)
    request = row.request if decode else dump(tuple(row.request), methodname=row.method)
    return {**task(row), "owner_name": owner.name, "owner_type": owner.usertype, "request": request, "result": result}


def dump(params: Any, **kind: Any) -> str:
    return str(koji.xmlrpcplus.dumps(params, **kind))


def _repo(world: World, row: Repo) -> Row:
    return {
        "id": row.id,
        "tag_id": row.tag_id,
        "tag_name": world.tags[row.tag_id].name,
        "state": row.state,
        "state_ts": row.state_ts,
        "create_event": row.create_event,
        "create_ts": world.event_ts(row.create_event),
        "creation_ts": row.creation_ts,
        "end_event": None,
        "dist": False,
        "opts": {"src": False, "maven": False, "debuginfo": False, "separate_src": False},
        "task_id": row.task_id,
    }


def active_repo(world: World, row: Repo) -> Row:
    """A repository as getActiveRepos shows it."""
    return _repo(world, row)


def queried_repo(world: World, row: Repo) -> Row:
    """A repository as repo.query shows it when no fields are named."""
    fields = ("id", "tag_id", "state", "create_event", "dist", "opts", "task_id")
    full = _repo(world, row)
    return {field: full[field] for field in fields} | {"custom_opts": {}}


def repo(world: World, tasks: TaskTable, row: Repo) -> Row:
    """A repository as getRepo and repoInfo show it."""
    return {
        **_repo(world, row),
        "creation_time": text_time(row.creation_ts),
        "state_time": text_time(row.state_ts),
        "begin_event": row.begin_event,
        "begin_ts": world.event_ts(row.begin_event) if row.begin_event else None,
        "end_ts": None,
        "custom_opts": {},
        "task_state": tasks[row.task_id].state,
    }


def repo_request(world: World, tasks: TaskTable, row: Request) -> Row:
    state = tasks[row.task_id].state if row.task_id else None
    return {
        "id": row.id,
        "tag_id": row.tag_id,
        "tag_name": world.tags[row.tag_id].name,
        "owner": row.owner,
        "owner_name": world.users[row.owner].name,
        "priority": row.priority,
        "min_event": row.min_event,
        "at_event": None,
        "opts": {},
        "active": row.repo_id is None,
        "repo_id": row.repo_id,
        "task_id": row.task_id,
        "task_state": state,
        "tries": 0 if row.task_id is None else 1,
        "create_time": text_time(row.create_ts),
        "create_ts": row.create_ts,
        "update_time": text_time(row.update_ts),
        "update_ts": row.update_ts,
    }
