"""Commands that let go of old history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from admin.context import Admin, now
from admin.options import Command, dry_run_option, json_option, pass_admin
from admin.output import print_json, say
from admin.progress import Show, progress
from koschei import orphans, retention
from koschei.retention import Kind, Step


@click.command(
    "cleanup",
    cls=Command,
    examples=(
        "koschei-admin cleanup",
        "koschei-admin cleanup --older-than 12",
        "koschei-admin cleanup --older-than 3 --dry-run",
    ),
)
@click.option(
    "--older-than", "months", type=int, default=6, show_default=True, metavar="MONTHS", help="At least 2 months."
)
@dry_run_option
@json_option
@pass_admin
def cleanup(admin: Admin, months: int, dry_run: bool, as_json: bool) -> None:
    """Delete old builds and old answers of the resolver.

    What a package's present answer rests on stays, however old. It is not one transaction: it works in small steps that
    are committed one by one and let the services go on. When it is interrupted, run it again.
    """
    steps = retention.cleanup_steps(months, now())
    if dry_run:
        _tell(retention.count(admin.database, steps, batch=admin.config.retention.batch), as_json, "to delete")
    else:
        done: dict[Kind, int] = {}
        with progress("Cleanup") as show:
            messages = _carry_out(admin, "Cleanup", steps, done, show)
        _report(messages, done, as_json)


@click.command(
    "retention",
    cls=Command,
    examples=("koschei-admin retention", "koschei-admin retention --json", "koschei-admin retention --apply"),
)
@click.option("--apply", is_flag=True, help="Delete it. Without this, only tell.")
@dry_run_option
@json_option
@pass_admin
def keep(admin: Admin, apply: bool, dry_run: bool, as_json: bool) -> None:
    """Show how long history is kept (the section [retention] of the settings), and what is older.

    Without --apply, it only tells. What a package's present answer rests on stays, however old. Made for a CronJob, and
    not one transaction: it works in small steps that are committed one by one and let the services go on. When it is
    interrupted, run it again. Binary packages that no build and no change names any more go at the end.
    """
    settings = admin.config.retention
    steps = retention.policy_steps(settings, now())
    if apply and not dry_run:
        with progress("Retention") as show:
            messages, done = _apply(admin, steps, show)
        _report(messages, done, as_json)
        return
    if not as_json:
        for key, value in settings.model_dump().items():
            click.echo(f"retention.{key} = {value}{'  (for ever)' if value == 0 else ''}")
        click.echo()
    found = retention.count(admin.database, steps, batch=settings.batch)
    found[Kind.DEPENDENCIES] = orphans.count(admin.database)
    if as_json:
        print_json({"policy": settings.model_dump(), "to_delete": found})
    else:
        _tell(found, False, "to delete")


def _apply(admin: Admin, steps: Sequence[Step], show: Show) -> tuple[list[str], dict[Kind, int]]:
    done: dict[Kind, int] = {}
    messages = _carry_out(admin, "Retention", steps, done, show)
    messages += orphans.sweep(admin.database, admin.actor, "Retention", progress=_progress(admin, done, show))
    return messages, done


def _carry_out(admin: Admin, title: str, steps: Sequence[Step], done: dict[Kind, int], show: Show) -> list[str]:
    heard, batch = _progress(admin, done, show), admin.config.retention.batch
    return retention.carry_out(admin.database, admin.actor, title, steps, batch=batch, progress=heard)


def _progress(admin: Admin, done: dict[Kind, int], show: Show) -> retention.Progress:
    """Counts what is deleted, and shows it."""

    def heard(kind: Kind, number: int) -> None:
        done[kind] = done.get(kind, 0) + number
        admin.changed = admin.changed or number > 0
        show(f"Deleting {kind}", done[kind])

    return heard


def _report(messages: Sequence[str], done: dict[Kind, int], as_json: bool) -> None:
    if as_json:
        _tell(done, True, "deleted")
    else:
        say(messages)


def _tell(numbers: Mapping[Kind, int], as_json: bool, what: str) -> None:
    if as_json:
        print_json({what.replace(" ", "_"): numbers})
        return
    for kind, number in numbers.items():
        click.echo(f"{number} {kind} {what}")


COMMANDS = (cleanup, keep)
