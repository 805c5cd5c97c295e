"""`/build/<id>`: what happened in a build."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from frontend import context, editing, present
from frontend.access import Role, needs
from koschei import requests
from koschei.errors import InvalidInputError, NotFoundError
from koschei.queries import builds, changes
from koschei.rules.changes import ChangeKind
from koschei.rules.ids import LARGEST_ID

blueprint = Blueprint("builds", __name__)

CHANGES_SHOWN = 500


@blueprint.get("/build/<int:build_id>")
def detail(build_id: int) -> str:
    """The page of a build; `name` and `kind` narrow its changes down."""
    session = context.session()
    found = builds.build_detail(session, build_id) if build_id <= LARGEST_ID else None
    if found is None:
        raise NotFoundError(f"There is no build {build_id}. Old builds are deleted after a while.")
    submission = found.build.submission or {}
    name = request.args.get("name", "").strip()
    kind = _kind(request.args.get("kind", ""))
    return render_template(
        "build.html",
        around=context.surroundings([found.collection]),
        found=found,
        build=found.build,
        package=found.package,
        collection=found.collection,
        counts=changes.counts(session, build_id),
        changes=changes.of_builds(session, [build_id], CHANGES_SHOWN, name=name, kind=kind)[build_id],
        name=name,
        kind=kind,
        submission=submission,
        terms=present.submitted_terms(submission),
    )


@blueprint.post("/build/<int:build_id>/cancel")
@needs(Role.ADMIN)
def cancel(build_id: int) -> ResponseReturnValue:
    """Have polling cancel a running build in Koji."""
    if build_id > LARGEST_ID:
        raise NotFoundError(f"There is no build {build_id}")

    def ask(session: Session) -> None:
        requests.cancel_build(session, editing.actor(), build_id)

    return editing.press(ask, "Cancelation request sent.", "builds.detail", build_id=build_id)


def _kind(word: str) -> ChangeKind | None:
    if not word:
        return None
    try:
        return ChangeKind(word)
    except ValueError:
        raise InvalidInputError(f"“{word}” is no kind of change: kind is one of {', '.join(ChangeKind)}") from None
