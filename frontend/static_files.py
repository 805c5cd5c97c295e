"""Static files: the address holds a fingerprint of the content, so that browsers may keep the file for a year."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, request

from frontend import css_base

blueprint = Blueprint("static_files", __name__)

YEAR = 365 * 24 * 3600
BASE = "static_files.base"


@blueprint.get("/static/base.css")
def base() -> Response:
    """The sheet that ours stands on. It comes from a package, and is no file."""
    response = Response(css_base.base(), content_type="text/css; charset=utf-8")
    response.add_etag()
    response.make_conditional(request)
    return response


def fingerprint(content: bytes) -> str:
    """What changes with the content."""
    return hashlib.sha256(content).hexdigest()[:12]


def fingerprints(folder: Path) -> dict[str, str]:
    """The fingerprint of each file below `folder`, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): fingerprint(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def install(app: Flask) -> None:
    """Add `v=FINGERPRINT` to addresses of static files, and let only these be kept."""
    known = fingerprints(Path(str(app.static_folder)))
    of_base = fingerprint(css_base.base().encode())

    def right(endpoint: str | None, name: object) -> str | None:
        return of_base if endpoint == BASE else known.get(str(name)) if endpoint == "static" else None

    @app.url_defaults
    def add_fingerprint(endpoint: str, values: dict[str, Any]) -> None:
        mark = right(endpoint, values.get("filename"))
        if mark is not None:
            values["v"] = mark

    @app.after_request
    def allow_caching(response: Response) -> Response:
        if request.endpoint not in ("static", BASE):
            return response
        # During a rolling update an address of the new version may reach an old process: its answer must not stay.
        mark = right(request.endpoint, (request.view_args or {}).get("filename"))
        if response.status_code < 400 and mark == request.args.get("v"):
            response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
        else:
            response.headers["Cache-Control"] = "no-cache"
        return response
