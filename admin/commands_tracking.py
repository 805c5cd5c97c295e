"""Commands about which packages are tested, and on which architectures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, TypeVar

import click
from sqlalchemy.orm import Session

from admin.bulk import FILE, attempt, confirm, names_in
from admin.context import Admin, now, say
from admin.options import Command, collection_option, pass_admin
from koschei import groups, packages
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
        click.option("-n", "--dry-run", is_flag=True, help="Show what would be done."),
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
@click.option("-f", "--force", is_flag=True, help="Do not ask, with --all.")
@pass_admin
def untrack(admin: Admin, /, dry_run: bool, force: bool, **choice: Any) -> None:
    """Have packages not tested any more.

    What is known of them stays. If any name is unknown, nothing is done.
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
    if not tracked and everything and not force and not dry_run:
        with admin.reading() as session:
            admin.find_collection(session)
        confirm(f"Stop testing all packages of {admin.collection or 'all collections'}?")
    with attempt(admin, dry_run=dry_run) as session:
        ids = _chosen(session, admin, wanted, group, everything)
        messages = packages.set_tracked(session, admin.actor, ids, tracked, now=now())
    if len(messages) > SHOWN:
        rest = len(messages) - SHOWN
        messages = [
            *messages[:SHOWN],
            f"... and {rest} more packages {'tracked' if tracked else 'not tracked any more'}",
        ]
    say(messages)


def _chosen(session: Session, admin: Admin, names: Sequence[str], group: str | None, everything: bool) -> Sequence[int]:
    collection = admin.find_collection(session)
    if everything:
        return packages.members(session, None, collection)
    if group is not None:
        return packages.members(session, groups.find(session, group).id, collection)
    return [package.id for package in packages.named(session, names, collection)]


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
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be done.")
@pass_admin
def set_arch_override(admin: Admin, names: tuple[str, ...], arches: str, is_group: bool, dry_run: bool) -> None:
    """Build packages on these architectures only.

    ARCHES is one argument: architectures with spaces between them, with ^ in front for all but these, or empty ('')
    for what Koji and the source package allow. If any name is unknown, nothing is done.
    """
    with attempt(admin, dry_run=dry_run) as session:
        if is_group:
            ids = {i for name in names for i in _chosen(session, admin, (), name, False)}
        else:
            ids = set(_chosen(session, admin, names, None, False))
        messages = packages.edit_many(
            session,
            admin.actor,
            sorted(ids),
            Edit(arch_override=arches),
            known_arches=admin.config.koji_config.build_arches,
            now=now(),
        )
    say(messages)


COMMANDS = (track, untrack, set_arch_override)
