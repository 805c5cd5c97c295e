"""What every request starts with: a read-only transaction, the time, and the collections that were chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlencode

from flask import Flask, Response, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from frontend import metrics
from koschei.config import Config
from koschei.db.engine import Database
from koschei.errors import InvalidInputError, NotFoundError
from koschei.model import Collection
from koschei.queries import collections as collection_queries
from koschei.queries import notices, services
from koschei.rules.names import shown
from koschei.rules.states import CollectionState

EXTENSION = "koschei"
# Where a choice of collections changes what is shown; elsewhere the chooser leads to the overview.
CHOOSING = frozenset(
    {
        "overview.overview",
        "packages.listing",
        "package.detail",
        "search.search",
        "stats.stats",
        "groups.listing",
        "groups.detail",
        "groups.of_namespace",
        "groups.user",
        "affected.affected",
    }
)
# Where the address of a page names the collections that people look at, and not what the page itself is about.
REMEMBERING = CHOOSING - {"package.detail", "affected.affected"}
COOKIE = "collection"
# What the header's chooser adds to its links: it alone has the browser remember. Other links choose for one page.
REMEMBER = "remember"
YEAR = timedelta(days=365)
LONGEST_CHOICE = 500
# What can be shown, and done, before there is any collection: everything else says how to make one.
NEEDING_NONE = frozenset({"api_v1", "audit", "badges", "docs", "feeds", "login", "tokens"})
CURSOR_ARGUMENTS = ("after", "before", "key", "at", "last_seen_ts")


@dataclass(frozen=True)
class Frontend:
    """What the application was made with; `clock` answers the present moment, `leaving` whether it will stop."""

    config: Config
    database: Database
    clock: Callable[[], datetime]
    leaving: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Choice:
    """The collections there are, and those the request is about.

    `word`: how they were named, None for all; `kept`: the same for the pages that this one leads to.
    """

    every: list[Collection]
    chosen: list[Collection]
    word: str | None
    kept: str | None

    @property
    def explicit(self) -> bool:
        """Whether they were chosen: by the address, or before, which is remembered."""
        return self.word is not None


@dataclass(frozen=True)
class Surroundings:
    """What stands around every page: announcements, broken base buildroots, the pulse of the services."""

    announcements: list[str] = field(default_factory=list)
    broken: list[tuple[Collection, list[str]]] = field(default_factory=list)
    pulses: list[services.Pulse] = field(default_factory=list)


def frontend() -> Frontend:
    """The application's own settings and database."""
    return cast(Frontend, current_app.extensions[EXTENSION])


def now() -> datetime:
    """The moment of this request: the same wherever it is asked."""
    if "now" not in g:
        g.now = frontend().clock()
    return cast(datetime, g.now)


def session() -> Session:
    """The read-only transaction of this request: every query of a page sees the same state of the database."""
    if "session" not in g:
        g.stack = ExitStack()
        with metrics.waiting_for_the_database():
            g.session = g.stack.enter_context(frontend().database.read())
    return cast(Session, g.session)


def close(error: BaseException | None = None) -> None:
    """End the request's transaction."""
    g.pop("session", None)
    stack = g.pop("stack", None)
    if stack is not None:
        stack.close()


def choice() -> Choice:
    """The collections this request is about: those its address names, else the remembered ones, else all.

    Errors: NotFoundError for one that there is not.
    """
    if "choice" not in g:
        every = collection_queries.all_collections(session())
        word = request.args.get("collection")
        remembered = _remembered(every) if request.endpoint in CHOOSING and word != "" else None
        if word is None:
            word = remembered
        # The address of a package says which one of its name it is; that is not what people want to see elsewhere.
        kept = word if request.endpoint in REMEMBERING or request.endpoint not in CHOOSING else remembered
        g.choice = Choice(every, _named(every, word.split(",")) if word else every, word or None, kept or None)
    return cast(Choice, g.choice)


def collection(name: str) -> Collection:
    """The collection of this name. Errors: NotFoundError."""
    return _named(choice().every, [name])[0]


def _named(every: list[Collection], names: Iterable[str]) -> list[Collection]:
    by_name = {collection.name: collection for collection in every}
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in by_name:
            raise NotFoundError(f"There is no collection “{shown(name)}”")
    return [by_name[name] for name in names]


def _remembered(every: list[Collection]) -> str | None:
    """The choice that the browser remembers; None when it has none, or one of its collections is no more."""
    word = request.cookies.get(COOKIE, "")
    known = {collection.name for collection in every}
    return word if word and known.issuperset(word.split(",")) else None


def this_page(without: Iterable[str], **more: str) -> str:
    """The address of this page with all that it asks for but some arguments, and with some more."""
    # What people write into an address is only ever put behind its question mark.
    path = url_for(request.endpoint or "", **{**(request.view_args or {}), "collection": None})
    asked = [(name, value) for name, value in request.args.items(multi=True) if name not in without]
    query = urlencode([*asked, *more.items()])
    return f"{path}?{query}" if query else path


def _remember() -> ResponseReturnValue:
    """Have the browser keep the choice that was made in the header, or forget it for an empty one.

    It is led on to an address that does not do the same to whoever it is sent to.
    """
    choice()  # or it says that there is no such collection
    word = request.args["collection"]
    response = redirect(this_page((REMEMBER,) if word else (REMEMBER, "collection")), 303)
    if not word:
        response.delete_cookie(COOKIE, samesite="Lax", httponly=True, secure=request.is_secure)
    elif request.endpoint in REMEMBERING and len(word) <= LONGEST_CHOICE:
        response.set_cookie(COOKIE, word, max_age=YEAR, samesite="Lax", httponly=True, secure=request.is_secure)
    return response


def surroundings(about: Iterable[Collection] | None = None) -> Surroundings:
    """What stands around this page; `about`: the collections it is about, if not those that were chosen."""
    broken = [c for c in (choice().chosen if about is None else about) if c.state is CollectionState.UNRESOLVED]
    found = notices.around(session(), [c.id for c in broken], now())
    told = [(collection, found.problems.get(collection.id, [])) for collection in broken]
    return Surroundings(found.announcements, told, found.pulses)


def install(app: Flask, made_with: Frontend) -> None:
    """Prepare each request, and clean up behind it."""
    app.extensions[EXTENSION] = made_with
    app.teardown_appcontext(close)

    @app.before_request
    def prepare() -> ResponseReturnValue | None:
        if request.endpoint is None or request.blueprint in (None, "health", "meta", "static_files", "api_v2"):
            return None
        if "\0" in request.path or any("\0" in value for values in request.args.lists() for value in values[1]):
            raise InvalidInputError("The address has a NUL character in it")
        if not choice().every and request.blueprint not in NEEDING_NONE:
            return render_template("empty.html", around=surroundings())
        if request.endpoint in CHOOSING and {REMEMBER, "collection"} <= request.args.keys():
            return _remember()
        return None

    @app.url_defaults
    def keep_choice(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint in CHOOSING and "choice" in g and "collection" not in values:
            # None stands for no argument at all.
            values["collection"] = g.choice.word if endpoint == "package.detail" else g.choice.kept

    @app.after_request
    def pages_are_fresh(response: Response) -> Response:
        if request.endpoint != "static":
            # And without validators: times, pulses and the reader's name make each page another one.
            response.headers.setdefault("Cache-Control", "no-cache")
            if request.endpoint in CHOOSING and "choice" in g:
                response.vary.add("Cookie")
        return response


def system_clock() -> datetime:
    """The present moment."""
    return datetime.now(UTC)
