"""Commands that mend: cancel a build, have packages resolved again, compare with Koji, look at everything."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import click

from admin.bulk import attempt, carry_out
from admin.context import Admin, now
from admin.options import (
    SECONDS,
    Command,
    collection_option,
    dry_run_option,
    json_messages,
    json_option,
    pass_admin,
)
from admin.output import print_json
from admin.progress import progress
from koschei import packages, requests
from koschei.errors import ServiceError
from koschei.rules.ids import LARGEST_ID

LOOK_AGAIN = 0.5
"""Seconds between two looks at whether the resolver has answered."""


@click.command("cancel-build", cls=Command, examples=("koschei-admin cancel-build 1234",))
@click.argument("build_id", type=click.IntRange(1, LARGEST_ID), metavar="ID")
@json_messages
@pass_admin
def cancel_build(admin: Admin, build_id: int) -> None:
    """Have a running build cancelled.

    ID is the number that `list-builds --running` shows. Polling cancels it in Koji, within seconds if it runs.
    """
    carry_out(admin, lambda session: [requests.cancel_build(session, admin.actor, build_id)])


@click.command(
    "resolve",
    cls=Command,
    examples=("koschei-admin resolve foo bar", "koschei-admin resolve -c f27 foo --wait"),
)
@click.argument("names", nargs=-1, required=True, metavar="PACKAGE...")
@click.option("--wait", is_flag=True, help="Wait for the answer.")
@click.option("--timeout", type=SECONDS, default=600, show_default=True, help="Wait at most so many seconds.")
@collection_option(required=False, help="In this collection only; otherwise in all that have the package.")
@dry_run_option
@json_option
@pass_admin
def resolve(admin: Admin, names: tuple[str, ...], wait: bool, timeout: int, dry_run: bool, as_json: bool) -> None:
    """Have the dependencies of packages resolved again.

    They are looked at by the repo-resolver, in the repository that it judged last, without waiting for the next one.
    What it would not look at (untracked, blocked, never built, broken buildroot) is named. If any name is unknown,
    nothing is done.
    """
    with attempt(admin, dry_run=dry_run) as session:
        asked = requests.resolve(session, admin.actor, packages.named(session, names, admin.find_collection(session)))
    if not as_json:
        for message in asked.messages:
            click.echo(message)
        for text in asked.left_out:
            click.echo(text, err=True)
    if wait and not dry_run:
        _await(admin, asked.waiting, timeout)
    answers = _answers(admin, asked.waiting) if wait and not dry_run else []
    if as_json:
        print_json({"messages": asked.messages, "dry_run": dry_run, "left_out": asked.left_out, "answers": answers})
        return
    for one in answers:
        answer = "can be installed" if one["resolved"] else "cannot be installed"
        click.echo(f"Dependencies of {one['package']} in {one['collection']} {answer}")


def _await(admin: Admin, package_ids: Sequence[int], timeout: float) -> None:
    total, deadline = len(package_ids), time.monotonic() + timeout
    with progress("Resolving", total) as show:
        while True:
            with admin.reading() as session:
                left = requests.unanswered(session, package_ids)
            show(done=total - left)
            if not left:
                return
            if time.monotonic() >= deadline:
                raise ServiceError(
                    f"{left} of {total} packages have not been resolved within {timeout:g} s; they stay asked for. "
                    "`koschei-admin status` says whether the repo-resolver works"
                )
            time.sleep(LOOK_AGAIN)


def _answers(admin: Admin, package_ids: Sequence[int]) -> list[dict[str, object]]:
    with admin.reading() as session:
        return [
            {"package": package.name, "collection": package.collection.name, "resolved": package.resolved}
            for package in requests.packages_of(session, package_ids)
        ]


@click.command(
    "reconcile",
    cls=Command,
    examples=(
        "koschei-admin reconcile --dry-run",
        "koschei-admin reconcile",
        "koschei-admin reconcile -c f27 --believe --dry-run",
    ),
)
@click.option("--believe", is_flag=True, help="Take Koji's lists of the collection as they are, whatever they lack.")
@dry_run_option
@collection_option(required=False, help="Package list and real builds of this collection only.")
@json_option
@click.pass_context
def reconcile(ctx: click.Context, believe: bool, dry_run: bool, as_json: bool) -> None:
    """Compare with Koji, and repair what differs.

    Running builds, submissions whose task is not known, package lists and real builds: what polling does, now. It is
    not one transaction, but steps that are committed one by one, and safe while the services run. The exit status is 3
    if something could not be repaired.

    A list that suddenly lacks many packages is taken for a mistake of Koji's. If it is true, as after another
    destination tag, --believe has them blocked, and their builds untagged; it needs --collection.
    """
    from koschei.reconciliation import Reconciler  # late: Koji's libraries take long to load

    admin = ctx.ensure_object(Admin)
    if believe and admin.collection is None:
        raise click.UsageError("--believe is about one collection: name it with --collection", ctx)
    with admin.reading() as session:
        collection = admin.find_collection(session)
        only = None if collection is None else collection.name
    work = Reconciler(admin.database, admin.koji, admin.config, now(), dry_run, believe)
    steps = itertools.count()
    with progress(total=work.steps(only)) as show:
        found = replace(work, progress=lambda text: show(text, next(steps))).run(admin.actor, only)
    if as_json:
        print_json(found)
    for difference in found if not as_json else ():
        click.echo(f"{difference.subject}: {difference.text}", err=difference.trouble)
    if not found and not as_json:
        click.echo("Everything is as Koji says")
    elif dry_run and not as_json:
        click.echo("Nothing was changed: --dry-run")
    if any(difference.trouble for difference in found):
        ctx.exit(3)


@click.command("doctor", cls=Command, examples=("koschei-admin doctor", "koschei-admin doctor --json"))
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look at everything Koschei needs, and say what to do.

    That is: the database, Koji and our login there, the bus, repositories, clocks, disk, settings, and the services'
    pulse. The exit status is 1 if anything is wrong. Nothing is changed.
    """
    from koschei.doctor import State, findings  # late: Koji's libraries take long to load

    found = []
    for finding in findings(ctx.ensure_object(Admin).config, now()):
        found.append(finding)
        if not as_json:
            click.echo(f"{finding.state:8}{finding.name}: {finding.text}")
            if finding.remedy:
                click.echo(f"{'':8}-> {finding.remedy}")
    counts = Counter(finding.state for finding in found)
    if as_json:
        print_json(found)
    else:
        click.echo(f"{counts[State.WRONG]} wrong, {counts[State.DOUBT]} doubtful, {counts[State.WELL]} well")
    if counts[State.WRONG]:
        ctx.exit(1)


COMMANDS = (cancel_build, resolve, reconcile, doctor)
