"""The few pages of Koji's web interface that others link to: a task, a build, a package."""

from __future__ import annotations

import html
from typing import Any

import koji

from .hub import Hub
from .rows import text_time


def render(hub: Hub, page: str, query: dict[str, str]) -> str | None:
    """HTML of taskinfo?taskID=, buildinfo?buildID=, packageinfo?packageID= or search?match=exact&type=&terms=.

    None when there is no such thing.
    """
    renderers: dict[str, Any] = {"taskinfo": _task, "buildinfo": _build, "packageinfo": _package, "search": _search}
    renderer = renderers.get(page)
    if renderer is None:
        return None
    with hub.locked():
        found = renderer(hub, query)
    return None if found is None else _page(*found)


def _page(title: str, rows: list[tuple[str, str]]) -> str:
    body = "".join(f"<tr><th>{html.escape(name)}</th><td>{value}</td></tr>" for name, value in rows)
    title = html.escape(title)
    return f"<!DOCTYPE html><html lang='en'><title>{title} | Koji</title><h1>{title}</h1><table>{body}</table></html>\n"


def _number(query: dict[str, str], key: str) -> int:
    value = query.get(key, "")
    return int(value) if value.isdecimal() else 0


def _task(hub: Hub, query: dict[str, str]) -> tuple[str, list[tuple[str, str]]] | None:
    task = hub.tasks.get(_number(query, "taskID"))
    if task is None:
        return None
    directory = hub.tasks.directory(task)
    files = sorted(file.name for file in directory.iterdir()) if directory.is_dir() else []
    base = f"/kojifiles/work/{koji.pathinfo.taskrelpath(task.id)}"
    rows = [
        ("State", koji.TASK_STATES[task.state].lower()),
        ("Owner", html.escape(hub.world.users[task.owner].name)),
        ("Parameters", html.escape(repr(task.request))),
        ("Created", text_time(task.create_ts) or ""),
        ("Finished", text_time(task.completion_ts) or ""),
        ("Result", html.escape(task.fault.faultString) if task.fault else ""),
        ("Descendants", " ".join(f"<a href='taskinfo?taskID={child}'>{child}</a>" for child in task.children)),
        ("Output", " ".join(f"<a href='{base}/{html.escape(name)}'>{html.escape(name)}</a>" for name in files)),
    ]
    return f"Task {task.method} ({task.label or task.id})", rows


def _build(hub: Hub, query: dict[str, str]) -> tuple[str, list[tuple[str, str]]] | None:
    build = hub.world.build(_number(query, "buildID"))
    if build is None:
        return None
    task = f"<a href='taskinfo?taskID={build.task_id}'>{build.task_id}</a>" if build.task_id else "none"
    rows = [
        ("State", koji.BUILD_STATES[build.state].lower()),
        ("Built by", html.escape(hub.world.users[build.owner_id].name)),
        ("Completed", text_time(build.completion_ts) or ""),
        ("Task", task),
        ("RPMs", "<br>".join(html.escape(rpm.nvra) for rpm in build.rpms)),
    ]
    return build.nvr, rows


def _package(hub: Hub, query: dict[str, str]) -> tuple[str, list[tuple[str, str]]] | None:
    wanted = query.get("packageID", "")
    package_id = int(wanted) if wanted.isdecimal() else hub.world.package_id(wanted)
    if package_id not in hub.world.packages:
        return None
    builds = [build for build in hub.world.builds.values() if build.package_id == package_id]
    links = "<br>".join(f"<a href='buildinfo?buildID={build.id}'>{html.escape(build.nvr)}</a>" for build in builds)
    return hub.world.packages[package_id], [("Builds", links)]


def _search(hub: Hub, query: dict[str, str]) -> tuple[str, list[tuple[str, str]]] | None:
    """What Koji leads to when a search for an exact name finds one thing."""
    kind, name = query.get("type"), query.get("terms", "")
    if kind == "package":
        number = hub.world.package_id(name)
        return None if number is None else _package(hub, {"packageID": str(number)})
    found = [build.id for build in hub.world.builds.values() if kind == "build" and build.nvr == name]
    return _build(hub, {"buildID": str(found[-1])}) if found else None
