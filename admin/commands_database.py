"""Commands about the database's tables, and about everything else that Koschei stands on."""

from __future__ import annotations

import sys

import click
from alembic.config import CommandLine
from alembic.util import CommandError

from admin.context import Admin
from admin.options import Command, json_option, pass_admin
from admin.output import print_json
from koschei import audit, selfcheck
from koschei.db import schema
from koschei.db.engine import Database, translated
from koschei.db.grants import grant
from koschei.errors import InvalidInputError


@click.command("create-db", cls=Command, examples=("koschei-admin create-db",))
@pass_admin
def create_db(admin: Admin) -> None:
    """Make the tables, or bring them up to date.

    Also lets unpriv_db_username use them. Safe to repeat. The database itself must exist, and the role that
    connects must own it.
    """
    url = admin.config.database_url()
    server = Database(url, application_name="koschei-admin", pool_size=1)
    try:
        server.check()
    finally:
        server.dispose()
    before = schema.current(url)
    schema.upgrade(url)
    _grant(admin, url)
    after = schema.current(url)
    if before == after:
        click.echo(f"The database is at revision {after} already")
        return
    with admin.transaction() as session:
        message = audit.record(session, admin.actor, f"Database upgraded from {before or 'nothing'} to {after}")
    click.echo(message)


@click.command(
    "alembic",
    cls=Command,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    examples=(
        "koschei-admin alembic current",
        "koschei-admin alembic history --verbose",
        "koschei-admin alembic upgrade head --sql",
        "koschei-admin alembic downgrade -- -1",
    ),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_admin
def alembic(admin: Admin, arguments: tuple[str, ...]) -> None:
    """Run alembic on our database.

    ARGUMENTS are its own; `koschei-admin alembic upgrade --help` shows them.
    """
    url = admin.config.database_url()
    line = CommandLine(prog="koschei-admin alembic")
    options = line.parser.parse_args(list(arguments))
    if not hasattr(options, "cmd"):
        line.parser.error("which of its commands?")
    config = schema.alembic_config(url)
    config.cmd_opts, config.stdout = options, sys.stdout
    options.raiseerr = True
    try:
        with translated():
            line.run_cmd(config, options)
    except CommandError as error:
        raise InvalidInputError(f"alembic: {error}") from error
    admin.changed = True  # alembic has committed what it did
    if not getattr(options, "sql", False) and schema.current(url) is not None:
        _grant(admin, url)


def _grant(admin: Admin, url: str) -> None:
    if admin.config.unpriv_db_username is not None:
        grant(url, admin.config.unpriv_db_username)


@click.command("db-check", cls=Command, examples=("koschei-admin db-check",))
@json_option
@click.pass_context
def db_check(ctx: click.Context, as_json: bool) -> None:
    """Check PostgreSQL and our tables in it.

    If anything is not well, it says what to do, and the exit status is 3.
    """
    show_checks(ctx, selfcheck.database_checks(ctx.ensure_object(Admin).config), as_json)


@click.command("selfcheck", cls=Command, examples=("koschei-admin selfcheck",))
@json_option
@click.pass_context
def check(ctx: click.Context, as_json: bool) -> None:
    """Check what Koschei stands on.

    That is PostgreSQL, our tables in it, Koji and the solver; the exit status is 3 if anything is not well.
    """
    show_checks(ctx, selfcheck.all_checks(ctx.ensure_object(Admin).config), as_json)


def show_checks(ctx: click.Context, checks: tuple[selfcheck.Check, ...], as_json: bool) -> None:
    """Print checks; the exit status tells whether all is well."""
    if as_json:
        print_json(checks)
    else:
        for one in checks:
            click.echo(f"{'ok' if one.well else 'NOT OK':8}{one.name}: {one.text}")
    if not all(one.well for one in checks):
        ctx.exit(3)


COMMANDS = (create_db, alembic, db_check, check)
