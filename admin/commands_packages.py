"""Commands about packages."""

from __future__ import annotations

import click

from admin.context import Admin, now, say
from admin.options import Command, collection_option, pass_admin
from koschei import packages


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
@pass_admin
def add_pkg(admin: Admin, names: tuple[str, ...]) -> None:
    """Have packages tested from now on.

    If any name is unknown, nothing is done.
    """
    with admin.transaction() as session:
        collection = admin.the_collection(session)
        messages = packages.track(session, admin.actor, collection, names, now=now())
    say(messages)


@click.command(
    "set-priority",
    cls=Command,
    examples=(
        "koschei-admin set-priority --collection f27 foo bar 500",
        "koschei-admin --collection f27 set-priority --static foo 100",
        "koschei-admin set-priority -c f27 --static foo -1000",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.argument("value", type=int, metavar="PRIORITY")
@click.option("--static", is_flag=True, help="For good. Otherwise until the build that it causes has finished.")
@collection_option(required=True)
@pass_admin
def set_priority(admin: Admin, names: tuple[str, ...], value: int, static: bool) -> None:
    """Set the manual (or static) priority of packages.

    If any name is unknown, nothing is done.

    It is added to what changed dependencies and elapsed time are worth; at priorities.build_threshold (256) a package
    is built. Negative numbers put builds off.
    """
    with admin.transaction() as session:
        collection = admin.the_collection(session)
        messages = packages.set_priority(session, admin.actor, collection, names, value, static=static, now=now())
    say(messages)


COMMANDS = (add_pkg, set_priority)
