"""Who asks: whoever shows a personal token. Cookies are never looked at, so that no page can act for its reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from flask import g, request
from sqlalchemy.orm import Session

from frontend import context
from frontend.api_v2.problems import Unauthorized
from koschei import edit_limits, tokens
from koschei.audit import Actor
from koschei.errors import NotAllowedError
from koschei.model import Environment
from koschei.tokens import Bearer, Scope

MISSING = "This needs a personal token: Authorization: Bearer kos_…  People make theirs on the page “API tokens”"
WRONG = "The token is not known: it was mistyped, revoked, or has expired. Make another on the page “API tokens”"


def bearer(scope: Scope | None = None) -> Bearer:
    """Whose token the request shows. Errors: Unauthorized without a good one; NotAllowedError without the scope."""
    if "bearer" not in g:
        g.bearer = _recognised()
    found = cast(Bearer, g.bearer)
    if scope is not None and scope not in found.scopes:
        has = ", ".join(sorted(found.scopes))
        raise NotAllowedError(f"The token may not do this: it needs the scope “{scope}”, and has: {has}")
    return found


def actor() -> Actor:
    """The token's person, for the audit log."""
    return Actor(Environment.FRONTEND, bearer().user)


@contextmanager
def edit() -> Iterator[Session]:
    """A transaction that changes something: committed at the end of the block, undone when it raises.

    Errors: TooManyEditsError when the person has made too many changes lately; tokens have no more than anybody.
    """
    found, frontend, now = bearer(), context.frontend(), context.now()
    context.close()  # what was read is old now, and its connection is of more use to others
    with frontend.database.begin() as session:
        edit_limits.spend(session, found.user_id, frontend.config.frontend.edits_per_hour, now)
        if not tokens.still_good(session, found, now):
            raise Unauthorized(WRONG)
        yield session


def _recognised() -> Bearer:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthorized(MISSING)
    found = tokens.find(context.session(), secret.strip(), context.now())
    if found is None:
        raise Unauthorized(WRONG)
    return found
