"""Commands for people at a shell: psql on our database, and completion of what they type."""

from __future__ import annotations

import os
import shutil

import click
from click.shell_completion import get_completion_class
from psycopg2.extensions import make_dsn
from sqlalchemy.engine import make_url

from admin.context import Admin
from admin.options import Command, pass_admin
from koschei.errors import InvalidInputError

PROGRAM = "koschei-admin"
COMPLETE_VARIABLE = "_KOSCHEI_ADMIN_COMPLETE"


class Passing(Command):
    """A command whose arguments are another program's: what looks like an option is one of that program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return click.Command.parse_args(self, ctx, args)


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


COMMANDS = (psql, completion)
