"""What browsers and robots ask for by themselves."""

from __future__ import annotations

from flask import Blueprint, Response, current_app

blueprint = Blueprint("meta", __name__)

ROBOTS = """User-agent: *
Crawl-delay: 1
Disallow: /api/
Disallow: /search
Disallow: /affected-by/
Disallow: /bugreport/
Disallow: /login
"""


@blueprint.get("/robots.txt")
def robots() -> Response:
    """What is expensive to make is not for robots."""
    return Response(ROBOTS, content_type="text/plain; charset=utf-8")


@blueprint.get("/favicon.ico")
def favicon() -> Response:
    """The icon; browsers that ask here take it in any format."""
    return current_app.send_static_file("icon.svg")
