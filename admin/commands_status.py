"""Commands that look: how everything is, and how it is set up."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import click
from rich.text import Text

from admin.context import Admin, now
from admin.options import Command, Group, json_option, pass_admin
from admin.output import ago, duration, print_json
from admin.tables import print_table
from koschei import status as operations
from koschei import webhooks
from koschei.config import masked
from koschei.errors import NotFoundError
from koschei.status import CollectionReport, Health, ServiceReport, StatusReport

STYLES = {Health.OK: "green", Health.LAGGING: "yellow", Health.FAILING: "red", Health.NEVER_SEEN: "yellow"}
LONGEST_LIST = 60


@click.command(
    "status",
    cls=Command,
    examples=(
        "koschei-admin status",
        "koschei-admin status --json | jq .services",
        "koschei-admin status --check --json | jq .well",
    ),
)
@click.option("--check", is_flag=True, help="Exit status 1 if a service does not do its work, for monitoring.")
@json_option
@click.pass_context
def status(ctx: click.Context, check: bool, as_json: bool) -> None:
    """Show services, collections and running builds.

    All is well when every service does its work: `well` in JSON, or the exit status with --check.
    """
    admin = ctx.ensure_object(Admin)
    with admin.reading() as session:
        report = operations.report(session, admin.config, now())
    if as_json:
        fields = {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}
        print_json({"well": report.well, **fields})
    else:
        show(report)
    if check and not report.well:
        ill = [f"{one.service} is {one.health}" for one in report.services if one.health is not Health.OK]
        click.echo(f"Not well: {', '.join(ill)}; `koschei-admin doctor` says what to do", err=True)
        ctx.exit(1)


def show(report: StatusReport) -> None:
    """Print a report for people."""
    if report.notice:
        click.echo(f"Notice: {report.notice}\n")
    print_table(("SERVICE", "STATE", "LAST SUCCESS", "REMARKS"), (_service(one, report) for one in report.services))
    click.echo()
    if report.collections:
        headings = ("COLLECTION", "BUILDROOT", "REPOSITORY", "RESOLVED", "PACKAGES", "TO RESOLVE")
        print_table(headings, (_collection(one, report) for one in report.collections))
    else:
        click.echo("No collection yet: koschei-admin create-collection makes one")
    click.echo()
    if report.running:
        print_table(("RUNNING BUILD", "COLLECTION", "TASK", "AGE"), _running(report))
    click.echo(f"{len(report.running)} of at most {report.max_builds} builds running, {report.queue} packages waiting")
    if report.publishing:
        waiting = f", the oldest since {ago(report.outbox_oldest, report.now)}" if report.outbox else ""
        click.echo(f"{report.outbox} events waiting to be sent{waiting}")
    else:
        click.echo(f"{report.outbox} events in the outbox; none is sent, since no bus is configured for it")
    for webhook in report.webhooks:
        if webhook.health is not webhooks.Health.OK:
            click.echo(f"Webhook {webhook.name} is {webhook.remarks}")


def _service(service: ServiceReport, report: StatusReport) -> tuple[object, ...]:
    remarks = ""
    if service.error is not None and service.error_since is not None:
        remarks = f"for {duration(report.now - service.error_since)}, {service.failures} times: {service.error}"
    health = Text(service.health, style=STYLES[service.health])
    return service.service, health, ago(service.last_success, report.now), remarks


def _collection(collection: CollectionReport, report: StatusReport) -> tuple[object, ...]:
    counts = ", ".join(f"{count} {state}" for state, count in collection.packages.items())
    took = collection.resolution_took
    if collection.resolution_started is None:
        resolved = "not yet"
    elif took is None:
        resolved = f"since {duration(report.now - collection.resolution_started)}"
    else:
        resolved = f"{ago(collection.resolution_finished, report.now)}, took {duration(took)}"
    repository = collection.repo_id or "none"
    return collection.name, collection.state, repository, resolved, counts or "none", collection.needing_resolution


def _running(report: StatusReport) -> Iterator[tuple[object, ...]]:
    for build in report.running[:LONGEST_LIST]:
        yield build.package, build.collection, build.task_id or "being submitted", duration(build.age)
    if len(report.running) > LONGEST_LIST:
        yield (f"and {len(report.running) - LONGEST_LIST} more",)


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
