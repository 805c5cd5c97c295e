"""Who may do what: every view says it with `@needs`, and all that is said is one table.

A view without a word is for everybody, and may only read. What a maintainer may do depends on the group or package:
such a view lets in whoever is logged in, and refuses by itself (`refuse`).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NoReturn, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

from flask import Flask, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from frontend import people
from koschei.errors import InvalidInputError, NotAllowedError

View = TypeVar("View", bound=Callable[..., object])
READING = frozenset({"GET", "HEAD", "OPTIONS"})
# They check tokens, and never look at cookies: nobody else's page can make a browser send one.
WITH_TOKENS = frozenset({"api_v2"})
FOREIGN = "This form was sent from another site. Nothing was changed; use the form on this page."


class LoginEndedError(NotAllowedError):
    """A form came from somebody who is not logged in any more."""


class Role(StrEnum):
    """Who may call a view."""

    ANYONE = "anyone"
    USER = "anyone logged in"
    MAINTAINER = "its maintainers"
    ADMIN = "those who administer"


def needs(role: Role) -> Callable[[View], View]:
    """Say above a view who may call it. MAINTAINER: the view itself finds out of what, and refuses others."""

    def mark(view: View) -> View:
        view.role = role  # type: ignore[attr-defined]
        return view

    return mark


def role_of(app: Flask, endpoint: str) -> Role:
    """Who may call the view behind an endpoint."""
    return getattr(app.view_functions[endpoint], "role", Role.ANYONE)


def refuse(message: str) -> NoReturn:
    """End the request: the person may not do this. The message says who may."""
    raise NotAllowedError(message)


def local(address: str | None) -> str | None:
    """An address, if it is a path on this site, else None: nobody is sent to a stranger's page."""
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")):
        return None
    if any(ord(character) < 0x21 or character == "\\" for character in address):
        return None
    parts = urlsplit(address)
    return None if parts.scheme or parts.netloc else address


def login_address() -> str:
    """Where to log in, and come back to what was asked for, or to the page that its form stands on."""
    back = request.full_path.rstrip("?") if request.method in READING else where_from()
    return url_for("login.login", next=local(back))


def where_from() -> str:
    """The page that the form which was sent stands on, with its query; or the first above it that can be opened."""
    referrer = _parts(request.referrer)
    path, query = (referrer.path, referrer.query) if referrer.netloc == request.host else (quote(request.path), "")
    while not _opens(path):
        path, query = path.rpartition("/")[0] or "/", ""
    return urlunsplit(("", "", path, query, ""))


def _opens(path: str) -> bool:
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None, "there is a request"
    try:
        adapter.match(unquote(path), method="GET")
    except HTTPException:
        return False
    return True


def install(app: Flask) -> None:
    """Check every request."""

    @app.before_request
    def check() -> ResponseReturnValue | None:
        if request.endpoint is None or request.blueprint in WITH_TOKENS:
            return None
        changing = request.method not in READING
        if changing and sent_from_here() is False:
            # A form on somebody else's page must not act in a person's name, whatever else protects it.
            raise InvalidInputError(FOREIGN)
        role = role_of(current_app, request.endpoint)
        if role is Role.ANYONE:
            return None
        person = people.person()
        if person is None:
            # A form does not follow to the provider, which is not in our policy; and nobody would see what it lost.
            if changing:
                raise LoginEndedError("Your login has ended. Nothing was changed; log in again")
            return redirect(login_address())
        if role is Role.ADMIN and not person.admin:
            refuse("Only people who administer Koschei may do this. You are logged in, but not one of them.")
        return None


def sent_from_here() -> bool | None:
    """Whether a form was sent from one of our pages; None when the browser does not say."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site not in (None, "same-origin", "none") or (origin is not None and _parts(origin).netloc != request.host):
        return False
    return True if origin is not None or site == "same-origin" else None


def _parts(address: str | None) -> SplitResult:
    """The parts of an address that a browser told; empty ones when it makes no sense."""
    try:
        return urlsplit(address or "")
    except ValueError:
        return urlsplit("")
