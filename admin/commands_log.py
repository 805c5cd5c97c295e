"""Commands for looking closer, and for the shell: the audit log, psql, completion."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime

import click
from click.shell_completion import get_completion_class
from psycopg2.extensions import make_dsn
from sqlalchemy.engine import make_url

from admin.context import Admin
from admin.options import COUNT_OR_ALL, Command, json_option, pass_admin
from admin.output import print_json
from koschei.errors import InvalidInputError
from koschei.model import Environment
from koschei.queries import audit_log
from koschei.queries.audit_log import Wish

PROGRAM = "koschei-admin"
COMPLETE_VARIABLE = "_KOSCHEI_ADMIN_COMPLETE"


class Passing(Command):
    """A command whose arguments are another program's: what looks like an option is one of that program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Command.parse_args(self, ctx, args)


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """A time in ISO 8601; UTC unless it says otherwise."""
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is not a time: write 2026-05-14 or 2026-05-14T12:30 (UTC)", ctx, param
        ) from None


@click.command(
    "log",
    cls=Command,
    examples=(
        "koschei-admin log",
        "koschei-admin log --user alice --since 2026-05-14 --until 2026-05-15T06:00",
        "koschei-admin log --package bash --environment frontend --limit 0",
        "koschei-admin log --json | jq -r .[].message",
    ),
)
@click.option("--user", metavar="NAME", help="What this person did.")
@click.option("--package", metavar="NAME", help="What was done to this package.")
@click.option("--since", callback=moment, metavar="TIME", help="From this time on: 2026-05-14, 2026-05-14T12:30 (UTC).")
@click.option("--until", callback=moment, metavar="TIME", help="Before this time.")
@click.option(
    "--environment",
    type=click.Choice([str(e) for e in Environment]),
    help="Where it was done: here, by a service, on a page.",
)
@click.option("--limit", type=COUNT_OR_ALL, default=50, show_default=True, help="At most so many; 0 for all.")
@json_option
@pass_admin
def log(
    admin: Admin,
    user: str | None,
    package: str | None,
    since: datetime | None,
    until: datetime | None,
    environment: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show who did what, newest first."""
    wish = Wish(user, package, None if environment is None else Environment(environment), since, until)
    with admin.reading() as session:
        found = audit_log.entries(session, wish, limit or None)
    if as_json:
        print_json(found)
        return
    for entry in found:
        click.echo(
            f"{entry.timestamp:%Y-%m-%d %H:%M:%S}  {entry.environment:8}  {entry.user or '-':12}  {entry.message}"
        )
    if not found:
        click.echo("Nothing of this is in the audit log", err=True)


@click.command(
    "psql",
    cls=Passing,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    examples=(
        "koschei-admin psql",
        "koschei-admin psql -c 'SELECT count(*) FROM package'",
        "koschei-admin psql -- --help",
    ),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_admin
def psql(admin: Admin, arguments: tuple[str, ...]) -> None:
    """Open psql on our database.

    ARGUMENTS are its own. What is done in it is not in the audit log.
    """
    program = shutil.which("psql")
    if program is None:
        raise InvalidInputError(
            "psql is not installed here, or not in PATH: install PostgreSQL's client (postgresql or postgresql-client)"
        )
    url = make_url(admin.config.database_url())
    words = url.translate_connect_args(username="user", database="dbname")
    words |= {key: value if isinstance(value, str) else ",".join(value) for key, value in url.query.items()}
    password = words.pop("password", None)
    # Not on its command line, where everybody on the machine could read it.
    environ = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    os.execve(program, ["psql", f"--dbname={make_dsn(**words)}", *arguments], environ)  # noqa: S606 - that is the point


@click.command(
    "completion",
    cls=Command,
    examples=(
        "koschei-admin completion bash",
        "koschei-admin completion zsh",
        "koschei-admin completion fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script with which SHELL completes commands and options of this program.

    It goes to ~/.local/share/bash-completion/completions/koschei-admin for bash, to a file _koschei-admin in a folder
    of fpath for zsh, and to ~/.config/fish/completions/koschei-admin.fish for fish.
    """
    found = get_completion_class(shell)
    assert found is not None
    root = ctx.find_root().command
    template = found(root, {}, PROGRAM, COMPLETE_VARIABLE)
    # Not source(): for bash it starts one and asks its version, and this machine need not be where the script is used.
    click.echo(template.source_template % template.source_vars())


COMMANDS = (log, psql, completion)
