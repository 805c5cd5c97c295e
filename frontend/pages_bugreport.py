"""`/bugreport/<name>`: off to the bug tracker, with the report already written."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from frontend import context
from frontend.filters import exact, version
from frontend.navigation import site
from frontend.present import build_link, log_link, task_link
from koschei.config import Config
from koschei.errors import NotFoundError
from koschei.queries import bugreport
from koschei.queries.bugreport import Evidence
from koschei.rules.bugreport import filled
from koschei.rules.states import PackageState
from koschei.rules.suspects import describe

blueprint = Blueprint("bugreport", __name__)

PROBLEMS_SHOWN = 5
LOGS_SHOWN = 3
# Everything travels in an address, and no server takes endless ones.
LONGEST_LINE = 300
LONGEST_EVIDENCE = 2500


@blueprint.get("/bugreport/<name>")
def report(name: str) -> ResponseReturnValue:
    """The form of the bug tracker, filled in for a package in the first of the chosen collections, if it is broken."""
    collection, config = context.choice().chosen[0], context.frontend().config
    found = bugreport.evidence(context.session(), name, collection)
    if found is None:
        raise NotFoundError(
            f"Nothing can be reported of a package “{name}” in {collection.display_name}: it is not there, it is "
            "blocked, or no build of it is known that says anything"
        )
    if not found.broken:
        return render_template("bugreport.html", around=context.surroundings([collection]), found=found)
    fields = {field: filled(text, _values(found)) for field, text in _template(config).items()}
    missing = [field for field, text in fields.items() if text is None]
    if missing:
        raise NotFoundError(
            f"Nobody has said yet where bugs of {collection.display_name} go: an operator sets the product and version "
            "of the collection in the bug tracker"
        )
    return redirect(config.bugreport.url.replace("{query}", urlencode(fields)))


def _template(config: Config) -> dict[str, str]:
    """The template's text of each field."""
    found: dict[str, str] = config.bugreport.template.model_dump()
    return found


def _values(found: Evidence) -> dict[str, str | None]:
    collection = found.collection
    page = url_for("package.detail", name=found.package.name, collection=collection.name)
    return {
        "name": found.package.name,
        "version": found.build.version,
        "release": found.build.release,
        "arch": "src",
        "package": found.package.name,
        "collection": collection.display_name,
        "collection.name": collection.name,
        "collection.bugzilla_product": collection.bugzilla_product or None,
        "collection.bugzilla_version": collection.bugzilla_version or None,
        "url": site() + page,
        "evidence": evidence_text(found),
    }


def evidence_text(found: Evidence) -> str:
    """The facts, in paragraphs."""
    text = "\n\n".join(part for part in (_problems(found), _failure(found), _change(found)) if part)
    return text if len(text) <= LONGEST_EVIDENCE else text[: LONGEST_EVIDENCE - 1] + "…"


def _problems(found: Evidence) -> str:
    if not found.problems:
        return "Its build dependencies cannot be installed." if found.package.state is PackageState.UNRESOLVED else ""
    lines = [f"  {problem[:LONGEST_LINE]}" for problem in found.problems[:PROBLEMS_SHOWN]]
    if len(found.problems) > PROBLEMS_SHOWN:
        lines.append(f"  and {len(found.problems) - PROBLEMS_SHOWN} more")
    return "\n".join(["Its build dependencies cannot be installed:", *lines])


def _failure(found: Evidence) -> str:
    if found.broke.bad is None:
        return ""
    lines = []
    address = build_link(found.build, found.package)
    if address is not None:
        lines.append(f"The build that failed: {address}")
    for task in found.failed[:LOGS_SHOWN]:
        lines.append(f"{task.arch}: {task_link(task.task_id)}")
        lines += [f"  {log_link(task.task_id, name)}" for name in ("build.log", "root.log")]
    bad, good = found.broke.bad, found.broke.good
    lines.append(f"First bad build: {version(bad)}, {exact(bad.started)}")
    lines.append(
        "No good build is known." if good is None else f"Last good build: {version(good)}, {exact(good.started)}"
    )
    return "\n".join(lines)


def _change(found: Evidence) -> str:
    if not found.changes.shown:
        return ""
    lines = [f"  {describe(change)[:LONGEST_LINE]}" for change in found.changes.shown]
    if found.changes.hidden > 0:
        lines.append(f"  and {found.changes.hidden} more")
    return "\n".join(["What changed in its build dependencies in between, nearest first:", *lines])
