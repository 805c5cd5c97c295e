"""`koschei-admin`: the group of all commands, and what becomes of errors.

Exit status: 0 done; 1 refused; 2 the command line or the settings are wrong; 3 a service (PostgreSQL, Koji) does not do
its part; 70 a mistake in Koschei; 130 interrupted, 143 told to end (SIGTERM), 129 hung up.
"""

from __future__ import annotations

import importlib
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import click
import psycopg2.errors
from sqlalchemy.exc import DBAPIError

from admin import interrupts
from admin.context import Admin
from admin.options import Group, config_option, refuse_odd_words, takes_collection
from koschei import __version__, logs
from koschei.db.faults import first_line
from koschei.errors import ConfigError, KojiRefusal, KoscheiError, UserError
from koschei.rules.names import shown, suggestion

REFUSED, USAGE, UNREACHABLE, OUR_MISTAKE, SIGNALLED = 1, 2, 3, 70, 128


# Which module has which command: a module is loaded when its command is used, or everybody's help is wanted.
COMMANDS = {
    "add-group": "groups",
    "add-pkg": "packages",
    "add-webhook": "webhooks",
    "alembic": "database",
    "branch-collection": "branching",
    "cancel-build": "repair",
    "cleanup": "retention",
    "clear-notice": "notices",
    "compare-engines": "engines",
    "completion": "shell",
    "config": "status",
    "create-collection": "collections",
    "create-collection-group": "collection_groups",
    "create-db": "database",
    "create-group": "groups",
    "db-check": "database",
    "delete-collection": "branching",
    "delete-collection-group": "collection_groups",
    "delete-group": "groups",
    "delete-webhook": "webhooks",
    "doctor": "repair",
    "edit-collection": "collections",
    "edit-collection-group": "collection_groups",
    "edit-group": "groups",
    "edit-webhook": "webhooks",
    "explain": "insight",
    "fork-collection": "branching",
    "grant-admin": "users",
    "list-builds": "show",
    "list-collections": "collection_groups",
    "list-groups": "groups",
    "list-packages": "insight",
    "list-users": "users",
    "list-webhooks": "webhooks",
    "log": "log",
    "psql": "shell",
    "queue": "insight",
    "reconcile": "repair",
    "refresh-group": "groups",
    "resolve": "repair",
    "retention": "retention",
    "revoke-admin": "users",
    "revoke-tokens": "users",
    "selfcheck": "database",
    "set-arch-override": "tracking",
    "set-notice": "notices",
    "set-priority": "packages",
    "show-build": "show",
    "show-collection": "collection_groups",
    "show-group": "groups",
    "show-package": "show",
    "show-webhook": "webhooks",
    "skip-resolution": "tracking",
    "status": "status",
    "submit-build": "builds",
    "test-webhook": "webhooks",
    "track": "tracking",
    "untrack": "tracking",
}


class Root(Group):
    """The whole command line; errors become a line on standard error and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            module = importlib.import_module(f"admin.commands_{COMMANDS[cmd_name]}")
            self.commands.update({command.name: command for command in module.COMMANDS})
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            hint = suggestion(args[0], COMMANDS, "`koschei-admin --help` lists all")
            raise click.UsageError(f"No such command: {shown(args[0])}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, and end the process."""
        extra = {"prog_name": "koschei-admin", **extra, "standalone_mode": False}
        admin = Admin()
        try:
            try:
                code = super().main(*args, **extra, obj=admin)
            finally:
                interrupts.Ending.begun = True  # no call, before which a signal could still be heard
        except Exception as error:
            code = failed(error, admin)
        except KeyboardInterrupt as stopped:
            code = interrupted(stopped, admin)
        finally:
            interrupts.uninstall()
            admin.close()
        sys.exit(code if isinstance(code, int) else 0)


def failed(error: Exception, admin: Admin) -> int:
    """Tell what went wrong; the exit status for it."""
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, click.Abort):
        return interrupted(error, admin)
    if admin.debug:
        traceback.print_exception(error)
    if isinstance(error, KoscheiError):
        click.echo(f"Error: {error}{admin.what_to_do(error)}", err=True)
        if isinstance(error, ConfigError):
            return USAGE
        return REFUSED if isinstance(error, UserError | KojiRefusal) else UNREACHABLE
    if isinstance(error, UnicodeEncodeError):
        click.echo("Error: The command line has characters that are not UTF-8", err=True)
        return USAGE
    if isinstance(error, DBAPIError) and isinstance(error.orig, psycopg2.errors.InsufficientPrivilege):
        click.echo(
            f"Error: PostgreSQL does not allow it: {first_line(error)}. Connect as the owner of the tables", err=True
        )
        return UNREACHABLE
    if not admin.debug:
        traceback.print_exception(error)
    click.echo(
        f"Error: This is a mistake in Koschei {__version__}, please report it with the lines above. {admin.outcome()}",
        err=True,
    )
    return OUR_MISTAKE


def interrupted(error: BaseException, admin: Admin) -> int:
    """Ctrl-C was pressed, or the process told to end: tell what became of the command; the shell's status for it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, interrupts.Stopped):
        cause = cause.__context__  # click has exceptions of its own for it
    number = signal.SIGINT if cause is None else cause.number
    outcome = admin.outcome()
    click.echo(f"{interrupts.WORDS[number]}: {outcome[0].lower()}{outcome[1:]}", err=True)
    return SIGNALLED + number


@click.group(
    cls=Root,
    examples=(
        'koschei-admin set-notice "Koji is down for maintenance"',
        "koschei-admin --collection f27 set-priority --static foo 100",
        "koschei-admin set-priority --collection f27 --static foo 100",
        "koschei-admin status",
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@config_option
@click.option("-c", "--collection", metavar="NAME", help="The collection to work in, for commands that take one.")
@click.option("--debug", is_flag=True, help="Log everything, and show where errors come from.")
@click.version_option(__version__, prog_name="koschei-admin")
@click.pass_context
def cli(ctx: click.Context, config_paths: tuple[Path, ...], collection: str | None, debug: bool) -> None:
    """Operate Koschei: collections, packages, builds, announcements, and the database.

    A command does all that it was asked for, or nothing. Those that work in steps say so in their help, and finish when
    they are run again.
    """
    refuse_odd_words([collection or ""], ctx)
    admin = ctx.ensure_object(Admin)
    admin.config_paths, admin.collection, admin.debug = config_paths, collection, debug
    logs.configure("DEBUG" if debug else "WARNING", "text")
    command = cli.get_command(ctx, ctx.invoked_subcommand or "")
    if collection is not None and command is not None and not takes_collection(command):
        raise click.UsageError(f"{ctx.invoked_subcommand} does not take --collection")


def main() -> None:
    """The installed script."""
    interrupts.install()
    cli.main()
