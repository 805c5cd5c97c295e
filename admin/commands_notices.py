"""Commands about the announcement on every page."""

from __future__ import annotations

import click

from admin.context import Admin, say
from admin.options import Command, pass_admin
from koschei import notices


@click.command(
    "set-notice",
    cls=Command,
    examples=('koschei-admin set-notice "Koschei operation is currently suspended due to scheduled Koji outage"',),
)
@click.argument("content")
@pass_admin
def set_notice(admin: Admin, content: str) -> None:
    """Show CONTENT on every page.

    It is plain text, and takes the place of any earlier notice.
    """
    with admin.transaction() as session:
        message = notices.set_notice(session, admin.actor, content)
    say([message])


@click.command("clear-notice", cls=Command, examples=("koschei-admin clear-notice",))
@pass_admin
def clear_notice(admin: Admin) -> None:
    """Take the notice away."""
    with admin.transaction() as session:
        message = notices.clear_notice(session, admin.actor)
    say([message])


COMMANDS = (set_notice, clear_notice)
