"""Commands about builds."""

from __future__ import annotations

import click

from admin.context import Admin, now
from admin.options import Command, collection_option, json_option
from admin.output import print_json
from koschei import packages, submission


@click.command(
    "submit-build",
    cls=Command,
    examples=(
        "koschei-admin submit-build -c f27 foo bar",
        "koschei-admin submit-build foo",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@collection_option(required=False, help="Build in this collection only; otherwise in all that have the package.")
@json_option
@click.pass_context
def submit_build(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
    """Submit scratch builds of packages now.

    Priorities, limits and Koji's load play no part.

    What cannot be built (it is being built, it has no source package, the buildroot is broken) is named with the
    reason, and the exit status is 1. If any name is unknown, nothing is submitted. It is not one transaction: when it
    is interrupted, the builds that were named are submitted and the others are not.
    """
    admin = ctx.ensure_object(Admin)
    with admin.reading() as session:
        collection = admin.find_collection(session)
        wanted = [
            (package.id, package.name, package.collection.name)
            for package in packages.named(session, names, collection)
        ]
    outcomes: list[dict[str, object]] = []
    for package_id, package, where in wanted:
        result = submission.submit(admin.database, admin.koji, admin.config, package_id, actor=admin.actor, now=now())
        submitted = isinstance(result, submission.Submitted)
        task_id = result.task_id if isinstance(result, submission.Submitted) else None
        reason = None if isinstance(result, submission.Submitted) else result.reason
        outcomes.append({"package": package, "collection": where, "task_id": task_id, "reason": reason})
        if not as_json:
            end = f"submitted: task {task_id}" if submitted else f"not submitted: {reason}"
            click.echo(f"Build of {package} in {where} {end}", err=not submitted)
    if as_json:
        print_json(outcomes)
    if any(outcome["reason"] is not None for outcome in outcomes):
        ctx.exit(1)


COMMANDS = (submit_build,)
