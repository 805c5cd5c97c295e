"""`…/feed.atom`: what newly broke and what was mended, of everything, a package, a group, a user or a collection."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from flask import Blueprint, Flask, Response, request, url_for

import koschei
from frontend import atom, context
from frontend.navigation import site
from koschei.errors import NotFoundError
from koschei.model import Collection
from koschei.queries import feeds, groups, package
from koschei.queries.feeds import News, Which
from koschei.rules.states import PackageState

blueprint = Blueprint("feeds", __name__)

ENTRIES = 40
MINUTES_KEPT = 5
# The page that a feed belongs to, by the feed's endpoint and the other way round.
PAGES = {
    "feeds.everything": "overview.overview",
    "feeds.of_package": "package.detail",
    "feeds.of_group": "groups.detail",
    "feeds.of_namespaced_group": "groups.of_namespace",
    "feeds.of_user": "groups.user",
    "feeds.of_collection": "collections.detail",
}
FEEDS = {page: feed for feed, page in PAGES.items()}


@blueprint.get("/feed.atom")
def everything() -> Response:
    """Of all packages."""
    return _answer("Koschei", {}, feeds.of_all())


@blueprint.get("/package/<name>/feed.atom")
def of_package(name: str) -> Response:
    """Of a package, in all collections; it goes back as far as the history of its states."""
    if not package.exists(context.session(), name):
        raise NotFoundError(f"There is no package “{name}”")
    return _answer(name, {"name": name}, feeds.of_package(name), forever=True)


@blueprint.get("/groups/<name>/feed.atom")
def of_group(name: str) -> Response:
    """Of the packages of a global group."""
    return _group(name, {"name": name})


@blueprint.get("/groups/<namespace>/<name>/feed.atom")
def of_namespaced_group(namespace: str, name: str) -> Response:
    """Of the packages of a user's group."""
    return _group(f"{namespace}/{name}", {"namespace": namespace, "name": name})


@blueprint.get("/user/<name>/feed.atom")
def of_user(name: str) -> Response:
    """Of what somebody maintains."""
    return _answer(f"Packages of {name}", {"name": name}, feeds.of_user(name))


@blueprint.get("/collection/<name>/feed.atom")
def of_collection(name: str) -> Response:
    """Of all packages of a collection."""
    found = context.collection(name)
    return _answer(found.display_name, {"name": name}, feeds.of_all(), collections=[found])


def _group(full_name: str, values: Mapping[str, str]) -> Response:
    group = groups.find(context.session(), full_name)
    if group is None:
        raise NotFoundError(f"There is no group “{full_name}”")
    return _answer(f"Packages of {full_name}", values, feeds.of_group(group.id))


def _answer(
    title: str,
    values: Mapping[str, str],
    which: Which,
    *,
    collections: Sequence[Collection] | None = None,
    forever: bool = False,
) -> Response:
    chosen = context.choice().chosen if collections is None else collections
    since = None if forever else context.now() - feeds.WITHIN
    found = feeds.news(context.session(), chosen, which, since, ENTRIES)
    assert request.endpoint is not None
    # Nothing has happened: it is as old as anything can be, and does not change with every minute.
    newest = found[0].timestamp if found else datetime(2026, 1, 1, tzinfo=UTC)
    path = url_for(request.endpoint, **values, collection=context.choice().word if collections is None else None)  # type: ignore[arg-type]
    feed = atom.Feed(
        id=_identity(path),
        title=f"{title}: broken and fixed builds",
        link=_outside(PAGES[request.endpoint], **values),
        address=site() + path,
        updated=newest,
        entries=[_entry(item) for item in found],
    )
    response = Response(atom.document(feed, f"Koschei {koschei.__version__}"), content_type=atom.MEDIA_TYPE)
    response.headers["Cache-Control"] = f"public, max-age={MINUTES_KEPT * 60}"
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:16])
    if found:
        response.last_modified = newest
    response.make_conditional(request)
    return response


def _entry(item: News) -> atom.Entry:
    broken = item.new is not PackageState.OK
    where = f"{item.name} in {item.collection.display_name}"
    if item.new is PackageState.FAILING:
        title = f"{where} began to fail"
    else:
        title = f"{where} cannot have its dependencies installed" if broken else f"{where} is fixed"
    link = (
        _outside("builds.detail", build_id=item.build_id)
        if broken and item.build_id is not None
        else _outside("package.detail", name=item.name, collection=item.collection.name)
    )
    summary = item.reason.replace(" -> ", " → ") or f"It was {item.prev}, and is {item.new}."
    return atom.Entry(_identity(f"state-change/{item.id}"), title, link, item.timestamp, summary)


def _identity(what: str) -> str:
    """A name for it that stays the same whatever address people use for us; another Koschei has other names."""
    site = context.frontend().config.frontend.external_url or "koschei"
    return uuid5(NAMESPACE_URL, f"{site}#{what}").urn


def _outside(endpoint: str, **values: object) -> str:
    """An address that works from anywhere."""
    return site() + url_for(endpoint, **values)  # type: ignore[arg-type]


def feed_link() -> str | None:
    """The feed of this page, of the collections that it is about; None when it has none. A package's is of all."""
    feed = FEEDS.get(request.endpoint or "")
    if feed is None:
        return None
    word = context.choice().word if request.endpoint in context.REMEMBERING else None
    return url_for(feed, **{**(request.view_args or {}), "collection": word})


def install(app: Flask) -> None:
    """Make the link known to templates."""
    app.jinja_env.globals["feed_link"] = feed_link
