"""`/badge/<collection>/<name>.svg` and `.png`: a package's state as a picture."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Blueprint, Response, current_app, request

from frontend import badges, context
from koschei.queries.package_state import package_state

blueprint = Blueprint("badges", __name__)

MINUTES_KEPT = 5


@blueprint.get("/badge/<collection>/<name>.svg")
def svg(collection: str, name: str) -> Response:
    """As SVG."""
    word = _word(collection, name)
    return _picture(word, badges.svg(word), "image/svg+xml")


@blueprint.get("/badge/<collection>/<name>.png")
def png(collection: str, name: str) -> Response:
    """As PNG."""
    word = _word(collection, name)
    path = Path(str(current_app.static_folder)) / "badges" / f"{word.replace(' ', '-')}.png"
    return _picture(word, path.read_bytes(), "image/png")


def _word(collection: str, name: str) -> str:
    """The state of the package there, or that there is none such."""
    return package_state(context.session(), name, collection) or badges.NOT_FOUND


def _picture(word: str, content: bytes, kind: str) -> Response:
    response = Response(content, 404 if word == badges.NOT_FOUND else 200, content_type=kind)
    # Proxies in front of READMEs keep pictures for as long as they may: a state is not to be shown much longer than it
    # lasts.
    response.headers["Cache-Control"] = f"public, max-age={MINUTES_KEPT * 60}"
    if response.status_code == 200:
        response.set_etag(hashlib.sha256(content).hexdigest()[:16])
        response.make_conditional(request)
    return response
