"""Commands that look: how everything is, and how it is set up."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from admin.context import Admin, now
from admin.options import Command, Group, json_option, pass_admin
from admin.output import ago, duration, print_json
from koschei import status as operations
from koschei.config import masked
from koschei.errors import NotFoundError
from koschei.status import Health, ServiceReport, StatusReport

STYLES = {Health.OK: "green", Health.LAGGING: "yellow", Health.FAILING: "red", Health.NEVER_SEEN: "yellow"}
LONGEST_LIST = 60
PIPE_WIDTH = 160


@click.command("status", cls=Command, examples=("koschei-admin status", "koschei-admin status --json | jq .services"))
@json_option
@pass_admin
def status(admin: Admin, as_json: bool) -> None:
    """Show services, collections and running builds."""
    with admin.reading() as session:
        report = operations.report(session, admin.config, now())
    if as_json:
        print_json(report)
    else:
        show(report)


def show(report: StatusReport) -> None:
    """Print a report for people."""
    console = Console(file=sys.stdout, markup=False, highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    if report.notice:
        console.print(Text(f"Notice: {report.notice}\n", style="bold"))
    console.print(_services(report))
    console.print()
    console.print(_collections(report))
    console.print()
    if report.running:
        console.print(_running(report))
    console.print(
        f"{len(report.running)} of at most {report.max_builds} builds running, {report.queue} packages waiting"
    )
    if report.publishing:
        waiting = f", the oldest since {ago(report.outbox_oldest, report.now)}" if report.outbox else ""
        console.print(f"{report.outbox} events waiting to be sent{waiting}")
    else:
        console.print(f"{report.outbox} events in the outbox; none is sent, since no bus is configured for it")


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _services(report: StatusReport) -> Table:
    table = _table("SERVICE", "STATE", "LAST SUCCESS", "REMARKS")
    for service in report.services:
        table.add_row(
            Text(service.service),
            Text(service.health, style=STYLES[service.health]),
            Text(ago(service.last_success, report.now)),
            Text(_remarks(service, report)),
        )
    return table


def _remarks(service: ServiceReport, report: StatusReport) -> str:
    if service.error is None or service.error_since is None:
        return ""
    return f"for {duration(report.now - service.error_since)}, {service.failures} times: {service.error}"


def _collections(report: StatusReport) -> Table:
    if not report.collections:
        return _table("No collection yet: koschei-admin create-collection makes one")
    table = _table("COLLECTION", "BUILDROOT", "REPOSITORY", "RESOLVED", "PACKAGES", "TO RESOLVE")
    for collection in report.collections:
        counts = ", ".join(f"{count} {state}" for state, count in collection.packages.items())
        took = collection.resolution_took
        if collection.resolution_started is None:
            resolved = "not yet"
        elif took is None:
            resolved = f"since {duration(report.now - collection.resolution_started)}"
        else:
            resolved = f"{ago(collection.resolution_finished, report.now)}, took {duration(took)}"
        table.add_row(
            Text(collection.name),
            Text(collection.state),
            Text(str(collection.repo_id or "none")),
            Text(resolved),
            Text(counts or "none"),
            Text(str(collection.needing_resolution)),
        )
    return table


def _running(report: StatusReport) -> Table:
    table = _table("RUNNING BUILD", "COLLECTION", "TASK", "AGE")
    for build in report.running[:LONGEST_LIST]:
        task = str(build.task_id) if build.task_id else "being submitted"
        table.add_row(Text(build.package), Text(build.collection), Text(task), Text(duration(build.age)))
    if len(report.running) > LONGEST_LIST:
        table.add_row(Text(f"and {len(report.running) - LONGEST_LIST} more"))
    return table


@click.group("config", cls=Group, examples=("koschei-admin config show",))
def config() -> None:
    """Show the settings."""


@config.command(
    "show",
    examples=(
        "koschei-admin config show",
        "koschei-admin config show koji_config",
        "koschei-admin --config ./my.toml config show --json",
    ),
)
@click.argument("key", required=False)
@json_option
@pass_admin
def config_show(admin: Admin, key: str | None, as_json: bool) -> None:
    """Show the settings in force (those under KEY).

    They are what files and environment together say, or defaults; secrets are hidden.
    """
    tree: Any = masked(admin.config)
    for part in key.split(".") if key else ():
        if not isinstance(tree, dict) or part not in tree:
            raise NotFoundError(f"There is no setting {key}; `koschei-admin config show` lists all")
        tree = tree[part]
    if as_json:
        print_json(tree)
    else:
        for line in toml_lines(tree, key or ""):
            click.echo(line)


def toml_lines(value: Any, key: str) -> Iterator[str]:
    """Settings as lines of a TOML file, with dotted keys; what is unset is a comment."""
    if isinstance(value, dict) and (value or not key):
        for name, item in value.items():
            bare = name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else json.dumps(name)
            yield from toml_lines(item, f"{key}.{bare}" if key else bare)
    elif value is None:
        yield f"# {key} is not set"
    else:
        yield f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    """JSON is TOML for text, numbers, yes and no, and lists of them; tables in lists are written inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value.total_seconds() if isinstance(value, timedelta) else value)


COMMANDS = (status, config)
