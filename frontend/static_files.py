"""Static files: the address holds a fingerprint of the content, so that browsers may keep the file for a year."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

YEAR = 365 * 24 * 3600


def fingerprints(folder: Path) -> dict[str, str]:
    """The fingerprint of each file below `folder`, by its relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def install(app: Flask) -> None:
    """Add `v=FINGERPRINT` to addresses of static files, and let only these be kept."""
    known = fingerprints(Path(str(app.static_folder)))

    @app.url_defaults
    def add_fingerprint(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and values.get("filename") in known:
            values["v"] = known[values["filename"]]

    @app.after_request
    def allow_caching(response: Response) -> Response:
        if request.endpoint != "static":
            return response
        # During a rolling update an address of the new version may reach an old process: its answer must not stay.
        name = (request.view_args or {}).get("filename", "")
        if response.status_code < 400 and known.get(name) == request.args.get("v"):
            response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"
        else:
            response.headers["Cache-Control"] = "no-cache"
        return response
