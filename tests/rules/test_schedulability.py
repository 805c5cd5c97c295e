"""Schedulability: each precondition, its reason, and that nothing else decides."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.rules.schedulability import SchedulingFacts, conditions, schedulable
from koschei.rules.states import SkipReason

NOW = datetime(2026, 11, 22, 8, 49, tzinfo=UTC)
READY = SchedulingFacts(
    tracked=True,
    blocked=False,
    resolved=True,
    skip_resolution=False,
    has_running_build=False,
    has_known_build=True,
    has_verdict=True,
    skip_reason=None,
    collection="Fedora Rawhide",
    base_resolved=True,
    builds_today=0,
    builds_per_day_limit=6,
    retry_after=None,
    now=NOW,
)
NAMES = [
    "srpm",
    "arch",
    "tracked",
    "not_blocked",
    "not_running",
    "resolvable",
    "resolution_known",
    "known_build",
    "base_resolvable",
    "base_resolution_known",
    "daily_limit",
    "no_wait",
]
LATER = NOW + timedelta(minutes=15)
ONE_OBSTACLE = [
    ("srpm", {"skip_reason": SkipReason.NO_SRPM, "retry_after": LATER}, "No suitable SRPM was found"),
    (
        "arch",
        {"skip_reason": SkipReason.NO_ARCH, "retry_after": LATER},
        "No build architecture allowed for SRPM",
    ),
    ("tracked", {"tracked": False}, "Package is not tracked"),
    ("not_blocked", {"blocked": True}, "Package is blocked in koji"),
    ("not_running", {"has_running_build": True}, "Package has a running build"),
    ("resolvable", {"resolved": False}, "Package dependencies are not resolvable"),
    ("resolution_known", {"resolved": None}, "Package dependencies were not resolved yet"),
    ("known_build", {"has_known_build": False}, "Package has no known build"),
    ("base_resolvable", {"base_resolved": False}, "Base buildroot for Fedora Rawhide is not resolvable"),
    ("base_resolution_known", {"base_resolved": None}, "Base buildroot for Fedora Rawhide was not resolved yet"),
    (
        "daily_limit",
        {"builds_today": 6},
        "Package was built 6 times in the last 24 hours; the limit is 6",
    ),
    (
        "no_wait",
        {"retry_after": LATER},
        "Koji spoiled the last build; the next one is not before 2026-11-22 09:04 UTC",
    ),
    (
        "no_wait",
        {"skip_reason": SkipReason.NOT_TOLD, "retry_after": LATER},
        "Koji did not tell what is needed to build it; it is not asked again before 2026-11-22 09:04 UTC",
    ),
]
any_facts = st.builds(
    SchedulingFacts,
    tracked=st.booleans(),
    blocked=st.booleans(),
    resolved=st.none() | st.booleans(),
    skip_resolution=st.booleans(),
    has_running_build=st.booleans(),
    has_known_build=st.booleans(),
    has_verdict=st.booleans(),
    skip_reason=st.none() | st.sampled_from(SkipReason),
    collection=st.just("f42"),
    base_resolved=st.none() | st.booleans(),
    builds_today=st.integers(0, 10),
    builds_per_day_limit=st.integers(1, 10),
    retry_after=st.none() | st.datetimes(datetime(2026, 11, 21), datetime(2026, 11, 24), timezones=st.just(UTC)),  # noqa: DTZ001
    now=st.just(NOW),
)


def reasons(facts):
    """Why the package may not be built now."""
    return tuple(condition.reason for condition in conditions(facts) if not condition.holds)


def test_a_package_that_nothing_speaks_against_is_schedulable():
    assert schedulable(READY)
    assert reasons(READY) == ()
    assert all(condition.reason == condition.remedy == "" for condition in conditions(READY))


@pytest.mark.parametrize(("name", "obstacle", "reason"), ONE_OBSTACLE, ids=[row[0] for row in ONE_OBSTACLE])
def test_one_obstacle_is_enough_and_is_said_with_its_way_out(name, obstacle, reason):
    facts = replace(READY, **obstacle)
    failed = [condition for condition in conditions(facts) if not condition.holds]
    assert not schedulable(facts)
    assert [(condition.name, condition.reason) for condition in failed] == [(name, reason)]
    assert failed[0].remedy


def test_conditions_come_in_a_fixed_order_and_each_is_put_in_words():
    assert [condition.name for condition in conditions(READY)] == NAMES
    assert len({condition.text for condition in conditions(READY)}) == len(NAMES)


def test_reasons_come_in_the_order_of_the_conditions():
    worst = replace(
        READY,
        skip_reason=SkipReason.NO_SRPM,
        retry_after=LATER,
        tracked=False,
        blocked=True,
        has_running_build=True,
        resolved=None,
        has_known_build=False,
        base_resolved=None,
    )
    assert reasons(worst) == (
        "No suitable SRPM was found",
        "Package is not tracked",
        "Package is blocked in koji",
        "Package has a running build",
        "Package dependencies were not resolved yet",
        "Package has no known build",
        "Base buildroot for Fedora Rawhide was not resolved yet",
    )


def test_a_package_that_is_not_to_be_resolved_needs_no_resolution():
    assert schedulable(replace(READY, resolved=None, skip_resolution=True))


def test_a_running_build_is_an_obstacle_even_when_resolution_is_skipped():
    assert not schedulable(replace(READY, resolved=None, skip_resolution=True, has_running_build=True))


@pytest.mark.parametrize(("builds", "may"), [(0, True), (5, True), (6, False), (60, False)])
def test_the_daily_limit_is_a_number_of_builds_not_to_be_exceeded(builds, may):
    assert schedulable(replace(READY, builds_today=builds)) is may


@pytest.mark.parametrize(
    ("wait", "may"), [(timedelta(seconds=1), False), (timedelta(0), True), (timedelta(seconds=-1), True)]
)
def test_a_spoiled_build_is_repeated_from_the_moment_on_that_was_set(wait, may):
    assert schedulable(replace(READY, retry_after=NOW + wait)) is may


@pytest.mark.parametrize("reason", [None, *SkipReason])
def test_a_reason_to_wait_ends_with_the_wait(reason):
    assert schedulable(replace(READY, skip_reason=reason, retry_after=NOW))
    assert not schedulable(replace(READY, skip_reason=reason, retry_after=LATER))
    failed = [c for c in conditions(replace(READY, skip_reason=reason, retry_after=LATER)) if not c.holds]
    assert ["2026-11-22 09:04 UTC" in f"{c.reason}. {c.remedy}" for c in failed] == [True]


def told(name, **facts):
    """A condition by its name; None when nothing is said of it."""
    return {condition.name: condition for condition in conditions(replace(READY, **facts))}.get(name)


@given(any_facts)
def test_what_was_not_looked_at_is_neither_claimed_nor_denied(facts):
    named = {condition.name: condition for condition in conditions(facts)}
    assert ("resolvable" in named) is (facts.resolved is not None)
    assert ("base_resolvable" in named) is (facts.base_resolved is not None)
    assert named["base_resolution_known"].holds is (facts.base_resolved is not None)


def test_what_need_not_be_looked_at_is_not_said_to_have_been():
    assert told("resolution_known", resolved=None, skip_resolution=True).text == (
        "Its build dependencies need not be looked at"
    )
    assert told("resolution_known").text == "Its build dependencies were looked at"


@pytest.mark.parametrize(
    ("hindrances", "words"),
    [
        ({}, "The resolver will look at them shortly"),
        ({"tracked": False}, "Looked at once it is tracked"),
        ({"blocked": True}, "Looked at once Koji does not block it"),
        ({"has_verdict": False}, "Looked at once a build of it has ended"),
        ({"has_verdict": False, "has_known_build": False}, "Looked at once a build of it is known"),
        ({"base_resolved": False}, "Looked at once the base buildroot can be installed"),
        ({"tracked": False, "has_verdict": False}, "Looked at once it is tracked and a build of it has ended"),
    ],
)
def test_the_resolver_is_promised_only_to_packages_that_it_looks_at(hindrances, words):
    assert told("resolution_known", resolved=None, **hindrances).remedy == words


def test_an_old_answer_is_told_as_an_old_one():
    assert told("resolvable").text == "Its build dependencies can be installed"
    assert told("resolvable", tracked=False).text == (
        "Its build dependencies could be installed when they were last looked at"
    )
    assert told("resolvable", resolved=False).remedy == "Tried again in every new repository"
    assert told("resolvable", resolved=False, blocked=True).remedy == "Looked at again once Koji does not block it"


def test_the_moment_of_the_next_try_is_given_in_utc():
    elsewhere = (NOW + timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))
    assert reasons(replace(READY, retry_after=elsewhere))[0].endswith("2026-11-22 09:49 UTC")


@given(any_facts)
def test_schedulable_is_exactly_no_reason_against_it(facts):
    assert schedulable(facts) is (reasons(facts) == ())
    assert all(bool(condition.reason) is not condition.holds for condition in conditions(facts))


@given(any_facts)
def test_the_rule_in_one_expression_agrees(facts):
    expected = (
        facts.tracked
        and not facts.blocked
        and not facts.has_running_build
        and (facts.resolved is True or (facts.resolved is None and facts.skip_resolution))
        and facts.has_known_build
        and facts.base_resolved is True
        and facts.builds_today < facts.builds_per_day_limit
        and (facts.retry_after is None or facts.retry_after <= facts.now)
    )
    assert schedulable(facts) is expected
