"""Webhooks: who is told of events by HTTP, and of which. Made, changed and looked at here; told by backend.webhooks."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from koschei import audit, collections, groups, packages, webhook_queue
from koschei.audit import Actor
from koschei.config import Config
from koschei.config.schema import WebhooksConfig
from koschei.db.notify import wake
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from koschei.messaging import webhook as message
from koschei.messaging.http_post import Answer, Poster, may_connect
from koschei.model import Webhook, WebhookDelivery
from koschei.rules.names import LONGEST_NAME, flaw, listed, quoted, shown, suggestion
from koschei.webhook_queue import Job

MOST = 50
"""Webhooks that there may be: each that has something to be told takes a thread of the watcher."""
LONGEST_URL = 2000
OLD_SECRET_LASTS = timedelta(hours=24)
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")


class Health(StrEnum):
    """How a webhook is. DISABLED: nothing is sent, whoever or whatever disabled it."""

    OK = "ok"
    FAILING = "failing"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Wish:
    """What to change about a webhook; None leaves a thing alone. Empty lists leave nothing out."""

    url: str | None = None
    description: str | None = None
    kinds: Sequence[str] | None = None
    collections: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    packages: Sequence[str] | None = None


@dataclass(frozen=True)
class Summary:
    """A webhook without its secrets. `waiting`: events that it is still to be told; `trouble`: why it is not ok.

    `by_itself`: it was not disabled by a person.
    """

    name: str
    url: str
    description: str
    kinds: list[str]
    collections: list[str]
    groups: list[str]
    packages: list[str]
    created: datetime
    created_by: str
    health: Health
    trouble: str | None
    by_itself: bool
    since: datetime | None
    failures: int
    next_attempt: datetime | None
    last_success: datetime | None
    waiting: int

    @property
    def remarks(self) -> str:
        """Since when and why it is not ok, in words; empty when it is."""
        if self.trouble is None:
            return ""
        since = f" since {self.since:%Y-%m-%d %H:%M} UTC" if self.since is not None else ""
        if self.health is Health.DISABLED:
            return f"disabled{since}: {self.trouble}"
        retry = f", next try {self.next_attempt:%H:%M:%S} UTC" if self.next_attempt is not None else ""
        return f"failing{since}, {self.failures} times{retry}: {self.trouble}"


@dataclass(frozen=True)
class Delivery:
    """One of the last attempts. `status`: of the HTTP answer, None without one."""

    id: str
    kind: str
    time: datetime
    seconds: float
    outcome: str
    status: int | None
    error: str | None


@dataclass(frozen=True)
class Post:
    """Something to post, whole."""

    url: str
    headers: dict[str, str]
    text: bytes


def add(session: Session, actor: Actor, config: Config, name: str, wish: Wish) -> tuple[list[str], str]:
    """Make a webhook, which is told of what happens from now on. Returns the audit messages and its secret.

    Raises AlreadyExistsError, NotFoundError (unknown collections, groups, packages), InvalidInputError.
    """
    if not collections.NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise InvalidInputError(
            f"{quoted(name)} cannot be the name of a webhook: it consists of letters, digits and . + _ -"
        )
    if session.scalar(select(Webhook.id).where(Webhook.name == name)) is not None:
        raise AlreadyExistsError(f"Object already exists: there is a webhook {name}; edit-webhook changes it")
    if (session.scalar(select(func.count()).select_from(Webhook)) or 0) >= MOST:
        raise InvalidInputError(f"There are {MOST} webhooks already, which is as many as there may be: delete one")
    if wish.url is None:
        raise InvalidInputError("A webhook needs an address")
    webhook = Webhook(name=name, secret=message.new_secret(), created_by=actor.name or "a service")
    changes = _change(session, webhook, config.webhooks, wish)
    webhook_queue.place(session)
    webhook.position = webhook_queue.newest(session)
    session.add(webhook)
    session.flush()
    return [audit.record(session, actor, f"Webhook {name} created: {'; '.join(changes)}")], webhook.secret


def edit(session: Session, actor: Actor, config: Config, name: str, wish: Wish) -> list[str]:
    """Change what the wish says. Returns the audit messages; none if it was like that. Errors as `add` and `find`."""
    webhook = find(session, name, lock=True)
    changes = _change(session, webhook, config.webhooks, wish)
    if not changes:
        return []
    webhook.next_attempt = None
    wake(session, "watcher")
    return [audit.record(session, actor, f"Webhook {name} modified: {'; '.join(changes)}")]


def enable(session: Session, actor: Actor, name: str) -> list[str]:
    """Tell it again, and first what it was not told meanwhile, as far as that is kept. Errors as `find`."""
    webhook = find(session, name, lock=True)
    if webhook.enabled and webhook.failures == 0:
        return []
    verb = "tried again now" if webhook.enabled else "enabled"
    _recovered(webhook)
    webhook.enabled, webhook.disabled_reason, webhook.disabled_since = True, None, None
    wake(session, "watcher")
    return [audit.record(session, actor, f"Webhook {name} {verb}")]


def disable(session: Session, actor: Actor, name: str, now: datetime) -> list[str]:
    """Tell it nothing until it is enabled. Errors as `find`."""
    webhook = find(session, name, lock=True)
    if not webhook.enabled:
        return []
    _recovered(webhook)
    webhook.enabled, webhook.disabled_reason, webhook.disabled_since = False, f"by {actor.name or 'a service'}", now
    return [audit.record(session, actor, f"Webhook {name} disabled")]


def skip(session: Session, actor: Actor, name: str) -> list[str]:
    """Do not tell it what waits for it, only what happens from now on. Errors as `find`."""
    webhook = find(session, name, lock=True)
    session.flush()
    webhook_queue.place(session)
    count = webhook_queue.waiting(session).get(webhook.id, 0)
    webhook.position = webhook_queue.newest(session)
    webhook.next_attempt = None
    if count == 0:
        return []
    return [audit.record(session, actor, f"Webhook {name}: {count} events that waited will not be delivered")]


def rotate_secret(session: Session, actor: Actor, name: str, now: datetime) -> tuple[list[str], str]:
    """Make a new secret; for a day everything is signed with the old one, too. Errors as `find`."""
    webhook = find(session, name, lock=True)
    webhook.old_secret, webhook.old_secret_until = webhook.secret, now + OLD_SECRET_LASTS
    webhook.secret = message.new_secret()
    return [audit.record(session, actor, f"Webhook {name} has a new secret")], webhook.secret


def delete(session: Session, actor: Actor, name: str) -> list[str]:
    """Delete a webhook. Errors as `find`."""
    session.delete(find(session, name, lock=True))
    return [audit.record(session, actor, f"Webhook {name} deleted")]


def described(session: Session, name: str) -> str:
    """A webhook in words: what a question about it says. Errors as `find`."""
    return f"webhook {name} for {_host(find(session, name).url)}"


def find(session: Session, name: str, *, lock: bool = False) -> Webhook:
    """The webhook of that name. NotFoundError suggests names that look like it."""
    query = select(Webhook).where(Webhook.name == name)
    found = session.scalar(query.with_for_update() if lock else query)
    if found is None:
        names = session.scalars(select(Webhook.name).order_by(Webhook.name)).all()
        there_are = f"There are: {listed(names)}" if names else "There is none yet: add-webhook makes one"
        hint = suggestion(name, names, there_are)
        raise NotFoundError(f"Object not found: there is no webhook {shown(name)}. {hint}")
    return found


def summaries(session: Session) -> list[Summary]:
    """All webhooks, by name."""
    waiting = webhook_queue.waiting(session)
    return [_summary(row, waiting) for row in session.scalars(select(Webhook).order_by(Webhook.name))]


def detail(session: Session, name: str) -> tuple[Summary, list[Delivery]]:
    """A webhook and its last deliveries, newest first. Errors as `find`."""
    webhook = find(session, name)
    rows = session.scalars(
        select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook.id).order_by(WebhookDelivery.id.desc())
    )
    deliveries = [
        Delivery(str(row.message_id), row.kind, row.time, row.seconds, row.outcome, row.status, row.error)
        for row in rows
    ]
    return _summary(webhook, webhook_queue.waiting(session)), deliveries


def ping(session: Session, config: Config, name: str, now: datetime) -> Post:
    """What `koschei-admin test-webhook` posts: an event of the kind `ping`, with an id of its own. Errors as `find`."""
    webhook = find(session, name)
    secrets = webhook_queue.secrets(webhook, now)
    job = Job(webhook.id, webhook.url, secrets, 0, str(uuid.uuid4()), message.PING, {}, now)
    return post_of(config, job, now)


def post_of(config: Config, job: Job, now: datetime) -> Post:
    """What to post for a job, now."""
    text = message.text(
        job.kind,
        job.message_id,
        job.created,
        job.body,
        instance=config.fedmsg.instance,
        site=config.frontend.external_url,
    )
    return Post(job.url, message.headers(job.secrets, job.message_id, text, now), text)


def deliver(poster: Poster, config: WebhooksConfig, post: Post) -> Answer:
    """Post it, unless the settings do not allow the address any more."""
    try:
        checked_url(post.url, config)
    except InvalidInputError as error:
        return Answer(0.0, error=str(error))
    return poster.post(post.url, post.headers, post.text)


def checked_url(url: str, config: WebhooksConfig) -> str:
    """The address, if it can be a webhook's; else InvalidInputError. Names of hosts are looked up when connecting."""
    wrong = flaw(url, longest=LONGEST_URL)
    if wrong is not None:
        raise InvalidInputError(f"The address of a webhook {wrong}")
    schemes = ("https", "http") if config.allow_http else ("https",)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidInputError(f"{quoted(url)} is no address: {error}") from error
    if parts.scheme not in schemes or not host or not HOST.fullmatch(host):
        hint = "; webhooks.allow_http allows http://" if parts.scheme == "http" else ""
        raise InvalidInputError(f"{quoted(url)} is not an address that begins with {schemes[0]}:// and a host{hint}")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidInputError("The address of a webhook has no user, password or #: receivers check the signature")
    if not url.isascii() or " " in url:
        raise InvalidInputError(f"{quoted(url)} has characters that an address cannot have: write them as %..")
    _refuse_private(host, config)
    return url


def _refuse_private(host: str, config: WebhooksConfig) -> None:
    try:
        address = ip_address(host)
    except ValueError:
        return  # a name: it may mean something else when it is connected to, and is checked then
    if not may_connect(address, config.allowed_networks):
        raise InvalidInputError(f"{host} is not a public address; webhooks.allowed_networks can allow it")


def _change(session: Session, webhook: Webhook, config: WebhooksConfig, wish: Wish) -> list[str]:
    """Set what differs from the wish; each change in words, with the host alone of an address that may tell secrets."""
    changes = []
    if wish.url is not None and checked_url(wish.url, config) != webhook.url:
        webhook.url = wish.url
        changes.append(f"address at {_host(wish.url)}")
    if wish.description is not None:
        wrong = flaw(wish.description, longest=LONGEST_NAME)
        if wrong is not None:
            raise InvalidInputError(f"The description of a webhook {wrong}")
        if wish.description != webhook.description:
            webhook.description = wish.description
            changes.append(f"description = {wish.description}")
    lists = {
        "kinds": wish.kinds,
        "collections": _known_collections(session, wish.collections),
        "groups": _known_groups(session, wish.groups),
        "packages": _known_packages(session, wish.packages),
    }
    for label, names in lists.items():
        if names is not None and sorted(set(names)) != (getattr(webhook, label) or []):
            setattr(webhook, label, sorted(set(names)))
            changes.append(f"{label} = {listed(sorted(set(names))) or 'all'}")
    return changes


def _known_collections(session: Session, names: Iterable[str] | None) -> list[str] | None:
    return None if names is None else [collections.by_name(session, name).name for name in names]


def _known_groups(session: Session, names: Iterable[str] | None) -> list[str] | None:
    return None if names is None else [groups.find(session, name).full_name for name in names]


def _known_packages(session: Session, names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else [package.name for package in packages.named(session, names)]


def _recovered(webhook: Webhook) -> None:
    webhook.failures, webhook.failing_since, webhook.next_attempt, webhook.last_error = 0, None, None, None


def _summary(row: Webhook, waiting: dict[int, int]) -> Summary:
    health = Health.DISABLED if not row.enabled else Health.FAILING if row.failures else Health.OK
    return Summary(
        name=row.name,
        url=row.url,
        description=row.description,
        kinds=row.kinds,
        collections=row.collections,
        groups=row.groups,
        packages=row.packages,
        created=row.created,
        created_by=row.created_by,
        health=health,
        trouble=row.last_error if row.enabled else row.disabled_reason,
        by_itself=row.failing_since is not None,
        since=row.failing_since if row.enabled else row.disabled_since,
        failures=row.failures,
        next_attempt=row.next_attempt,
        last_success=row.last_success,
        waiting=waiting.get(row.id, 0),
    )


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
