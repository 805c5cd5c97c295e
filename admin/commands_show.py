"""Commands that show packages and builds as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from admin.context import Admin, now
from admin.options import COUNT, Command, collection_option, json_option, pass_admin
from admin.output import ago, duration, print_json
from admin.tables import print_table
from koschei import packages
from koschei.errors import NotFoundError
from koschei.queries import build_lines, builds, changes, insight, package, package_lines
from koschei.queries.build_lines import BuildLine
from koschei.rules.ids import LARGEST_ID
from koschei.rules.verdict import TaskState

SHOWN_BUILDS = 5
SHOWN_CHANGES = 1000


@click.command(
    "show-package",
    cls=Command,
    examples=("koschei-admin show-package foo", "koschei-admin show-package -c f27 foo --json"),
)
@click.argument("name", metavar="PACKAGE")
@collection_option(required=False, help="In this collection only; otherwise in all that have the package.")
@json_option
@pass_admin
def show_package(admin: Admin, name: str, as_json: bool) -> None:
    """Show what is set about a package, its groups, its last builds and its changes of state.

    `explain` says why it is so.
    """
    moment = now()
    with admin.reading() as session:
        found = packages.named(session, [name], admin.find_collection(session))
        data: dict[str, Any] = {
            "name": name,
            "groups": package_lines.groups(session, {one.base_id for one in found}),
            "collections": {},
        }
        for one in found:
            data["collections"][one.collection.name] = {
                "state": one.state,
                "since": one.state_since,
                "tracked": one.tracked,
                "blocked": one.blocked,
                "resolved": one.resolved,
                "needs resolution": one.needs_resolution,
                "skip resolution": one.skip_resolution,
                "arch override": one.arch_override,
                "manual priority": one.manual_priority,
                "static priority": one.static_priority,
                "not built before": one.retry_after,
                "builds": build_lines.of_packages(session, [one.id], SHOWN_BUILDS),
                "history": [
                    {"timestamp": move.timestamp, "from": move.prev, "to": move.new, "cause": move.cause}
                    for move in package.state_changes(session, one.id, SHOWN_BUILDS)
                ],
            }
    if as_json:
        print_json(data)
        return
    click.echo(f"{name}; groups: {', '.join(data['groups']) or 'none'}")
    for collection, values in data["collections"].items():
        click.echo(f"\n{collection}:")
        lines, history = values.pop("builds"), values.pop("history")
        print_table(("", ""), ((f"  {key}", _plain(value)) for key, value in values.items()))
        for move in history:
            click.echo(f"  {move['timestamp']:%Y-%m-%d %H:%M} UTC: {move['from']} -> {move['to']} by {move['cause']}")
        if lines:
            _print_builds(lines, moment)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


@click.command(
    "list-builds",
    cls=Command,
    examples=(
        "koschei-admin list-builds foo",
        "koschei-admin list-builds foo -c f27 --limit 100 --json",
        "koschei-admin list-builds --running",
    ),
)
@click.argument("name", required=False, metavar="[PACKAGE]")
@click.option("--running", is_flag=True, help="The builds of all packages that are running.")
@click.option("--limit", type=COUNT, default=20, show_default=True, help="At most so many.")
@collection_option(required=False, help="In this collection only.")
@json_option
@pass_admin
def list_builds(admin: Admin, name: str | None, running: bool, limit: int, as_json: bool) -> None:
    """List the builds of a package, newest first, or all that run, the longest running first."""
    if running == (name is not None):
        raise click.UsageError("Name a package, or say --running")
    with admin.reading() as session:
        collection = admin.find_collection(session)
        if name is None:
            found = build_lines.running(session, collection, limit)
        else:
            ids = [one.id for one in packages.named(session, [name], collection)]
            found = build_lines.of_packages(session, ids, limit)
    if as_json:
        print_json(found)
    elif found:
        _print_builds(found, now())
    else:
        click.echo("There is no such build", err=True)


def _print_builds(lines: Sequence[BuildLine], moment: datetime) -> None:
    rows = [
        (
            line.id,
            line.package,
            line.collection,
            line.version,
            "real" if line.real else "scratch",
            _state(line),
            line.task_id,
            ago(line.started, moment),
            duration((line.finished or moment) - line.started),
        )
        for line in lines
    ]
    print_table(("BUILD", "PACKAGE", "COLLECTION", "VERSION", "KIND", "STATE", "TASK", "STARTED", "TOOK"), rows)


def _state(line: BuildLine) -> str:
    words = [line.state]
    if line.untagged:
        words.append("untagged")
    if line.cancel_requested and line.finished is None:
        words.append("to be cancelled")
    return ", ".join(words)


@click.command(
    "show-build",
    cls=Command,
    examples=("koschei-admin show-build 1234", "koschei-admin show-build 1234 --json"),
)
@click.argument("build_id", type=click.IntRange(1, LARGEST_ID), metavar="ID")
@json_option
@pass_admin
def show_build(admin: Admin, build_id: int, as_json: bool) -> None:
    """Show a build, its tasks, and what changed before it.

    ID is the number that list-builds and the build's page have.
    """
    with admin.reading() as session:
        detail = builds.build_detail(session, build_id)
        if detail is None:
            raise NotFoundError(f"There is no build {build_id}; `koschei-admin list-builds PACKAGE` lists a package's")
        found = changes.of_builds(session, [build_id], SHOWN_CHANGES)[build_id]
        line = build_lines.line(detail.build, detail.package)
        data: dict[str, Any] = {
            "build": line,
            "submission": detail.build.submission,
            "dependencies_known": detail.build.deps_resolved,
            "previous": detail.previous.id if detail.previous else None,
            "following": detail.following.id if detail.following else None,
            "tasks": [
                {"task_id": t.task_id, "arch": t.arch, "state": TaskState(t.state).name.lower()} for t in detail.tasks
            ],
            "changes": [insight.change_line(change) for change in found.shown],
            "changes_total": found.total,
        }
    if as_json:
        print_json(data)
        return
    _print_builds([line], now())
    if line.fault:
        click.echo(f"Fault: {line.fault}")
    click.echo(f"Repository {line.repo_id or 'not known'}, build before: {data['previous'] or 'none'}")
    if data["submission"]:
        click.echo(f"Asked for by {data['submission'].get('by', 'somebody')}")
    for task in data["tasks"]:
        click.echo(f"Task {task['task_id']} for {task['arch']}: {task['state']}")
    click.echo(f"Changed dependencies: {data['changes_total']}")
    for change in data["changes"]:
        click.echo(f"  {change.name} {change.before or 'none'} -> {change.after or 'none'} ({change.kind})")


COMMANDS = (show_package, list_builds, show_build)
