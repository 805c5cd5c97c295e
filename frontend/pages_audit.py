"""`/log`: who did what, for those who administer; and who they are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, render_template, request, url_for

from frontend import context
from frontend.access import Role, needs
from koschei.errors import InvalidInputError, NotFoundError
from koschei.model import Environment
from koschei.queries import audit_log, people
from koschei.queries.audit_log import Entry, Mark, Wish

blueprint = Blueprint("audit", __name__)

ENTRIES = 100
LONGEST_TERM = 200
FILTERS = ("user", "package", "environment", "since", "until")


@blueprint.get("/log")
@needs(Role.ADMIN)
def log() -> str:
    """The audit log, newest first; what cannot be looked for is said beside the filters."""
    session = context.session()
    words = {name: request.args.get(name, "").strip()[:LONGEST_TERM] for name in FILTERS}
    entries: list[Entry] = []
    fault = None
    try:
        entries = audit_log.entries(session, _wish(words), ENTRIES + 1)
    except (NotFoundError, InvalidInputError) as error:
        fault = str(error)
    more = len(entries) > ENTRIES
    given: dict[str, Any] = {name: word for name, word in words.items() if word}
    return render_template(
        "log.html",
        around=context.surroundings(),
        words=words,
        fault=fault,
        environments=tuple(Environment),
        entries=entries[:ENTRIES],
        narrowed=bool(given),
        older=url_for("audit.log", before=entries[ENTRIES - 1].mark, **given) if more else None,
        newest=url_for("audit.log", **given) if "before" in request.args else None,
        administrators=people.administrators(session),
        admin_groups=context.frontend().config.frontend.auth.admin_groups,
    )


def _wish(words: dict[str, str]) -> Wish:
    environment = words["environment"]
    if environment and environment not in tuple(Environment):
        raise InvalidInputError(f"“{environment}” is no environment: it is one of {', '.join(Environment)}")
    return Wish(
        user=words["user"] or None,
        package=words["package"] or None,
        environment=Environment(environment) if environment else None,
        since=_moment(words["since"], "since"),
        until=_moment(words["until"], "until"),
        before=Mark.read(request.args["before"]) if "before" in request.args else None,
    )


def _moment(word: str, name: str) -> datetime | None:
    """A day or a moment, in UTC unless it says otherwise."""
    if not word:
        return None
    try:
        moment = datetime.fromisoformat(word)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInputError(f"“{name}” must be a day like 2026-11-22, or a moment like 2026-11-22T14:00") from None
