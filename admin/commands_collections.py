"""Commands about collections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from admin.bulk import carry_out
from admin.context import Admin, now
from admin.options import Command, json_messages, pass_admin
from koschei import collections
from koschei.collections import Fields

F = TypeVar("F", bound=Callable[..., Any])


def field_options(*, making: bool) -> Callable[[F], F]:
    """The options for the fields of a collection; two of them are needed to make one."""
    options = (
        click.option("-d", "--display-name", required=making, metavar="TEXT", help="Name for people: 'Fedora 27'."),
        click.option("-t", "--target", required=making, metavar="TARGET", help="Koji target of scratch builds."),
        click.option(
            "--dest-tag", metavar="TAG", help="Tag whose packages are tested. Empty, at first: the target's build tag."
        ),
        click.option("-o", "--order", type=int, help="Place among the collections: the highest comes first. [100]"),
        click.option(
            "-p", "--priority-coefficient", type=float, help="Factor of changes and elapsed time in priorities. [1]"
        ),
        click.option("--build-group", metavar="GROUP", help="Koji group that every buildroot starts from. [build]"),
        click.option(
            "--poll-untracked/--no-poll-untracked",
            default=None,
            help="Whether real builds of untracked packages are registered too. [yes]",
        ),
        click.option("--bugzilla-product", metavar="TEXT", help="For links that file a bug; empty for none."),
        click.option("--bugzilla-version", metavar="TEXT", help="For links that file a bug; empty for none."),
    )

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@click.command(
    "create-collection",
    cls=Command,
    examples=(
        "koschei-admin create-collection f27 -d 'Fedora 27' -t f27",
        "koschei-admin create-collection f27 -d 'Fedora 27' -t f27 --dest-tag f27 -o 27 --no-poll-untracked",
    ),
)
@click.argument("name")
@field_options(making=True)
@json_messages
@pass_admin
def create_collection(admin: Admin, /, name: str, **fields: Any) -> None:
    """Make the collection NAME.

    Its build tag is that of its target in Koji. Its packages appear with the next polling.
    """
    wish = Fields(**fields)
    with admin.reading() as session:
        collections.check_new(session, name, wish)
    target = collections.find_target(admin.koji, fields["target"])
    collections.check_tag(admin.koji, wish.dest_tag)
    carry_out(admin, lambda session: collections.create(session, admin.actor, name, wish, target, now=now()))


@click.command(
    "edit-collection",
    cls=Command,
    examples=(
        "koschei-admin edit-collection f27 -d 'Fedora 27' --bugzilla-version 27",
        "koschei-admin edit-collection rawhide -t f28 --dest-tag ''",
        "koschei-admin edit-collection f27 --poll-untracked false",
    ),
)
@click.argument("name")
@click.option("--new-name", metavar="NAME", help="Name it differently.")
@field_options(making=False)
@json_messages
@pass_admin
def edit_collection(admin: Admin, /, name: str, new_name: str | None, **fields: Any) -> None:
    """Change the collection NAME.

    What is not given stays. A target, even the same one, has its build tag read from Koji again.
    """
    wish = Fields(**fields)
    if wish == Fields() and new_name is None:
        raise click.UsageError("Say what to change; --help shows what can be")
    with admin.reading() as session:
        collections.check_change(session, name, wish, new_name)
    target = None if wish.target is None else collections.find_target(admin.koji, wish.target)
    if wish.dest_tag:  # Koji is not even logged into where nothing is to be asked
        collections.check_tag(admin.koji, wish.dest_tag)
    carry_out(
        admin,
        lambda session: collections.edit(session, admin.actor, name, wish, target, new_name=new_name, now=now()),
    )


COMMANDS = (create_collection, edit_collection)
