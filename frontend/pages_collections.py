"""`/collections` and `/collection/<name>`: how the releases are."""

from __future__ import annotations

from flask import Blueprint, render_template

from frontend import context
from koschei.errors import NotFoundError
from koschei.queries import collections

blueprint = Blueprint("collections", __name__)

RESOLUTIONS_SHOWN = 10
BREAKS_SHOWN = 10


@blueprint.get("/collections")
def listing() -> str:
    """All collections, by collection group."""
    session, every = context.session(), context.choice().every
    return render_template(
        "collections.html",
        around=context.surroundings(),
        groups=collections.grouped(session, every),
        counts=collections.state_counts(session, [c.id for c in every]),
        newest=collections.newest_resolutions(session, every),
    )


@blueprint.get("/collection/<name>")
def detail(name: str) -> str:
    """One collection."""
    session = context.session()
    collection = next((c for c in context.choice().every if c.name == name), None)
    if collection is None:
        raise NotFoundError(f"There is no collection “{name}”")
    return render_template(
        "collection.html",
        around=context.surroundings([]),
        collection=collection,
        counts=collections.state_counts(session, [collection.id])[collection.id],
        left_out=collections.left_out(session, collection.id),
        problems=collections.buildroot_problems(session, [collection.id]).get(collection.id, []),
        resolutions=collections.resolutions(session, collection.id, RESOLUTIONS_SHOWN),
        breaks=collections.buildroot_history(session, collection.id, BREAKS_SHOWN),
    )
