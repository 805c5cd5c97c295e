"""`/affected-by/<dep>`: who suffered from an update of a binary package, or from its being added or removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Flask, render_template, request, url_for

from frontend import context
from koschei.errors import InvalidInputError
from koschei.model import Collection
from koschei.queries import affected
from koschei.queries.affected import Step, Version
from koschei.rules import evr
from koschei.rules.changes import Change

blueprint = Blueprint("affected", __name__)

SHOWN = 100
LONGEST_NAME = 300
PARTS = ("epoch", "version", "release")


@dataclass(frozen=True)
class Place:
    """The collection that the page is about, for the header."""

    collection: Collection


@blueprint.get("/affected-by/<dep>", endpoint="affected")
def affected_by(dep: str) -> str:
    """The packages that began to fail with a change; without a collection, in the first of those that are looked at."""
    session, collection = context.session(), context.choice().chosen[0]
    step = _step(dep)
    found = affected.affected(session, collection.id, step, SHOWN)
    return render_template(
        "affected.html",
        around=context.surroundings([collection]),
        here=Place(collection),
        collection=collection,
        step=step,
        found=found,
        usual=affected.usual(session, collection.id, found.first_build),
        looked_at=affected.LOOKED_AT,
    )


def _step(dep: str) -> Step:
    step = Step(dep, _version("1"), _version("2"))
    if len(dep) > LONGEST_NAME or (step.before is None and step.after is None):
        raise InvalidInputError(
            "Which change is meant? The address names the version before (epoch1, version1, release1), the version "
            "after (epoch2, version2, release2), or both. Each change on the pages of packages and builds leads here."
        )
    return step


def _version(side: str) -> Version | None:
    """One of the two versions; None when the address leaves it out, or empty."""
    epoch, version, release = (request.args.get(part + side, "").strip() for part in PARTS)
    if not version and not release:
        return None
    if not version or not release:
        raise InvalidInputError(f"A version goes with a release: version{side} or release{side} is missing")
    if len(version) > evr.LONGEST_PART or len(release) > evr.LONGEST_PART:
        raise InvalidInputError(f"version{side} and release{side} have at most {evr.LONGEST_PART} characters")
    return Version(_epoch(epoch, f"epoch{side}"), version, release)


def _epoch(word: str, name: str) -> int:
    if not word:
        return 0
    if not (word.isascii() and word.isdigit() and len(word) <= 10 and int(word) <= evr.LARGEST_EPOCH):
        raise InvalidInputError(f"“{name}” must be a whole number between 0 and {evr.LARGEST_EPOCH}")
    return int(word)


def affected_link(change: Change[Any], collection: Collection) -> str:
    """The page of who suffered from this change in a collection."""
    sides = (("1", change.prev), ("2", change.curr))
    versions = {part + side: getattr(dep, part) for side, dep in sides if dep is not None for part in PARTS}
    return url_for("affected.affected", dep=change.name, collection=collection.name, **versions)


def install(app: Flask) -> None:
    """Make the link known to tables of changes."""
    app.jinja_env.globals["affected_link"] = affected_link
