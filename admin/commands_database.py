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
from koschei.db.engine import Database
from koschei.db.grants import grant
from koschei.db.revisions import Phase
from koschei.errors import InvalidInputError

UNREACHABLE, NOT_MIGRATED, TOO_NEW = 3, 4, 5


@click.command("create-db", cls=Command, examples=("koschei-admin create-db", "koschei-admin create-db --phase pre"))
@click.option(
    "--phase",
    type=click.Choice([phase.value for phase in Phase]),
    help="Only one half of an upgrade: pre (adds; while the old version still runs), "
    "or post (takes away; once only this version runs).",
)
@pass_admin
def create_db(admin: Admin, phase: str | None) -> None:
    """Make the tables, or bring them up to date.

    Also lets unpriv_db_username use them. Safe to repeat, and to interrupt. The database itself must exist, and the
    role that connects must own it. Without --phase everything is done: all processes of older versions must be stopped.
    """
    url = admin.config.database_url()
    server = Database(url, application_name="koschei-admin", pool_size=1)
    try:
        server.check()
    finally:
        server.dispose()
    before = schema.look(url)
    schema.require_migratable(before)
    if phase is not None:
        schema.upgrade_half(url, Phase(phase), say=tell)
    elif before.pending:
        schema.upgrade(url, say=tell)
    after = schema.look(url)
    admin.changed = after.found != before.found  # revisions commit by themselves
    _grant(admin, url)
    if not admin.changed:
        click.echo(f"The database is at revision {after.found} already")
        return
    with admin.transaction() as session:
        half = "" if phase is None else f" ({phase}-deploy half)"
        said = audit.record(
            session, admin.actor, f"Database upgraded from {before.found or 'nothing'} to {after.found}{half}"
        )
    click.echo(said)


def tell(words: str) -> None:
    """What goes on, for people who wait."""
    click.echo(words, err=True)


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
        with schema.migrating():
            line.run_cmd(config, options)
    except CommandError as error:
        raise InvalidInputError(f"alembic: {error}") from error
    admin.changed = True  # alembic has committed what it did
    if not getattr(options, "sql", False) and schema.look(url).found is not None:
        _grant(admin, url)


def _grant(admin: Admin, url: str) -> None:
    if admin.config.unpriv_db_username is not None:
        grant(url, admin.config.unpriv_db_username)


@click.command("db-check", cls=Command, examples=("koschei-admin db-check", "koschei-admin db-check --json"))
@json_option
@click.pass_context
def db_check(ctx: click.Context, as_json: bool) -> None:
    """Check whether this version can use the database as it is, and say which upgrade playbook to run.

    Exit status: 0 it can; 3 PostgreSQL is out of reach, or lacks rights; 4 the tables must be migrated first; 5 they
    are too new for this version, or not ours.
    """
    report = selfcheck.database_report(ctx.ensure_object(Admin).config)
    if as_json:
        print_json(_for_playbooks(report))
    else:
        print_checks(report.checks)
    ctx.exit(_status(report))


def _status(report: selfcheck.DatabaseReport) -> int:
    if report.usable:
        return 0
    if report.state is None or report.state.usable:
        return UNREACHABLE
    return NOT_MIGRATED if report.state.migratable else TOO_NEW


def _for_playbooks(report: selfcheck.DatabaseReport) -> dict[str, object]:
    """What the playbooks read: the names stay. What cannot be known, because nothing answers, is null."""
    state = report.state
    return {
        "usable": report.usable,
        "playbook": report.playbook,
        "image_revision": schema.head(),
        "needed_revision": schema.oldest_usable(),
        "database_revision": state and state.found,
        "pending_pre": state and state.pending_of(Phase.PRE),
        "pending_post": state and state.pending_of(Phase.POST),
        "checks": report.checks,
    }


@click.command("selfcheck", cls=Command, examples=("koschei-admin selfcheck", "koschei-admin selfcheck --local"))
@click.option("--local", is_flag=True, help="Only what is installed here: PostgreSQL and Koji are not asked.")
@json_option
@click.pass_context
def check(ctx: click.Context, local: bool, as_json: bool) -> None:
    """Check what Koschei stands on.

    That is PostgreSQL, our tables in it, Koji and the solver; the exit status is 3 if anything is not well.
    """
    if local:
        show_checks(ctx, selfcheck.local_checks(), as_json)
    else:
        show_checks(ctx, selfcheck.all_checks(ctx.ensure_object(Admin).config), as_json)


def show_checks(ctx: click.Context, checks: tuple[selfcheck.Check, ...], as_json: bool) -> None:
    """Print checks; the exit status tells whether all is well."""
    if as_json:
        print_json(checks)
    else:
        print_checks(checks)
    if not all(one.well for one in checks):
        ctx.exit(UNREACHABLE)


def print_checks(checks: tuple[selfcheck.Check, ...]) -> None:
    """A line for each."""
    for one in checks:
        click.echo(f"{'ok' if one.well else 'NOT OK':8}{one.name}: {one.text}")


COMMANDS = (create_db, alembic, db_check, check)
