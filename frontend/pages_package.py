"""`/package/<name>`: what is wrong with it, since when, what changed, and what happens next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Blueprint, render_template, request

from frontend import context, package_settings, people, present
from frontend.package_settings import SettingsForm
from koschei.errors import InvalidInputError, NotFoundError
from koschei.model import Build
from koschei.queries import builds, changes, maintainers, package, scheduling
from koschei.queries.package import History, Resolution, Somewhere
from koschei.rules.states import BuildState, PackageState

blueprint = Blueprint("package", __name__)

CHANGES_IN_CARD = 12
CHANGES_IN_HISTORY = 25
STATES_SHOWN = 10


@dataclass(frozen=True)
class Entry:
    """A line of the history: a build, or an answer of the resolver."""

    moment: datetime
    build: Build | None = None
    resolution: Resolution | None = None


@blueprint.get("/package/<name>")
def detail(name: str) -> str:
    """The page of a package in the first of the chosen collections that has it."""
    session, choice = context.session(), context.choice()
    places = package.everywhere(session, name, choice.every)
    chosen = {collection.id for collection in choice.chosen}
    here = next((place for place in places if place.collection.id in chosen), None)
    if here is None:
        if not places and not package.exists(session, name):
            raise NotFoundError(f"There is no package “{name}”. It appears here when Koji has it in one of our tags.")
        return render_template("package_elsewhere.html", around=context.surroundings(), name=name, places=places)
    return page(here, places=places)


def page(here: Somewhere, form: SettingsForm | None = None, places: Sequence[Somewhere] = ()) -> str:
    """The page of a package in a collection; `form`: settings that were sent, and are not stored."""
    places = places or package.everywhere(context.session(), here.package.name, context.choice().every)
    session, now, config = context.session(), context.now(), context.frontend().config
    row, person = here.package, people.person()
    before = _before()
    size = config.frontend.builds_per_page
    history = package.history(session, row.id, before, size + 1)
    resolutions = package.resolutions(session, row.id, None if before is None else (before, 0), size + 1)
    entries, more = _merged(history.builds, resolutions, size)
    broke = None
    if here.last_complete is not None and here.last_complete.state is BuildState.FAILED:
        broke = builds.broke_among(history.newest, history.whole, here.last_complete)
        broke = broke or builds.broke_at(session, row.id, here.last_complete)
    shown = [entry.build for entry in entries if entry.build is not None]
    wanted = {build.id for build in [*shown, here.last_complete, broke and broke.bad] if build}
    unresolved = row.state is PackageState.UNRESOLVED
    answers = resolutions if before is None else []
    if before is not None and unresolved:
        answers = package.resolutions(session, row.id, None, size + 1)
    resolvable = next((answer for answer in answers if answer.resolved), None)
    if resolvable is None and unresolved and len(answers) > size:
        resolvable = package.last_resolvable(session, row.id)
    explanation = scheduling.explain(session, row, config, now, built=_built_today(history, now))
    found, pending = changes.of_builds_and_pending(session, wanted, row.id, CHANGES_IN_HISTORY)
    return render_template(
        "package.html",
        around=context.surroundings([here.collection]),
        here=here,
        places=places,
        package=row,
        collection=here.collection,
        explanation=explanation,
        room=scheduling.room(session) if explanation.queued else None,
        broke=broke,
        newest=answers[0] if answers else None,
        resolvable=resolvable if unresolved else None,
        changes=found,
        card_limit=CHANGES_IN_CARD,
        pending=pending,
        tasks=builds.tasks(session, wanted),
        entries=entries,
        chart=present.history_chart(shown, now),
        older=entries[-1].moment.timestamp() if more else None,
        paged=before is not None,
        states=package.state_changes(session, row.id, STATES_SHOWN),
        whose=maintainers.of_package(session, row.name, row.base_id, person.name if person else None),
        links=present.external_links(config, row),
        panel=package_settings.panel(row, form),
    )


def _merged(history: Sequence[Build], resolutions: Sequence[Resolution], size: int) -> tuple[list[Entry], bool]:
    """Builds and answers of the resolver in one, newest first, and whether there are older ones."""
    entries = [Entry(build.started, build=build) for build in history]
    entries += [Entry(resolution.timestamp, resolution=resolution) for resolution in resolutions]
    entries.sort(key=lambda entry: entry.moment, reverse=True)
    return entries[:size], len(entries) > size


def _built_today(history: History, now: datetime) -> int | None:
    """How many scratch builds there were within 24 hours; None when older ones than are known may be of today."""
    recent = [build for build in history.newest if build.started > now - scheduling.DAY]
    if len(recent) == len(history.newest) and not history.whole:
        return None
    return sum(not build.real for build in recent)


def _before() -> datetime | None:
    """The moment that older history is asked for."""
    word = request.args.get("last_seen_ts")
    if word is None:
        return None
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e11:
        raise InvalidInputError("“last_seen_ts” must be a moment in seconds since 1970")
    return datetime.fromtimestamp(value, UTC)
