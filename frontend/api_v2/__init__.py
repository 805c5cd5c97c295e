"""REST API v2. Each route is declared once (declare.py): its requests are checked and its OpenAPI is made from that."""

from __future__ import annotations

from flask import Flask, Response, jsonify

from frontend.api_v2 import builds, collections, events, groups, mine, packages, reference, resolutions, writing
from frontend.api_v2.declare import blueprint as blueprint
from frontend.api_v2.openapi import document
from frontend.api_v2.problems import Conflict, InvalidRequest, Unauthorized, respond

MODULES = (packages, builds, resolutions, collections, groups, events, mine, writing)


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The OpenAPI 3.1 document."""
    return jsonify(document())


@blueprint.errorhandler(InvalidRequest)
def invalid(error: InvalidRequest) -> Response:
    """Everything that is wrong with the request."""
    return respond(error.status, str(error), errors=error.flaws)


@blueprint.errorhandler(Conflict)
def conflict(error: Conflict) -> Response:
    """It cannot be done now."""
    return respond(409, str(error))


@blueprint.errorhandler(Unauthorized)
def unauthorized(error: Unauthorized) -> Response:
    """Nobody knows who asks."""
    return respond(401, str(error), headers={"WWW-Authenticate": 'Bearer realm="Koschei API"'})


def install(app: Flask) -> None:
    """Add the routes."""
    app.register_blueprint(blueprint)
    app.register_blueprint(reference.blueprint)
