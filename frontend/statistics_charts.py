"""The charts of statistics: what was built, how many packages are broken, who waits for what. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from frontend import charts
from frontend.charts import About, Chart, Series
from frontend.filters import duration, number, plural
from koschei.queries.statistics import Built, Period, Times
from koschei.rules.states import BuildState, PackageState

MINUTES = (10, 20, 40, 60, 120, 240, 360, 480, 720, 1440, 2880, 5760, 10080, 20160)
"""Where a scale of minutes ends."""
SHOWN = (PackageState.FAILING, PackageState.UNRESOLVED, PackageState.UNKNOWN)


def labels(period: Period) -> list[str]:
    """The parts of a period in words: a day, or the first and the last day."""
    if period.size == 1:
        return [f"{period.start(part):%Y-%m-%d}" for part in range(period.number)]
    return [f"{period.start(part):%Y-%m-%d} to {period.end(part):%m-%d}" for part in range(period.number)]


def about(period: Period, title: str, words: str) -> About:
    """What a chart over a period is about."""
    ends = [charts.day_word(period.start(part)) for part in (0, period.number // 2)]
    head = "Day" if period.size == 1 else "Week"
    return About(title, words, labels(period), [*ends, charts.day_word(period.last)], head)


def builds(period: Period, built: Sequence[Built]) -> Chart:
    """How the builds ended that ended in each part of a period."""
    total = sum(built, Built())
    words = (
        f"{plural(total.total, 'build')} ended: {number(total.judged - total.failed)} succeeded, "
        f"{number(total.failed)} failed, {number(total.inconclusive)} say nothing about their package"
        if total.total
        else "No build ended in this time."
    )
    return charts.bars(
        about(period, f"Builds that ended, by {'day' if period.size == 1 else 'week'}", words),
        [
            Series("failed", "fill-failing", [part.failed for part in built]),
            Series("inconclusive", "fill-inconclusive", [part.inconclusive for part in built]),
            Series("succeeded", "fill-ok", [part.states.get(BuildState.COMPLETE, 0) for part in built]),
        ],
    )


def states(period: Period, times: Sequence[Times], title: str = "Packages that are not ok") -> Chart:
    """How many packages were broken, or never built, over a period."""
    known = [part for part in times if part.counts is not None]
    words = "Packages were not counted in this time."
    if known:
        first, last = (f"{number(part.broken or 0)} of {number(part.tested)}" for part in (known[0], known[-1]))
        words = f"{first} tracked packages were broken when this begins, {last} at its end"
        if not any(part.tested for part in known):
            words = "No package was tracked."
        elif not any(part.counts and part.counts.get(state) for part in known for state in SHOWN):
            words = "All tracked packages were ok all the time."
    return charts.areas(
        about(period, title, words),
        [
            Series(str(state), f"fill-{state}", [None if p.counts is None else p.counts.get(state, 0) for p in times])
            for state in SHOWN
        ],
        [Series("ok", "", [None if p.counts is None else p.counts.get(PackageState.OK, 0) for p in times])],
    )


def queue(period: Period, times: Sequence[Times]) -> Chart:
    """How many packages waited to be built."""
    known = [part.queue for part in times if part.queue is not None]
    words = "Nobody waited." if known else "It was not counted in this time."
    if any(known):
        words = f"{number(sum(known) / len(known))} packages waited on average, at most {number(max(known))}"
    return charts.lines(
        about(period, "Packages waiting to be built", words),
        [Series("waiting", "line-accent", [part.queue for part in times])],
    )


def lag(period: Period, times: Sequence[Times]) -> Chart:
    """How old answers were."""
    total = sum(times, Times())
    words = "No repository was resolved in this time."
    if total.resolving is not None:
        words = f"Resolving a repository took {duration(total.resolving)} on average"
        if total.waiting is not None:
            words += f", and all was answered {duration(total.waiting)} after Koji had made it"
    series = [
        Series("until answered", "line-accent", [_minutes(part.waiting) for part in times]),
        Series("resolving", "line-soft", [_minutes(part.resolving) for part in times]),
    ]
    in_minutes = replace(about(period, "Age of a repository when all is resolved", words), write=_duration)
    return charts.lines(in_minutes, series, steps=MINUTES, least=10)


def _minutes(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds() / 60


def _duration(minutes: float) -> str:
    return duration(timedelta(minutes=minutes)) if minutes else "0"
