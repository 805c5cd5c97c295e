"""Commands about builds."""

from __future__ import annotations

import click

from admin.context import Admin, now
from admin.options import Command, collection_option
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
@click.pass_context
def submit_build(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Submit scratch builds of packages now.

    Priorities, limits and Koji's load play no part.

    What cannot be built (it is being built, it has no source package, the buildroot is broken) is named with the
    reason, and the exit status is 1. If any name is unknown, nothing is submitted.
    """
    admin = ctx.ensure_object(Admin)
    with admin.reading() as session:
        collection = admin.find_collection(session)
        wanted = [
            (package.id, f"{package.name} in {package.collection.name}")
            for package in packages.named(session, names, collection)
        ]
    refused = False
    for package_id, title in wanted:
        result = submission.submit(admin.database, admin.koji, admin.config, package_id, actor=admin.actor, now=now())
        if isinstance(result, submission.Submitted):
            click.echo(f"Build of {title} submitted: task {result.task_id}")
        else:
            click.echo(f"Build of {title} not submitted: {result.reason}", err=True)
            refused = True
    if refused:
        ctx.exit(1)


COMMANDS = (submit_build,)
