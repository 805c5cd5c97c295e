"""Whether this process lives, and whether it can serve: for the probes of the platform."""

from __future__ import annotations

from flask import Blueprint, Response
from sqlalchemy.exc import DBAPIError

from frontend import context
from koschei.errors import DatabaseError
from koschei.queries.revision import readiness

blueprint = Blueprint("health", __name__)


def _text(status: int, words: str) -> Response:
    return Response(
        words + "\n", status, content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"}
    )


@blueprint.get("/healthz/live")
def live() -> Response:
    """The process answers; it would not get better by a restart."""
    return _text(200, "ok")


@blueprint.get("/healthz/ready")
def ready() -> Response:
    """The database answers and has the tables this code needs, and the process is going to stay."""
    if context.frontend().leaving():
        return _text(503, "This process is stopping: ask another one")
    try:
        found = readiness(context.session())
    except (DatabaseError, DBAPIError):
        return _text(503, "The database does not answer")
    return _text(200 if found.usable else 503, found.words)
