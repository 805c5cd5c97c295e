"""Commands that split, copy and delete whole collections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import Progress

from admin.context import Admin, now, say
from admin.options import Command, pass_admin
from koschei import branching
from koschei.branching import Wish

F = TypeVar("F", bound=Callable[..., Any])


def wish_options(*, name: str, target: str, version: str) -> Callable[[F], F]:
    """The options of branching and forking, with the words for what they mean in either."""
    options = (
        click.option("-d", "--display-name", required=True, metavar="TEXT", help=name),
        click.option("-t", "--target", required=True, metavar="TARGET", help=target),
        click.option("--dest-tag", default="", metavar="TAG", help="Its tag. [the build tag of its target]"),
        click.option("--bugzilla-version", metavar="TEXT", help=version),
    )

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@click.command(
    "branch-collection",
    cls=Command,
    examples=("koschei-admin branch-collection f27 f28 -d 'Fedora 27' -t f28 --bugzilla-version 27",),
)
@click.argument("master")
@click.argument("new_name", metavar="NEW")
@wish_options(
    name="Name for people of the branch, which is MASTER from now on.",
    target="Koji target of NEW.",
    version="For links that file a bug against the branch.",
)
@pass_admin
def branch_collection(admin: Admin, /, master: str, new_name: str, **wish: Any) -> None:
    """Branch the collection MASTER: it becomes NEW, and a copy of it stays behind as MASTER.

    The collection itself goes on as NEW, one place higher, with another Koji target. The copy keeps the name, the
    target and the tag; it has all packages, the builds of the last month and those that the packages' states rest on,
    and their history. It is all or nothing, and nobody has to wait meanwhile.
    """
    say(branching.branch(admin.transaction, admin.actor, admin.koji, master, new_name, Wish(**wish), now=now()))


@click.command(
    "fork-collection",
    cls=Command,
    examples=("koschei-admin fork-collection f28 f28-side -d 'Fedora 28, side tag' -t f28-side --dest-tag f28",),
)
@click.argument("master")
@click.argument("new_name", metavar="NEW")
@wish_options(
    name="Name for people of NEW.",
    target="Koji target of NEW.",
    version="For links that file a bug against NEW. [that of MASTER]",
)
@pass_admin
def fork_collection(admin: Admin, /, master: str, new_name: str, **wish: Any) -> None:
    """Make the collection NEW, with the packages of MASTER and the builds that their states rest on.

    MASTER stays as it is.
    """
    say(branching.fork(admin.transaction, admin.actor, admin.koji, master, new_name, Wish(**wish), now=now()))


@click.command(
    "delete-collection",
    cls=Command,
    examples=("koschei-admin delete-collection f26", "koschei-admin delete-collection --force f39"),
)
@click.argument("name")
@click.option("-f", "--force", is_flag=True, help="Even if it has packages. They cannot be brought back.")
@pass_admin
def delete_collection(admin: Admin, name: str, force: bool) -> None:
    """Delete the collection NAME with its packages, their builds and their history.

    Packages are deleted a few at a time, so that nobody has to wait. If it is interrupted, the same command goes on.
    Builds that run in Koji go on there.
    """
    terminal = Console(stderr=True)
    with Progress(console=terminal, transient=True, disable=not terminal.is_terminal) as bar:
        task = bar.add_task(f"Deleting {name}", total=None)
        messages = branching.delete(
            admin.database,
            admin.actor,
            name,
            force=force,
            begin=admin.transaction,
            say=click.echo,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    say(messages)


COMMANDS = (branch_collection, fork_collection, delete_collection)
