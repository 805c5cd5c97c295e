"""`/stats`: what does it cost, and is it getting better?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from flask import Blueprint, render_template, request, url_for

from frontend import context, statistics_charts
from frontend.filters import duration
from koschei.errors import InvalidInputError
from koschei.queries import statistics
from koschei.queries.statistics import Built, Cursor, Period, Times

blueprint = Blueprint("stats", __name__)

# What `days` may say, and how many parts of how many days are shown then.
PERIODS = {"30": (30, 1, "30 days"), "90": (90, 1, "90 days"), "365": (52, 7, "52 weeks")}
COSTS_PER_PAGE = 25
LONGEST_WORD = 200


@dataclass(frozen=True)
class Answer:
    """Builds of a period and of the time before it, and packages when it began and now; None where it is not known."""

    built: Built
    before: Built
    now: Times | None
    then: Times | None
    then_part: int
    all: Times


@blueprint.get("/stats")
def stats() -> str:
    """Figures in words, then charts with their tables, then what each package costs."""
    session, choice = context.session(), context.choice()
    days = request.args.get("days", "30")
    if days not in PERIODS:
        raise InvalidInputError(f"“{days[:LONGEST_WORD]}” is no period: days is one of {', '.join(PERIODS)}")
    parts, size, period_word = PERIODS[days]
    period = Period(context.now().astimezone(UTC).date(), parts, size)
    ids = [collection.id for collection in choice.chosen]
    built, before = statistics.built(session, ids, period)
    times = statistics.together(statistics.times(session, ids, period).values())
    arch, package = _word("arch"), _word("package")
    found = statistics.costs(session, _cursor(), COSTS_PER_PAGE, arch=arch, package=package)
    return render_template(
        "stats.html",
        around=context.surroundings(),
        counting=statistics.counting(session),
        period=period,
        period_word=period_word,
        periods=[(word, text) for word, (_, _, text) in PERIODS.items()],
        days=days,
        answer=_answer(built, before, times),
        charts=[
            statistics_charts.builds(period, built),
            statistics_charts.states(period, times),
            statistics_charts.queue(period, times),
            statistics_charts.lag(period, times),
        ],
        architectures=statistics.architectures(session, ids, period),
        arch=arch,
        package=package,
        costs=found.lines,
        first=_address(),
        before=_address(before=_word_of(found.before)) if found.before else None,
        after=_address(after=_word_of(found.after)) if found.after else None,
        address=_address,
        duration_of=lambda seconds: duration(timedelta(seconds=seconds)),
    )


def _answer(built: list[Built], before: Built, times: list[Times]) -> Answer:
    known = [position for position, part in enumerate(times) if part.counts is not None]
    return Answer(
        sum(built, Built()),
        before,
        times[known[-1]] if known else None,
        times[known[0]] if len(known) > 1 else None,
        known[0] if known else 0,
        sum(times, Times()),
    )


def _word(name: str) -> str | None:
    word = request.args.get(name, "").strip()
    if len(word) > LONGEST_WORD:
        raise InvalidInputError(f"“{name}” is too long to be one")
    return word or None


def _address(**changes: str | None) -> str:
    """This page at the list of costs, with other arguments; the list begins again unless a cursor is given."""
    kept = {name: value for name, value in request.args.items() if name in ("days", "arch", "package")}
    values: dict[str, Any] = {**kept, **changes}
    return url_for("stats.stats", _anchor="costs", **values)


def _word_of(cursor: Cursor) -> str:
    return f"{cursor.seconds!r}:{cursor.arch}:{cursor.package}"


def _cursor() -> Cursor | None:
    """Where the page of the list begins. Errors: InvalidInputError for a place that makes no sense."""
    for name in ("after", "before"):
        word = request.args.get(name)
        if word is None:
            continue
        seconds, *rest = word.split(":", 2)
        try:
            arch, package = rest
            place = Cursor(float(seconds), package, arch, back=name == "before")
        except ValueError:
            place = None
        if place is None or not math.isfinite(place.seconds) or len(word) > 2 * LONGEST_WORD:
            raise InvalidInputError(f"“{name}” is no place in the list: follow its links")
        return place
    return None
