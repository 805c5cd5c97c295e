"""Commands about webhooks: who is told of events by HTTP."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any, TypeVar

import click
from rich.text import Text

from admin.bulk import attempt, carry_out
from admin.context import Admin, now
from admin.options import Command, dry_run_option, force_option, json_messages, json_option, pass_admin
from admin.output import DRY_RUN, ago, json_is_wanted, print_json, say
from admin.tables import print_table
from koschei import webhooks
from koschei.errors import WebhookError
from koschei.messaging.events import KINDS
from koschei.messaging.http_post import Poster
from koschei.webhooks import Health, Summary, Wish

F = TypeVar("F", bound=Callable[..., Any])
STYLES = {Health.OK: "green", Health.FAILING: "yellow", Health.DISABLED: "red"}


def wish_options(function: F) -> F:
    """What a webhook is told of."""
    for option in (
        click.option("-d", "--description", metavar="TEXT", help="What it is for, and whose it is."),
        click.option("-p", "--package", "packages", multiple=True, metavar="NAME", help="Of this package. Repeatable."),
        click.option(
            "-g", "--group", "groups", multiple=True, metavar="NAME", help="Of the packages of this group. Repeatable."
        ),
        click.option(
            "-c", "--collection", "collections", multiple=True, metavar="NAME", help="In this collection. Repeatable."
        ),
        click.option(
            "-k", "--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Events of this kind. Repeatable."
        ),
    ):
        function = option(function)
    return function


@click.command(
    "add-webhook",
    cls=Command,
    examples=(
        "koschei-admin add-webhook dashboard https://dashboard.example.org/koschei",
        "koschei-admin add-webhook python-sig https://hooks.example.org/x -c f43 -g python -d 'Ask #python'",
        "koschei-admin add-webhook buildroots https://hooks.example.org/y --kind collection.state.change",
    ),
)
@click.argument("name")
@click.argument("url")
@wish_options
@dry_run_option
@json_messages
@pass_admin
def add_webhook(admin: Admin, /, name: str, url: str, dry_run: bool, description: str | None, **lists: Any) -> None:
    """Have events posted to URL from now on; NAME is for you.

    Without options it is told of everything. Packages and groups add up; collections and kinds narrow down. Its secret
    is shown now and never again: the receiver needs it to check signatures.
    """
    wish = Wish(url=url, description=description, **lists)
    with attempt(admin, dry_run=dry_run) as session:
        messages, secret = webhooks.add(session, admin.actor, admin.config, name, wish)
    _say_with_secret(messages, None if dry_run else secret)


@click.command(
    "edit-webhook",
    cls=Command,
    examples=(
        "koschei-admin edit-webhook dashboard --url https://new.example.org/koschei",
        "koschei-admin edit-webhook python-sig --collection f43 --collection f44",
        "koschei-admin edit-webhook dashboard --disable",
        "koschei-admin edit-webhook dashboard --enable --skip",
        "koschei-admin edit-webhook dashboard --rotate-secret",
    ),
)
@click.argument("name")
@click.option("--url", metavar="URL", help="Where to post.")
@wish_options
@click.option("--everything", is_flag=True, help="Tell it of everything, but for what other options say.")
@click.option("--enable/--disable", default=None, help="Tell it at all, or not. Enabling also tries again at once.")
@click.option("--skip", is_flag=True, help="Leave out what waits; without it that is told first.")
@click.option("--rotate-secret", is_flag=True, help="Show a new secret; the old one is good for another day.")
@dry_run_option
@json_messages
@pass_admin
def edit_webhook(
    admin: Admin,
    /,
    name: str,
    everything: bool,
    enable: bool | None,
    skip: bool,
    rotate_secret: bool,
    dry_run: bool,
    **wishes: Any,
) -> None:
    """Change the webhook NAME.

    What is not given stays; collections, groups, packages or kinds take the place of those that were there.
    """
    given = {key: value for key, value in wishes.items() if value not in (None, ())}
    if everything:
        given = {"kinds": (), "collections": (), "groups": (), "packages": ()} | given
    if not (given or skip or rotate_secret) and enable is None:
        raise click.UsageError("Say what to change: --url, --kind, --collection, --enable, --rotate-secret, ...")
    secret = None
    with attempt(admin, dry_run=dry_run) as session:
        messages = webhooks.edit(session, admin.actor, admin.config, name, Wish(**given))
        if skip:
            messages += webhooks.skip(session, admin.actor, name)
        if enable is not None:
            messages += (
                webhooks.enable(session, admin.actor, name)
                if enable
                else webhooks.disable(session, admin.actor, name, now())
            )
        if rotate_secret:
            told, secret = webhooks.rotate_secret(session, admin.actor, name, now())
            messages += told
    _say_with_secret(messages, None if dry_run else secret)


@click.command(
    "delete-webhook",
    cls=Command,
    examples=("koschei-admin delete-webhook dashboard", "koschei-admin delete-webhook --force dashboard"),
)
@click.argument("name")
@force_option
@dry_run_option
@json_messages
@pass_admin
def delete_webhook(admin: Admin, name: str, force: bool, dry_run: bool) -> None:
    """Delete the webhook NAME, after asking."""
    carry_out(
        admin,
        lambda session: webhooks.delete(session, admin.actor, name),
        ask=lambda session: f"Delete {webhooks.described(session, name)}?",
        force=force,
        dry_run=dry_run,
    )


@click.command(
    "list-webhooks",
    cls=Command,
    examples=(
        "koschei-admin list-webhooks",
        "koschei-admin list-webhooks --json | jq '.[] | select(.health != \"ok\")'",
    ),
)
@json_option
@pass_admin
def list_webhooks(admin: Admin, as_json: bool) -> None:
    """List webhooks, what they are told of, and how it goes."""
    with admin.reading() as session:
        found = webhooks.summaries(session)
    if as_json:
        print_json(found)
    elif found:
        print_table(("NAME", "ADDRESS", "IS TOLD OF", "STATE", "WAITING", "REMARKS"), map(_row, found))
    else:
        click.echo("No webhook yet: koschei-admin add-webhook makes one", err=True)


@click.command(
    "show-webhook",
    cls=Command,
    examples=("koschei-admin show-webhook dashboard", "koschei-admin show-webhook dashboard --json"),
)
@click.argument("name")
@json_option
@pass_admin
def show_webhook(admin: Admin, name: str, as_json: bool) -> None:
    """Show the webhook NAME and its last deliveries, newest first. Its secret is not shown."""
    with admin.reading() as session:
        found, deliveries = webhooks.detail(session, name)
    if as_json:
        print_json(
            {
                **{field.name: getattr(found, field.name) for field in dataclasses.fields(found)},
                "deliveries": deliveries,
            }
        )
        return
    facts = (
        ("name", found.name),
        ("address", found.url),
        ("description", found.description),
        ("is told of", _told_of(found)),
        ("made", f"{ago(found.created, now())} by {found.created_by}"),
        ("state", Text(found.health, style=STYLES[found.health])),
        ("remarks", found.remarks),
        ("waiting", found.waiting),
        ("last success", ago(found.last_success, now())),
    )
    print_table(("", ""), facts)
    click.echo()
    rows = (
        (f"{one.time:%Y-%m-%d %H:%M:%S}", one.kind, one.id, one.outcome, f"{one.seconds:.2f} s", one.error)
        for one in deliveries
    )
    if deliveries:
        print_table(("DELIVERY", "KIND", "ID", "OUTCOME", "TOOK", "ERROR"), rows)
    else:
        click.echo("Nothing was delivered yet")


@click.command(
    "test-webhook",
    cls=Command,
    examples=("koschei-admin test-webhook dashboard", "koschei-admin test-webhook dashboard --show"),
)
@click.argument("name")
@click.option("--show", is_flag=True, help="Show what would be posted, and post nothing.")
@json_option
@pass_admin
def test_webhook(admin: Admin, name: str, show: bool, as_json: bool) -> None:
    """Post a ping to the webhook NAME from here, enabled or not, and say what its receiver answers.

    The exit status is 3 unless the receiver takes it. What is sent and what waits stays as it is.
    """
    with admin.reading() as session:
        post = webhooks.ping(session, admin.config, name, now())
    if show:
        event = json.loads(post.text)
        if as_json:
            print_json({"url": post.url, "headers": post.headers, "event": event})
        else:
            for line in (f"POST {post.url}", *(f"{key}: {value}" for key, value in post.headers.items())):
                click.echo(line)
            click.echo(f"\n{post.text.decode()}")
        return
    with closing(Poster(admin.config.webhooks)) as poster:
        answer = webhooks.deliver(poster, admin.config.webhooks, post)
    if as_json:
        print_json(
            {"delivered": answer.delivered, "status": answer.status, "seconds": answer.seconds, "error": answer.error}
        )
    if not answer.delivered:
        raise WebhookError(f"{name} did not take the ping: {answer.error}")
    if not as_json:
        click.echo(f"{name} took the ping: HTTP status {answer.status} after {answer.seconds:.2f} s")


def _say_with_secret(messages: Iterable[str | None], secret: str | None) -> None:
    if secret is None:
        say(messages)
    elif json_is_wanted():
        dry_run = bool(click.get_current_context().meta.get(DRY_RUN))
        print_json({"messages": list(messages), "dry_run": dry_run, "secret": secret})
    else:
        say(messages)
        click.echo(f"Its secret, which is not shown again: {secret}")


def _row(one: Summary) -> tuple[object, ...]:
    return one.name, one.url, _told_of(one), Text(one.health, style=STYLES[one.health]), one.waiting, one.remarks


def _told_of(one: Summary) -> str:
    what = ", ".join(one.kinds) or "everything"
    about = [*(f"group {name}" for name in one.groups), *one.packages]
    about_words = f" about {', '.join(about)}" if about else ""
    where = f" in {', '.join(one.collections)}" if one.collections else ""
    return f"{what}{about_words}{where}"


COMMANDS = (add_webhook, edit_webhook, delete_webhook, list_webhooks, show_webhook, test_webhook)
