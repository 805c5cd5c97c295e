"""Who asks: the person that a session belongs to, and what that person is in Koschei's eyes."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from flask import g
from flask import session as cookie

from frontend import context
from koschei.queries import people
from koschei.rights import Person

USER, SINCE, ADMIN = "user", "since", "admin"


def person() -> Person | None:
    """Who asks; None for somebody who is not logged in, or whose login has expired."""
    if "person" not in g:
        g.person = _recognised()
    return cast("Person | None", g.person)


def asked() -> bool:
    """Whether it is known who asks, without asking the database."""
    return "person" in g


def remember(user_id: int, *, admin: bool) -> None:
    """Begin a session for this user; nothing of an earlier one is carried on. `admin`: a group says so."""
    cookie.clear()
    cookie.update({USER: user_id, SINCE: int(context.now().timestamp()), ADMIN: admin})
    g.pop("person", None)


def forget() -> bool:
    """End the session; whether there was one."""
    known = USER in cookie
    cookie.clear()
    g.pop("person", None)
    return known


def _recognised() -> Person | None:
    if USER not in cookie or _expired():
        return None
    found = people.by_id(context.session(), int(cookie[USER]))
    return None if found is None else Person(found.id, found.name, found.admin or bool(cookie.get(ADMIN)))


def _expired() -> bool:
    lifetime = timedelta(hours=context.frontend().config.frontend.auth.login_hours)
    return not 0 <= context.now().timestamp() - cookie.get(SINCE, 0) < lifetime.total_seconds()
