"""Commands about packages."""

from __future__ import annotations

import click
from sqlalchemy.orm import Session

from admin.bulk import carry_out, chosen_groups
from admin.context import Admin, now
from admin.options import Command, collection_option, dry_run_option, json_messages, pass_admin
from koschei import packages
from koschei.packages import Edit


@click.command(
    "add-pkg",
    cls=Command,
    examples=(
        "koschei-admin add-pkg -c f27 foo bar",
        "koschei-admin add-pkg -c f27 $(cat packages.txt)",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@collection_option(required=True)
@dry_run_option
@json_messages
@pass_admin
def add_pkg(admin: Admin, names: tuple[str, ...], dry_run: bool) -> None:
    """Have packages tested from now on.

    If any name is unknown, nothing is done.
    """
    carry_out(
        admin,
        lambda session: packages.track(session, admin.actor, admin.the_collection(session), names, now=now()),
        dry_run=dry_run,
        title="Tracking",
    )


@click.command(
    "set-priority",
    cls=Command,
    examples=(
        "koschei-admin set-priority --collection f27 foo bar 500",
        "koschei-admin --collection f27 set-priority --static foo 100",
        "koschei-admin set-priority -c f27 --static foo -1000",
        "koschei-admin set-priority -c f27 --group mygroup 500 --dry-run",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.argument("value", type=int, metavar="PRIORITY")
@click.option("--static", is_flag=True, help="For good. Otherwise until the build it causes has succeeded or failed.")
@click.option("--group", "is_group", is_flag=True, help="NAME is a group: set it for all packages in it.")
@collection_option(required=True)
@dry_run_option
@json_messages
@pass_admin
def set_priority(admin: Admin, names: tuple[str, ...], value: int, static: bool, is_group: bool, dry_run: bool) -> None:
    """Set the manual (or static) priority of packages.

    If any name is unknown, nothing is done.

    It is added to what changed dependencies and elapsed time are worth; at priorities.build_threshold (256) a package
    is built. Negative numbers put builds off.
    """

    def work(session: Session) -> list[str]:
        collection = admin.the_collection(session)
        if not is_group:
            return packages.set_priority(session, admin.actor, collection, names, value, static=static, now=now())
        wish = Edit(static_priority=value) if static else Edit(manual_priority=value)
        ids = chosen_groups(session, admin, names)
        return packages.edit_many(session, admin.actor, ids, wish, known_arches=(), now=now())

    carry_out(admin, work, dry_run=dry_run, title="Setting priorities")


COMMANDS = (add_pkg, set_priority)
