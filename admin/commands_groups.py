"""Commands about groups of packages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import BinaryIO

import click
from sqlalchemy.orm import Session

from admin.bulk import FILE, carry_out, names_in
from admin.context import Admin
from admin.options import Command, dry_run_option, force_option, json_messages, json_option, pass_admin
from admin.output import print_json
from koschei import group_sources, groups
from koschei.errors import InvalidInputError
from koschei.groups import GroupEdit

content_option = click.option(
    "--content-from-file",
    "content",
    type=FILE,
    metavar="FILE",
    help="Names of packages, from FILE (- for what is piped in).",
)


@click.command(
    "add-group",
    cls=Command,
    examples=(
        "koschei-admin add-group mynewgroup",
        "koschei-admin add-group mynewgroup pkg1 pkg2 pkg3",
        "koschei-admin add-group someuser/mygroup pkg1 -m someuser -m other",
    ),
)
@click.argument("group")
@click.argument("packages", nargs=-1, metavar="[PACKAGE]...")
@click.option("-m", "--maintainer", "maintainers", multiple=True, metavar="USER", help="Who may edit it. Repeatable.")
@dry_run_option
@json_messages
@pass_admin
def add_group(admin: Admin, group: str, packages: tuple[str, ...], maintainers: tuple[str, ...], dry_run: bool) -> None:
    """Make GROUP, with PACKAGES in it.

    A group is global; namespace/name is the group of that user. If any package is unknown, nothing is done.
    """
    carry_out(admin, lambda session: groups.create(session, admin.actor, group, packages, maintainers), dry_run=dry_run)


@click.command(
    "create-group",
    cls=Command,
    examples=(
        "koschei-admin create-group mynewgroup --content-from-file packages.txt",
        "grep ^python- packages.txt | koschei-admin create-group someuser/python --content-from-file -",
    ),
)
@click.argument("group")
@content_option
@click.option("--append", is_flag=True, help="Understood for the sake of scripts: a new group has nothing to replace.")
@dry_run_option
@json_messages
@pass_admin
def create_group(admin: Admin, group: str, content: BinaryIO | None, append: bool, dry_run: bool) -> None:
    """Make GROUP with the packages of a file."""
    packages = () if content is None else content_of(content)
    carry_out(admin, lambda session: groups.create(session, admin.actor, group, packages), dry_run=dry_run)


@click.command(
    "edit-group",
    cls=Command,
    examples=(
        "koschei-admin edit-group someuser/mygroup --make-global --new-name thegroup",
        "koschei-admin edit-group mygroup --content-from-file packages.txt --append",
    ),
)
@click.argument("group")
@click.option("--new-name", metavar="NAME", help="Name it differently.")
@click.option("--new-namespace", metavar="USER", help="Make it the group of that user.")
@click.option("--make-global", is_flag=True, help="Make it nobody's.")
@content_option
@click.option("--append", is_flag=True, help="Add what is in the file; otherwise it takes the place of what was there.")
@dry_run_option
@json_messages
@pass_admin
def edit_group(
    admin: Admin,
    group: str,
    new_name: str | None,
    new_namespace: str | None,
    make_global: bool,
    content: BinaryIO | None,
    append: bool,
    dry_run: bool,
) -> None:
    """Change the name, the namespace or the packages of GROUP."""
    if make_global and new_namespace is not None:
        raise click.UsageError("--make-global and --new-namespace exclude each other")
    if new_namespace == "":
        raise click.UsageError("--new-namespace needs a name; --make-global takes the namespace away")
    if append and content is None:
        raise click.UsageError("--append is for --content-from-file")
    if not make_global and new_name is None and new_namespace is None and content is None:
        raise click.UsageError("Say what to change: --new-name, --new-namespace, --make-global, --content-from-file")
    wish = GroupEdit(
        name=new_name,
        namespace="" if make_global else new_namespace,
        packages=None if content is None else content_of(content),
        append=append,
    )
    carry_out(admin, lambda session: groups.edit(session, admin.actor, group, wish), dry_run=dry_run)


@click.command(
    "delete-group",
    cls=Command,
    examples=("koschei-admin delete-group mygroup", "koschei-admin delete-group --force someuser/mygroup"),
)
@click.argument("group")
@force_option
@dry_run_option
@json_messages
@pass_admin
def delete_group(admin: Admin, group: str, force: bool, dry_run: bool) -> None:
    """Delete GROUP, after asking; its packages stay as they are."""
    carry_out(
        admin,
        lambda session: groups.remove(session, admin.actor, group),
        ask=lambda session: f"Delete {groups.described(session, group)}?",
        force=force,
        dry_run=dry_run,
    )


@click.command(
    "list-groups",
    cls=Command,
    examples=("koschei-admin list-groups", "koschei-admin list-groups --json | jq '.[].name'"),
)
@json_option
@pass_admin
def list_groups(admin: Admin, as_json: bool) -> None:
    """Show all groups, with the number of their packages and their maintainers."""
    with admin.reading() as session:
        found = groups.summaries(session)
    if as_json:
        print_json(found)
        return
    width = max((len(group.name) for group in found), default=0)
    for group in found:
        people = f"  maintained by {', '.join(group.maintainers)}" if group.maintainers else ""
        click.echo(f"{group.name:{width}}  {group.packages:6} packages{people}")
    if not found:
        click.echo("No group yet: koschei-admin add-group makes one", err=True)


@click.command(
    "show-group", cls=Command, examples=("koschei-admin show-group mygroup", "koschei-admin show-group a/b --json")
)
@click.argument("group")
@json_option
@pass_admin
def show_group(admin: Admin, group: str, as_json: bool) -> None:
    """Show the packages and the maintainers of GROUP."""
    with admin.reading() as session:
        found = groups.detail(session, group)
    if as_json:
        print_json(found)
        return
    click.echo(f"Group {found.name}: {len(found.packages)} packages")
    click.echo(f"Maintainers: {', '.join(found.maintainers) or 'none'}")
    for name in found.packages:
        click.echo(f"{name}  (blocked in all collections)" if name in found.blocked else name)


@click.command(
    "refresh-group",
    cls=Command,
    examples=(
        "koschei-admin refresh-group mygroup --from-file packages.txt",
        "koschei-admin refresh-group --create mygroup --from-url https://lists.example.com/mygroup.txt",
        "koschei-admin refresh-group python --skip-unknown --distgit-group python-packagers-sig \\\n"
        "      --from-distgit https://src.fedoraproject.org/extras/pagure_bz.json",
        "koschei-admin refresh-group someuser/mine --skip-unknown --distgit-user someuser \\\n"
        "      --from-distgit https://src.fedoraproject.org/extras/pagure_bz.json",
        "koschei-admin refresh-group --append rubygems --regex '^rubygem-' --dry-run",
    ),
)
@click.argument("group")
@click.option("--from-file", "file", type=FILE, metavar="FILE", help="Names from FILE (- for what is piped in).")
@click.option("--from-url", "url", metavar="URL", help="Names, one a line or a JSON list, from there.")
@click.option("--from-distgit", "distgit", metavar="URL", help="What a group or user has in a pagure_bz.json.")
@click.option("--distgit-group", metavar="NAME", help="A group in that distgit.")
@click.option("--distgit-user", metavar="NAME", help="A user in that distgit.")
@click.option("--regex", metavar="REGEX", help="All packages in whose name REGEX is found; ^ and $ are its ends.")
@click.option("--append", is_flag=True, help="Add only; otherwise packages that the source does not name are removed.")
@click.option("--create", is_flag=True, help="Make the group if there is none.")
@click.option(
    "--skip-unknown", is_flag=True, help="Leave out names that are no packages here; otherwise they are refused."
)
@click.option("-f", "--force", is_flag=True, help="Believe a source that is empty, or lacks most of the group.")
@dry_run_option
@json_messages
@pass_admin
def refresh_group(
    admin: Admin,
    group: str,
    file: BinaryIO | None,
    url: str | None,
    distgit: str | None,
    distgit_group: str | None,
    distgit_user: str | None,
    regex: str | None,
    append: bool,
    create: bool,
    skip_unknown: bool,
    force: bool,
    dry_run: bool,
) -> None:
    """Make the packages of GROUP what a source says; fit for a CronJob.

    Exactly one source is needed. One that is empty, or lacks more than half of the group, is refused.
    """
    if sum(source is not None for source in (file, url, distgit, regex)) != 1:
        raise click.UsageError("One source is needed: --from-file, --from-url, --from-distgit or --regex")
    owners = [name for name in (distgit_group and f"@{distgit_group.removeprefix('@')}", distgit_user) if name]
    if len(owners) != (distgit is not None):
        raise click.UsageError("--from-distgit belongs together with one of --distgit-group and --distgit-user")
    pattern = None if regex is None else compiled(regex)
    packages: Iterable[str] = ()
    if file is not None:
        packages = names_in(file)
    elif url is not None:
        packages = group_sources.parse_names(group_sources.download(url), url)
    elif distgit is not None:
        packages = group_sources.parse_distgit(group_sources.download(distgit), owners[0], distgit)

    def work(session: Session) -> list[str]:
        named = packages if pattern is None else groups.known_packages(session, pattern)
        known, unknown = groups.without_unknown(session, named) if skip_unknown else (list(named), [])
        if unknown:
            click.echo(f"Left out, no packages here: {', '.join(unknown)}", err=True)
        return groups.refresh(session, admin.actor, group, known, append=append, create_missing=create, force=force)

    carry_out(admin, work, dry_run=dry_run)


def content_of(file: BinaryIO) -> list[str]:
    """The names in a file, of which there must be one at least."""
    found = names_in(file)
    if not found:
        raise InvalidInputError("Group content empty: the file names no package")
    return found


def compiled(regex: str) -> re.Pattern[str]:
    """A regular expression; click.BadParameter when it is none."""
    if not regex.strip():
        raise click.BadParameter("It is empty, and would fit every package", param_hint="'--regex'")
    try:
        return re.compile(regex)
    except re.error as error:
        raise click.BadParameter(f"{regex!r} is not a regular expression: {error}", param_hint="'--regex'") from error


COMMANDS = (add_group, create_group, edit_group, delete_group, list_groups, show_group, refresh_group)
