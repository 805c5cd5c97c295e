"""`/search`: where a package is."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from frontend import context
from koschei.queries import packages, search

blueprint = Blueprint("search", __name__)

NAMES_SHOWN = 100
ALIKE_SHOWN = 12
LONGEST_TERM = 200


@blueprint.get("/search", endpoint="search")
def search_page() -> ResponseReturnValue:
    """Straight to the package when the term is a name, else a list."""
    term = request.args.get("q", "").strip()[:LONGEST_TERM]
    if not term:
        return redirect(url_for("overview.overview"))
    session, choice = context.session(), context.choice()
    found = search.search(session, term, NAMES_SHOWN)
    if found.exact:
        return redirect(url_for("package.detail", name=found.names[0]))
    selection = packages.Selection(tuple(c.id for c in choice.every), untracked=True)
    rows = packages.named(session, selection, found.names, config=context.frontend().config, now=context.now())
    return render_template(
        "search.html",
        around=context.surroundings(),
        term=term,
        rows=rows,
        more=found.more,
        alike=[] if rows else search.alike(session, term, ALIKE_SHOWN),
    )
