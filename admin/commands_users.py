"""Commands about people."""

from __future__ import annotations

import click
from sqlalchemy.orm import Session

from admin.bulk import carry_out
from admin.context import Admin, now
from admin.options import Command, dry_run_option, force_option, json_messages, json_option, pass_admin
from admin.output import print_json
from koschei import tokens, users


@click.command(
    "grant-admin",
    cls=Command,
    examples=("koschei-admin grant-admin alice", "koschei-admin grant-admin --create newcomer"),
)
@click.argument("name")
@click.option("--create", is_flag=True, help="Also if that person has never logged in.")
@json_messages
@pass_admin
def grant_admin(admin: Admin, name: str, create: bool) -> None:
    """Let NAME administer.

    On the pages that is: change every package and group, make global groups, set any priority, cancel builds, read the
    audit log, and make any number of changes in an hour.
    """
    carry_out(admin, lambda session: users.set_admin(session, admin.actor, name, True, create=create))


@click.command("revoke-admin", cls=Command, examples=("koschei-admin revoke-admin alice",))
@click.argument("name")
@force_option
@json_messages
@pass_admin
def revoke_admin(admin: Admin, name: str, force: bool) -> None:
    """Do not let NAME administer any more.

    If nobody else administers, it asks first. Groups that NAME maintains stay NAME's.
    """

    def question(session: Session) -> str | None:
        last = users.is_last_admin(session, name)
        return f"Nobody but {name} administers. Leave nobody who can on the pages?" if last else None

    carry_out(admin, lambda session: users.set_admin(session, admin.actor, name, False), ask=question, force=force)


@click.command(
    "revoke-tokens",
    cls=Command,
    examples=("koschei-admin revoke-tokens --dry-run alice", "koschei-admin revoke-tokens alice"),
)
@click.argument("name")
@dry_run_option
@json_messages
@pass_admin
def revoke_tokens(admin: Admin, name: str, dry_run: bool) -> None:
    """End all API tokens of NAME at once, and say how many there were.

    Tokens work until they expire, whatever becomes of the account: this is for one in the wrong hands, or of somebody
    who has left.
    """
    carry_out(admin, lambda session: tokens.revoke_all(session, admin.actor, name, now()), dry_run=dry_run)


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


COMMANDS = (grant_admin, revoke_admin, revoke_tokens, list_users)
