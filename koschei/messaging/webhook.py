"""What a webhook's receiver gets: a JSON text about one event, signed as https://www.standardwebhooks.com says.

The signature covers the event's id, the time of the attempt and the text, so that an old delivery cannot be repeated
as a new one, and libraries that know that scheme can check it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from koschei import __version__
from koschei.errors import EventError
from koschei.messaging.events import COLLECTION_STATE_CHANGE, PACKAGE_STATE_CHANGE, complete

PING = "ping"
"""The kind of event that `koschei-admin test-webhook` sends; it has no body."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with
SECRET_BYTES = 32


def new_secret() -> str:
    """A secret that nobody can guess."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp: int, text: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `<id>.<timestamp>.<text>`, in base 64. Errors: EventError, the secret is none."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise EventError("the webhook's secret is damaged: make another with edit-webhook --rotate-secret") from error
    signed = f"{message_id}.{timestamp}.".encode() + text
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def headers(secrets_: Iterable[str], message_id: str, text: bytes, now: datetime) -> dict[str, str]:
    """The headers of an attempt made now, with a signature for each secret that the receiver may have."""
    timestamp = int(now.timestamp())
    return {
        "Content-Type": "application/json",
        "User-Agent": f"koschei/{__version__}",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(secret, message_id, timestamp, text) for secret in secrets_),
    }


def text(
    kind: str, message_id: str, time: datetime, body: Mapping[str, Any], *, instance: str, site: str | None
) -> bytes:
    """An event as it is delivered; the same for each attempt. `body` is that of the message on the bus.

    `instance` is the name of our Koji in messages, `site` the address of our pages (None: the event has no address).
    """
    sent = complete(kind, body, instance) if kind != PING else dict(body)
    event = {"id": message_id, "kind": kind, "time": time.isoformat(), "url": address(kind, body, site), "body": sent}
    return json.dumps(event, ensure_ascii=False).encode()


def address(kind: str, body: Mapping[str, Any], site: str | None) -> str | None:
    """The page about what the event tells of; None when the address of our pages is not known."""
    if site is None:
        return None
    site = site.rstrip("/")
    if kind == PACKAGE_STATE_CHANGE:
        return f"{site}/package/{quote(body['name'], safe='')}?collection={quote(body['collection'], safe='')}"
    if kind == COLLECTION_STATE_CHANGE:
        return f"{site}/collection/{quote(body['collection'], safe='')}"
    return site
