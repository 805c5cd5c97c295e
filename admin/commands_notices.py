"""Commands about the announcement on every page."""

from __future__ import annotations

import click

from admin.bulk import carry_out
from admin.context import Admin
from admin.options import Command, json_messages, pass_admin
from koschei import notices


@click.command(
    "set-notice",
    cls=Command,
    lines=True,
    examples=('koschei-admin set-notice "Koschei operation is currently suspended due to scheduled Koji outage"',),
)
@click.argument("content")
@json_messages
@pass_admin
def set_notice(admin: Admin, content: str) -> None:
    """Show CONTENT on every page.

    It takes the place of any earlier notice. Addresses become links, and so does
    [the status page](https://status.example.org); everything else is plain text.
    """
    carry_out(admin, lambda session: [notices.set_notice(session, admin.actor, content)])


@click.command("clear-notice", cls=Command, examples=("koschei-admin clear-notice",))
@json_messages
@pass_admin
def clear_notice(admin: Admin) -> None:
    """Take the notice away."""
    carry_out(admin, lambda session: [notices.clear_notice(session, admin.actor)])


COMMANDS = (set_notice, clear_notice)
