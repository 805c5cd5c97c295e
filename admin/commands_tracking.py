"""Commands about which packages are tested, on which architectures, and with which look at their dependencies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import click
from sqlalchemy.orm import Session

from admin.bulk import FILE, carry_out, chosen, chosen_groups, name_of, names_in
from admin.context import Admin, now
from admin.options import Command, collection_option, dry_run_option, force_option, json_messages, pass_admin
from admin.output import json_is_wanted
from koschei import packages
from koschei.errors import InvalidInputError
from koschei.packages import Edit

F = TypeVar("F", bound=Callable[..., Any])
SHOWN = 100


def choice_options(function: F) -> F:
    """How packages are chosen, and where."""
    options = (
        click.argument("names", nargs=-1, metavar="[NAME]..."),
        click.option("--group", metavar="GROUP", help="The packages of that group."),
        click.option(
            "--from-file", "file", type=FILE, metavar="FILE", help="Names from FILE (- for what is piped in)."
        ),
        click.option("--all", "everything", is_flag=True, help="All packages there are."),
        collection_option(required=False, help="In this collection."),
        click.option("--all-collections", is_flag=True, help="In all collections."),
        dry_run_option,
        json_messages,
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command(
    "track",
    cls=Command,
    examples=(
        "koschei-admin track -c f27 foo bar",
        "koschei-admin track --all-collections --group mygroup",
        "koschei-admin track -c f27 --from-file packages.txt --dry-run",
        "koschei-admin track -c f27 --all",
    ),
)
@choice_options
@pass_admin
def track(admin: Admin, /, dry_run: bool, **choice: Any) -> None:
    """Have packages tested from now on.

    If any name is unknown, nothing is done.
    """
    _set_tracked(admin, True, dry_run, **choice)


@click.command(
    "untrack",
    cls=Command,
    examples=(
        "koschei-admin untrack -c f27 foo bar",
        "koschei-admin untrack --all-collections --group mygroup --dry-run",
        "koschei-admin untrack -c f27 --all --force",
    ),
)
@choice_options
@force_option
@pass_admin
def untrack(admin: Admin, /, dry_run: bool, force: bool, **choice: Any) -> None:
    """Have packages not tested any more.

    What is known of them stays. If any name is unknown, nothing is done. With --all, it asks first.
    """
    _set_tracked(admin, False, dry_run, force=force, **choice)


def _set_tracked(
    admin: Admin,
    tracked: bool,
    dry_run: bool,
    *,
    names: tuple[str, ...],
    group: str | None,
    file: BinaryIO | None,
    everything: bool,
    all_collections: bool,
    force: bool = False,
) -> None:
    if sum((bool(names), group is not None, file is not None, everything)) != 1:
        raise click.UsageError("Say which packages: names, or one of --group, --from-file, --all")
    if (admin.collection is None) == (not all_collections):
        raise click.UsageError("Say where: either --collection NAME or --all-collections")
    wanted = names if file is None else names_in(file)
    if file is not None and not wanted:
        raise InvalidInputError(f"{name_of(file)} names no package; nothing was changed")

    def question(session: Session) -> str | None:
        if tracked or not everything:
            return None
        collection = admin.find_collection(session)
        count = len(packages.members(session, None, collection))
        where = "all collections" if collection is None else collection.name
        return f"Stop testing all {count} packages of {where}?"

    def work(session: Session) -> list[str]:
        ids = chosen(session, admin, wanted, group=group, everything=everything)
        messages = packages.set_tracked(session, admin.actor, ids, tracked, now=now())
        return messages if json_is_wanted() else _shortened(messages, "tracked" if tracked else "not tracked any more")

    carry_out(
        admin, work, ask=question, force=force, dry_run=dry_run, title="Tracking" if tracked else "Tracking no more"
    )


def _shortened(messages: list[str], words: str) -> list[str]:
    """So many that a screen can be read; the audit log has them all."""
    rest = len(messages) - SHOWN
    return messages if rest <= 0 else [*messages[:SHOWN], f"... and {rest} more packages {words}"]


@click.command(
    "set-arch-override",
    cls=Command,
    examples=(
        "koschei-admin set-arch-override -c f27 foo bar 'x86_64 aarch64'",
        "koschei-admin set-arch-override foo ^s390x",
        "koschei-admin set-arch-override --group mygroup ''",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.argument("arches", metavar="ARCHES")
@click.option("--group", "is_group", is_flag=True, help="NAME is a group: set it for all packages in it.")
@collection_option(required=False, help="In this collection only; otherwise in all that have the package.")
@dry_run_option
@json_messages
@pass_admin
def set_arch_override(admin: Admin, names: tuple[str, ...], arches: str, is_group: bool, dry_run: bool) -> None:
    """Build packages on these architectures only.

    ARCHES is one argument: architectures with spaces between them, with ^ in front for all but these, or empty ('')
    for what Koji and the source package allow. If any name is unknown, nothing is done.
    """
    _edit(admin, Edit(arch_override=arches), names, is_group, dry_run, "Setting architectures")


@click.command(
    "skip-resolution",
    cls=Command,
    examples=(
        "koschei-admin skip-resolution -c f27 foo bar",
        "koschei-admin skip-resolution -c f27 --group mygroup --dry-run",
        "koschei-admin skip-resolution --undo foo",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--undo", is_flag=True, help="Have them resolved again.")
@click.option("--group", "is_group", is_flag=True, help="NAME is a group: set it for all packages in it.")
@collection_option(required=False, help="In this collection only; otherwise in all that have the package.")
@dry_run_option
@json_messages
@pass_admin
def skip_resolution(admin: Admin, names: tuple[str, ...], undo: bool, is_group: bool, dry_run: bool) -> None:
    """Build packages without resolving their dependencies first.

    Nobody knows then before a build whether they can be installed, or what has changed in them: such a package is built
    for the time gone by and for people's wishes. It is for packages that the resolver cannot judge. If any name is
    unknown, nothing is done.
    """
    _edit(admin, Edit(skip_resolution=not undo), names, is_group, dry_run, "Setting resolution")


def _edit(admin: Admin, wish: Edit, names: tuple[str, ...], is_group: bool, dry_run: bool, title: str) -> None:
    known = admin.config.koji_config.build_arches

    def work(session: Session) -> list[str]:
        ids = chosen_groups(session, admin, names) if is_group else chosen(session, admin, names)
        return packages.edit_many(session, admin.actor, ids, wish, known_arches=known, now=now())

    carry_out(admin, work, dry_run=dry_run, title=title)


COMMANDS = (track, untrack, set_arch_override, skip_resolution)
