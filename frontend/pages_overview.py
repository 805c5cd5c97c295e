"""`/`: what is broken now, since when and why, and whether the machine is alive."""

from __future__ import annotations

from flask import Blueprint, render_template

from frontend import context
from koschei.queries import collections, overview

blueprint = Blueprint("overview", __name__)

BROKEN_SHOWN = 20
FIXED_SHOWN = 10
RUNNING_SHOWN = 10
RUNNING_COUNTED = 1000


@blueprint.get("/", endpoint="overview")
def overview_page() -> str:
    """The first page."""
    session, now, chosen = context.session(), context.now(), context.choice().chosen
    counts = collections.state_counts(session, [c.id for c in chosen])
    running = overview.running(session, chosen, RUNNING_COUNTED)
    return render_template(
        "overview.html",
        around=context.surroundings(),
        counts=counts,
        trends=overview.trends(session, counts, now),
        broken=overview.newly_broken(session, chosen, BROKEN_SHOWN),
        fixed=overview.newly_fixed(session, chosen, now, FIXED_SHOWN),
        running=running[:RUNNING_SHOWN],
        running_total=len(running),
        running_by_collection={c.id: sum(r.collection_id == c.id for r in running) for c in chosen},
        by_id={c.id: c for c in chosen},
    )
