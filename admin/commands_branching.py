"""Commands that split, copy and delete whole collections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from admin.bulk import attempt, confirm
from admin.context import Admin, now
from admin.options import Command, dry_run_option, force_option, json_messages, pass_admin
from admin.output import dry_run_is_on, say, telling
from admin.progress import progress
from koschei import branching, collections
from koschei.branching import Wish
from koschei.queries import collections as queries


def copying(
    name: str, operation: Callable[..., list[str]], *, example: str, title: str, target: str, version: str
) -> Callable[[Callable[..., Any]], click.Command]:
    """A command that makes a collection out of another one; what it decorates only has its help."""

    def decorate(described: Callable[..., Any]) -> click.Command:
        @click.command(name, cls=Command, examples=(example,), help=described.__doc__)
        @click.argument("master")
        @click.argument("new_name", metavar="NEW")
        @click.option("-d", "--display-name", required=True, metavar="TEXT", help=title)
        @click.option("-t", "--target", required=True, metavar="TARGET", help=target)
        @click.option("--dest-tag", default="", metavar="TAG", help="Its tag. [the build tag of its target]")
        @click.option("--bugzilla-version", metavar="TEXT", help=version)
        @dry_run_option
        @json_messages
        @pass_admin
        def command(admin: Admin, /, master: str, new_name: str, dry_run: bool, **wish: Any) -> None:
            with progress(f"Copying {master}", counted=False):
                messages = operation(
                    admin.database,
                    admin.actor,
                    admin.koji,
                    master,
                    new_name,
                    Wish(**wish),
                    now=now(),
                    begin=lambda: attempt(admin, dry_run=dry_run),
                )
            say(messages)

        return command

    return decorate


@copying(
    "branch-collection",
    branching.branch,
    example="koschei-admin branch-collection f27 f28 -d 'Fedora 27' -t f28 --bugzilla-version 27",
    title="Name for people of the branch, which is MASTER from now on.",
    target="Koji target of NEW.",
    version="For links that file a bug against the branch.",
)
def branch_collection() -> None:
    """Branch the collection MASTER: it becomes NEW, and a copy of it stays behind as MASTER.

    The collection itself goes on as NEW, one place higher, with another Koji target. The copy keeps the name, the
    target and the tag; it has all packages, the builds of the last month and those that the packages' states rest on,
    and their history. It is all or nothing, and nobody has to wait meanwhile. A dry run does all of it and takes it
    back.
    """


@copying(
    "fork-collection",
    branching.fork,
    example="koschei-admin fork-collection f28 f28-side -d 'Fedora 28, side tag' -t f28-side --dest-tag f28",
    title="Name for people of NEW.",
    target="Koji target of NEW.",
    version="For links that file a bug against NEW. [that of MASTER]",
)
def fork_collection() -> None:
    """Make the collection NEW, with the packages of MASTER and the builds that their states rest on.

    MASTER stays as it is. It is all or nothing; a dry run does all of it and takes it back.
    """


@click.command(
    "delete-collection",
    cls=Command,
    examples=("koschei-admin delete-collection f26 --dry-run", "koschei-admin delete-collection --force f39"),
)
@click.argument("name")
@force_option
@dry_run_option
@json_messages
@pass_admin
def delete_collection(admin: Admin, name: str, force: bool, dry_run: bool) -> None:
    """Delete the collection NAME with its packages, their builds and their history.

    They cannot be brought back. If there are packages, it asks first. It is not one transaction: packages are deleted a
    few at a time, so that nobody has to wait. If it is interrupted, the same command goes on. Builds that run in Koji
    go on there.
    """
    with admin.reading() as session:
        size = queries.size(session, collections.by_name(session, name).id)
    if dry_run:
        dry_run_is_on()
        say([f"Collection {name} deleted, with {size.packages} packages and {size.builds} builds"])
        return
    if size.packages and not force:
        confirm(
            f"Delete collection {name} with its {size.packages} packages, {size.builds} builds and their history? "
            "They cannot be brought back."
        )
    with telling() as tell, progress(f"Deleting {name}", size.packages) as show:
        messages = branching.delete(
            admin.database,
            admin.actor,
            name,
            force=True,
            begin=admin.transaction,
            say=tell,
            progress=lambda done, total: show(done=done, total=total),
        )
        for message in messages:
            tell(message)


COMMANDS = (branch_collection, fork_collection, delete_collection)
