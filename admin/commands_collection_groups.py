"""Commands about collection groups, and those that show collections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from admin.bulk import carry_out
from admin.context import Admin, now
from admin.options import Command, dry_run_option, force_option, json_messages, json_option, pass_admin
from admin.output import ago, print_json
from admin.tables import print_table
from koschei import collection_groups, collections
from koschei.model import Collection
from koschei.queries import collections as queries

F = TypeVar("F", bound=Callable[..., Any])


def contents_option(function: F) -> F:
    """`-c COLLECTION...`: click gives an option one word, the others are arguments behind it."""
    function = click.argument("more", nargs=-1, metavar="[COLLECTION]...")(function)
    return click.option("-c", "--contents", multiple=True, metavar="COLLECTION...", help="The collections in it.")(
        function
    )


def _named(contents: tuple[str, ...], more: tuple[str, ...]) -> list[str]:
    if more and not contents:
        raise click.UsageError(f"{more[0]} stands alone: collections follow --contents")
    return [name for name in (*contents, *more) if name]


@click.command(
    "create-collection-group",
    cls=Command,
    examples=("koschei-admin create-collection-group fedora -d Fedora -c f27 f28",),
)
@click.argument("name")
@click.option("-d", "--display-name", required=True, metavar="TEXT", help="Heading for people.")
@contents_option
@json_messages
@pass_admin
def create_collection_group(
    admin: Admin, name: str, display_name: str, contents: tuple[str, ...], more: tuple[str, ...]
) -> None:
    """Make the collection group NAME."""
    wanted = _named(contents, more)
    carry_out(admin, lambda session: collection_groups.create(session, admin.actor, name, display_name, wanted))


@click.command(
    "edit-collection-group",
    cls=Command,
    examples=(
        "koschei-admin edit-collection-group fedora -c f27 f28 rawhide",
        "koschei-admin edit-collection-group fedora -d 'Fedora Linux'",
    ),
)
@click.argument("name")
@click.option("-d", "--display-name", metavar="TEXT", help="Heading for people.")
@contents_option
@dry_run_option
@json_messages
@pass_admin
def edit_collection_group(
    admin: Admin, name: str, display_name: str | None, contents: tuple[str, ...], more: tuple[str, ...], dry_run: bool
) -> None:
    """Change the collection group NAME.

    What is not given stays. Collections take the place of those that were in it; `-c ''` empties it.
    """
    if display_name is None and not contents and not more:
        raise click.UsageError("Say what to change: --display-name, --contents")
    wanted = _named(contents, more) if contents or more else None
    carry_out(
        admin,
        lambda session: collection_groups.edit(session, admin.actor, name, display_name=display_name, contents=wanted),
        dry_run=dry_run,
    )


@click.command(
    "delete-collection-group",
    cls=Command,
    examples=("koschei-admin delete-collection-group fedora", "koschei-admin delete-collection-group --force fedora"),
)
@click.argument("name")
@force_option
@dry_run_option
@json_messages
@pass_admin
def delete_collection_group(admin: Admin, name: str, force: bool, dry_run: bool) -> None:
    """Delete the collection group NAME, after asking; its collections stay."""
    carry_out(
        admin,
        lambda session: collection_groups.delete(session, admin.actor, name),
        ask=lambda session: f"Delete {collection_groups.described(session, name)}?",
        force=force,
        dry_run=dry_run,
    )


@click.command(
    "list-collections",
    cls=Command,
    examples=("koschei-admin list-collections", "koschei-admin list-collections --json | jq -r '.[].name'"),
)
@json_option
@pass_admin
def list_collections(admin: Admin, as_json: bool) -> None:
    """List collections, in the order of the pages, and the groups they are in."""
    with admin.reading() as session:
        found = queries.all_collections(session)
        groups = _groups_by_collection(collection_groups.contents(session))
        rows = [{**_facts(collection), "groups": groups.get(collection.name, [])} for collection in found]
    if as_json:
        print_json(rows)
        return
    columns = ("name", "display_name", "target", "dest_tag", "build_tag", "order", "state", "latest_repo_id")
    table = [[*(row[column] for column in columns), ", ".join(row["groups"])] for row in rows]
    print_table(("name", "title", "target", "dest tag", "build tag", "order", "state", "repository", "groups"), table)


@click.command(
    "show-collection",
    cls=Command,
    examples=("koschei-admin show-collection f27", "koschei-admin show-collection f27 --json"),
)
@click.argument("name")
@json_option
@pass_admin
def show_collection(admin: Admin, name: str, as_json: bool) -> None:
    """Show the collection NAME: how it is set up, and how its packages and its buildroot are."""
    with admin.reading() as session:
        collection = collections.by_name(session, name)
        groups = _groups_by_collection(collection_groups.contents(session))
        tested = queries.state_counts(session, [collection.id]).get(collection.id, {})
        newest = queries.newest_resolutions(session, [collection]).get(collection.id)
        facts = {
            **_facts(collection),
            "groups": groups.get(name, []),
            "packages": {str(state): n for state, n in {**tested, **queries.left_out(session, collection.id)}.items()},
            "buildroot_problems": queries.buildroot_problems(session, [collection.id]).get(collection.id, []),
            "resolved_at": newest.finished if newest is not None else None,
        }
    if as_json:
        print_json(facts)
        return
    facts["groups"] = ", ".join(facts["groups"])
    facts["packages"] = ", ".join(f"{n} {state}" for state, n in sorted(facts["packages"].items())) or "none"
    facts["buildroot_problems"] = "\n".join(facts["buildroot_problems"])
    facts["resolved_at"] = ago(facts["resolved_at"], now())
    print_table(("", ""), [(label.replace("_", " "), value) for label, value in facts.items()])


def _facts(collection: Collection) -> dict[str, Any]:
    columns = (
        "name",
        "display_name",
        "target",
        "dest_tag",
        "build_tag",
        "build_group",
        "order",
        "priority_coefficient",
        "poll_untracked",
        "bugzilla_product",
        "bugzilla_version",
        "latest_repo_id",
    )
    return {**{column: getattr(collection, column) for column in columns}, "state": str(collection.state)}


def _groups_by_collection(contents: dict[str, list[str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for group, names in contents.items():
        for name in names:
            groups.setdefault(name, []).append(group)
    return groups


COMMANDS = (
    create_collection_group,
    edit_collection_group,
    delete_collection_group,
    list_collections,
    show_collection,
)
