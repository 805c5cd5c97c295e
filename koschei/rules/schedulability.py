"""Whether a package may be built now: one small function per precondition, each with its reason when it does not hold.

The scheduler asks whether all hold; the package's page shows them as a checklist.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from koschei.rules.states import SkipReason


@dataclass(frozen=True)
class SchedulingFacts:
    """What is known about a package in a collection when it is considered for a build.

    `collection` is the display name; `base_resolved` whether its base buildroot can be installed (None: not tried);
    `resolved` the same of the package's build dependencies. `has_known_build`: one that runs is enough; `has_verdict`:
    one has completed or failed. `builds_today` counts its scratch builds of the last 24 h.
    `retry_after`: not before this moment (None: no such limit), for `skip_reason`, or without one because Koji spoiled
    the last build. Times are aware.
    """

    tracked: bool
    blocked: bool
    resolved: bool | None
    skip_resolution: bool
    has_running_build: bool
    has_known_build: bool
    has_verdict: bool
    skip_reason: SkipReason | None
    collection: str
    base_resolved: bool | None
    builds_today: int
    builds_per_day_limit: int
    retry_after: datetime | None
    now: datetime

    def waits(self, reason: SkipReason | None) -> bool:
        """Whether the package waits at present, for this reason (None: Koji spoiled its last build)."""
        return self.retry_after is not None and self.now < self.retry_after and self.skip_reason is reason


@dataclass(frozen=True)
class Condition:
    """One precondition of a build.

    `name`: stable identifier. `text`: what is asked, in the positive. When it does not hold, `reason` says so in words
    and `remedy` what will change it; both are empty when it holds.
    """

    name: str
    holds: bool
    text: str
    reason: str
    remedy: str


def conditions(facts: SchedulingFacts) -> tuple[Condition, ...]:
    """Every precondition of which something is known, in the order in which people are told about them."""
    return tuple(condition for check in CHECKS if (condition := check(facts)) is not None)


def schedulable(facts: SchedulingFacts) -> bool:
    """Whether the package may be built now (if its priority is high enough)."""
    return all(condition.holds for condition in conditions(facts))


def _condition(name: str, holds: bool, text: str, reason: str, remedy: str) -> Condition:
    return Condition(name, holds, text, "" if holds else reason, "" if holds else remedy)


def _moment(facts: SchedulingFacts) -> str:
    """When the wait ends; empty without one."""
    return facts.retry_after.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if facts.retry_after else ""


def _has_srpm(facts: SchedulingFacts) -> Condition:
    return _condition(
        "srpm",
        not facts.waits(SkipReason.NO_SRPM),
        "Koji was not found to lack its source package",
        "No suitable SRPM was found",
        f"Looked for again from {_moment(facts)} UTC on, or when Koji has a new build of the package",
    )


def _has_arch(facts: SchedulingFacts) -> Condition:
    return _condition(
        "arch",
        not facts.waits(SkipReason.NO_ARCH),
        "No architecture was found to be in its way",
        "No build architecture allowed for SRPM",
        f"Looked at again from {_moment(facts)} UTC on, or when it has a new build or its architectures are changed",
    )


def _is_tracked(facts: SchedulingFacts) -> Condition:
    return _condition(
        "tracked", facts.tracked, "It is tracked", "Package is not tracked", "Anyone logged in can have it tracked"
    )


def _is_not_blocked(facts: SchedulingFacts) -> Condition:
    return _condition(
        "not_blocked",
        not facts.blocked,
        "It is not blocked in Koji",
        "Package is blocked in koji",
        "Ends when Koji's package list has it unblocked",
    )


def _is_not_running(facts: SchedulingFacts) -> Condition:
    return _condition(
        "not_running",
        not facts.has_running_build,
        "No build of it is running",
        "Package has a running build",
        "Ends with that build",
    )


def _is_resolvable(facts: SchedulingFacts) -> Condition | None:
    """Nothing is said of an answer that nobody has."""
    if facts.resolved is None:
        return None
    hindrances = _hindrances(facts)
    return _condition(
        "resolvable",
        facts.resolved,
        "Its build dependencies could be installed when they were last looked at"
        if hindrances
        else "Its build dependencies can be installed",
        "Package dependencies are not resolvable",
        f"Looked at again once {hindrances}" if hindrances else "Tried again in every new repository",
    )


def _was_resolved(facts: SchedulingFacts) -> Condition:
    hindrances = _hindrances(facts)
    return _condition(
        "resolution_known",
        facts.resolved is not None or facts.skip_resolution,
        "Its build dependencies need not be looked at"
        if facts.skip_resolution
        else "Its build dependencies were looked at",
        "Package dependencies were not resolved yet",
        f"Looked at once {hindrances}" if hindrances else "The resolver will look at them shortly",
    )


def _hindrances(facts: SchedulingFacts) -> str:
    """What must change before the resolver looks at the package; empty when it does so by itself."""
    missing = (
        (not facts.tracked, "it is tracked"),
        (facts.blocked, "Koji does not block it"),
        (not facts.has_verdict, "a build of it has ended" if facts.has_known_build else "a build of it is known"),
        (not facts.base_resolved, "the base buildroot can be installed"),
    )
    return " and ".join(words for lacks, words in missing if lacks)


def _has_known_build(facts: SchedulingFacts) -> Condition:
    return _condition(
        "known_build",
        facts.has_known_build,
        "A build of it is known",
        "Package has no known build",
        "Ends when it is built in Koji and tagged",
    )


def _base_is_resolvable(facts: SchedulingFacts) -> Condition | None:
    if facts.base_resolved is None:
        return None
    return _condition(
        "base_resolvable",
        facts.base_resolved,
        f"The base buildroot of {facts.collection} can be installed",
        f"Base buildroot for {facts.collection} is not resolvable",
        "Tried again in every new repository",
    )


def _base_was_resolved(facts: SchedulingFacts) -> Condition:
    return _condition(
        "base_resolution_known",
        facts.base_resolved is not None,
        f"The base buildroot of {facts.collection} was looked at",
        f"Base buildroot for {facts.collection} was not resolved yet",
        "The resolver will look at it when Koji has a repository",
    )


def _is_within_daily_limit(facts: SchedulingFacts) -> Condition:
    return _condition(
        "daily_limit",
        facts.builds_today < facts.builds_per_day_limit,
        f"Koschei built it fewer than {facts.builds_per_day_limit} times in the last 24 hours",
        f"Package was built {facts.builds_today} times in the last 24 hours; the limit is {facts.builds_per_day_limit}",
        "Ends when the oldest of these builds is more than 24 hours old",
    )


def _is_not_backing_off(facts: SchedulingFacts) -> Condition:
    moment = _moment(facts)
    kept_back = facts.waits(SkipReason.NOT_TOLD)
    return _condition(
        "no_wait",
        not kept_back and not facts.waits(None),
        "No wait is due to trouble with Koji",
        f"Koji did not tell what is needed to build it; it is not asked again before {moment} UTC"
        if kept_back
        else f"Koji spoiled the last build; the next one is not before {moment} UTC",
        "Tried again then, by itself",
    )


CHECKS: tuple[Callable[[SchedulingFacts], Condition | None], ...] = (
    _has_srpm,
    _has_arch,
    _is_tracked,
    _is_not_blocked,
    _is_not_running,
    _is_resolvable,
    _was_resolved,
    _has_known_build,
    _base_is_resolvable,
    _base_was_resolved,
    _is_within_daily_limit,
    _is_not_backing_off,
)
