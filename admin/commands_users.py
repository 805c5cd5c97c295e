"""Commands about people."""

from __future__ import annotations

import click

from admin.context import Admin, say
from admin.options import Command, json_option, pass_admin
from admin.output import print_json
from koschei import users


@click.command(
    "grant-admin",
    cls=Command,
    examples=("koschei-admin grant-admin alice", "koschei-admin grant-admin --create newcomer"),
)
@click.argument("name")
@click.option("--create", is_flag=True, help="Also if that person has never logged in.")
@pass_admin
def grant_admin(admin: Admin, name: str, create: bool) -> None:
    """Let NAME administer: edit every group, and cancel builds."""
    with admin.transaction() as session:
        messages = users.set_admin(session, admin.actor, name, True, create=create)
    say(messages)


@click.command("revoke-admin", cls=Command, examples=("koschei-admin revoke-admin alice",))
@click.argument("name")
@pass_admin
def revoke_admin(admin: Admin, name: str) -> None:
    """Do not let NAME administer any more.

    Groups that NAME maintains stay NAME's.
    """
    with admin.transaction() as session:
        messages = users.set_admin(session, admin.actor, name, False)
    say(messages)


@click.command("list-users", cls=Command, examples=("koschei-admin list-users", "koschei-admin list-users --admins"))
@click.option("--admins", is_flag=True, help="Only those who administer.")
@json_option
@pass_admin
def list_users(admin: Admin, admins: bool, as_json: bool) -> None:
    """Show people who logged in, maintain a group or used this command line."""
    with admin.reading() as session:
        found = users.summaries(session, admins_only=admins)
    if as_json:
        print_json(found)
        return
    width = max((len(user.name) for user in found), default=0)
    for user in found:
        notes = [*(["admin"] if user.admin else []), *([f"maintains {user.groups} groups"] if user.groups else [])]
        click.echo(f"{user.name:{width}}  {', '.join(notes)}".rstrip())
    if not found:
        click.echo("Nobody yet", err=True)


COMMANDS = (grant_admin, revoke_admin, list_users)
