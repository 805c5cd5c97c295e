"""`/documentation`: the guide, the API, the words, and how it is run."""

from __future__ import annotations

from flask import Blueprint, render_template

from frontend import context, documents
from koschei.errors import NotFoundError

blueprint = Blueprint("docs", __name__)


@blueprint.get("/documentation")
def documentation() -> str:
    """The user guide."""
    return _page(next(iter(documents.TITLES)))


@blueprint.get("/documentation/<name>")
def document(name: str) -> str:
    """Another document."""
    if name not in documents.TITLES:
        raise NotFoundError(f"There is no document “{name}”. The documentation begins with the user guide.")
    return _page(name)


def _page(name: str) -> str:
    return render_template(
        "documentation.html",
        around=context.surroundings([]),
        document=documents.document(name),
        others=[(other, title, documents.address(other)) for other, title in documents.TITLES.items()],
    )
