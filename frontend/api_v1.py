"""REST API v1. Scripts rely on it: fields, order and filters stay as they are."""

from __future__ import annotations

from flask import Blueprint, Response, request

from frontend import context
from koschei.queries import api

blueprint = Blueprint("api_v1", __name__, url_prefix="/api/v1")


@blueprint.get("/packages")
def packages() -> Response:
    """All packages with their states; `name` and `collection`, any number of each, narrow it down."""
    names, collections = request.args.getlist("name"), request.args.getlist("collection")
    return _json(api.packages(context.session(), names or None, collections or None))


@blueprint.get("/collections/diff/<one>/<two>")
def difference(one: str, two: str) -> Response:
    """The packages of both collections whose states differ."""
    a, b = context.collection(one), context.collection(two)
    return _json(api.difference(context.session(), (a.id, a.name), (b.id, b.name)))


def _json(text: str) -> Response:
    return Response(text, mimetype="application/json")
