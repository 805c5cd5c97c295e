"""What stands in the header of every page: where it leads to, and with which keys."""

from __future__ import annotations

from typing import cast

from flask import Flask, get_flashed_messages, request, url_for

from frontend import access, context
from koschei.model import Collection

# (endpoint, its word, the key after `g` that leads there)
MAIN_PAGES = (
    ("packages.listing", "Packages", "p"),
    ("groups.listing", "Groups", "g"),
    ("collections.listing", "Collections", "c"),
    ("stats.stats", "Statistics", "s"),
    ("docs.documentation", "Documentation", "d"),
)
# Pages that are about a collection, or all of them, by their path.
OF_COLLECTIONS = frozenset({"collections.detail", "collections.listing"})
MY_PAGES = (("add_packages.add", "Add packages"), ("tokens.listing", "API tokens"))
KEYS = (
    ("/", "search for a package"),
    ("g o", "the overview"),
    *((f"g {key}", word.lower()) for _, word, key in MAIN_PAGES),
    ("g m", "my packages, when logged in"),
    ("?", "this help"),
    ("Esc", "close it"),
)


def site() -> str:
    """Where people find us: as configured, else as they asked for this page."""
    return (context.frontend().config.frontend.external_url or request.host_url).rstrip("/")


def come_back() -> str:
    """The address of this page, or of that with the form which led here; of the overview where people log in."""
    if request.blueprint == "login":
        return url_for("overview.overview")
    if request.method != "GET":
        return access.where_from()
    return request.full_path if request.query_string else request.path


def messages() -> list[tuple[str, str]]:
    """What is to be told once. A page that is fetched to refresh another one is not where people would see it."""
    return [] if "X-Live" in request.headers else cast(list[tuple[str, str]], get_flashed_messages(True))


def chooser(collection: Collection | None) -> str:
    """Where the chooser leads to: this page for one collection, or for all (an empty name).

    From the page of a collection to that of the other; from what is about none to the overview.
    """
    if request.endpoint in OF_COLLECTIONS:
        return url_for("collections.detail", name=collection.name) if collection else url_for("collections.listing")
    name = collection.name if collection else ""
    if request.endpoint not in context.CHOOSING:
        return url_for("overview.overview", collection=name, **{context.REMEMBER: "1"})  # type: ignore[arg-type]
    remembered = {context.REMEMBER: "1"} if not name or request.endpoint in context.REMEMBERING else {}
    return context.this_page((*context.CURSOR_ARGUMENTS, "collection", context.REMEMBER), collection=name, **remembered)


def chooser_marks(collection: Collection | None, here: object = None) -> bool:
    """Whether the page is about this collection alone (None: about all); `here` is a package in its collection."""
    choice = context.choice()
    if request.endpoint in OF_COLLECTIONS:
        return (request.view_args or {}).get("name") == (collection.name if collection else None)
    if request.endpoint not in context.CHOOSING:
        return False
    if isinstance(place := getattr(here, "collection", None), Collection):
        return collection is not None and collection.id == place.id
    if not choice.explicit:
        return collection is None
    return collection is not None and collection in choice.chosen


def install(app: Flask) -> None:
    """Make them known to templates."""
    for function in (site, come_back, messages, chooser, chooser_marks):
        app.jinja_env.globals[function.__name__] = function
    app.jinja_env.globals.update(MAIN_PAGES=MAIN_PAGES, MY_PAGES=MY_PAGES, KEYS=KEYS)
