"""The command that shows the audit log."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from admin.context import Admin
from admin.options import COUNT_OR_ALL, Command, json_option, pass_admin
from admin.output import print_json
from koschei.model import Environment
from koschei.queries import audit_log
from koschei.queries.audit_log import Wish


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


COMMANDS = (log,)
