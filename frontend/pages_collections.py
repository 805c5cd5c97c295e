"""`/collections` and `/collection/<name>`: how the releases are."""

from __future__ import annotations

from datetime import UTC

from flask import Blueprint, render_template

from frontend import context, statistics_charts
from koschei.queries import collections, statistics
from koschei.queries.statistics import Period

blueprint = Blueprint("collections", __name__)

RESOLUTIONS_SHOWN = 10
BREAKS_SHOWN = 10
DAYS_IN_LIST = 30
DAYS_OF_ONE = 90


@blueprint.get("/collections")
def listing() -> str:
    """All collections, by collection group."""
    session, every = context.session(), context.choice().every
    times = statistics.times(session, [c.id for c in every], _period(DAYS_IN_LIST))
    return render_template(
        "collections.html",
        around=context.surroundings(),
        groups=collections.grouped(session, every),
        counts=collections.state_counts(session, [c.id for c in every]),
        newest=collections.newest_resolutions(session, every),
        broken={i: [part.broken for part in parts if part.broken is not None] for i, parts in times.items()},
    )


@blueprint.get("/collection/<name>")
def detail(name: str) -> str:
    """One collection."""
    session = context.session()
    collection = context.collection(name)
    period = _period(DAYS_OF_ONE)
    times = statistics.times(session, [collection.id], period)[collection.id]
    return render_template(
        "collection.html",
        around=context.surroundings([]),
        collection=collection,
        counts=collections.state_counts(session, [collection.id])[collection.id],
        left_out=collections.left_out(session, collection.id),
        problems=collections.buildroot_problems(session, [collection.id]).get(collection.id, []),
        resolutions=collections.resolutions(session, collection.id, RESOLUTIONS_SHOWN),
        breaks=collections.buildroot_history(session, collection.id, BREAKS_SHOWN),
        chart=statistics_charts.states(period, times, f"Packages that are not ok, {DAYS_OF_ONE} days"),
    )


def _period(days: int) -> Period:
    return Period(context.now().astimezone(UTC).date(), days)
