"""Cursors: where a page of a list begins. Opaque to those who carry them, and checked when they come back."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flask import request, url_for

from frontend.api_v2.problems import InvalidRequest
from frontend.api_v2.values import Query, utc
from koschei.rules.ids import LARGEST_ID

HINT = "this is no cursor of this list: leave it out to begin at the first page, and follow `next` from there"


def encode(kind: str, *values: str | int) -> str:
    """A cursor of the list `kind`."""
    text = json.dumps([kind, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str | None, kind: str, *types: type) -> tuple[Any, ...] | None:
    """What a cursor was made of; None without one. Errors: InvalidRequest for what was not made by `encode`."""
    if cursor is None:
        return None
    try:
        found = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise InvalidRequest.of("cursor", HINT) from None
    if not _fits(found, kind, types):
        raise InvalidRequest.of("cursor", HINT)
    return tuple(found[1:])


def _fits(found: Any, kind: str, types: Sequence[type]) -> bool:
    if not isinstance(found, list) or len(found) != len(types) + 1 or found[0] != kind:
        return False
    if any(type(value) is not wanted for value, wanted in zip(found[1:], types, strict=True)):
        return False
    return all(0 <= value <= LARGEST_ID if isinstance(value, int) else value.isprintable() for value in found[1:])


def moment(text: str) -> datetime:
    """A time that was written into a cursor. Errors: InvalidRequest."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest.of("cursor", HINT) from None
    if found.tzinfo is None or not 1970 <= found.year <= 9000:
        raise InvalidRequest.of("cursor", HINT)
    return utc(found)


def next_address(query: Query, cursor: str | None) -> str | None:
    """The address of the page that begins at the cursor, with the same filters; None without a cursor."""
    if cursor is None:
        return None
    asked = query.model_dump(mode="json", exclude_unset=True, exclude={"cursor"})
    asked = {name: _text(value) for name, value in asked.items()}
    return url_for(request.endpoint or "", **(request.view_args or {}), **asked, cursor=cursor)


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
