"""Priority: the figures people know, and the properties that hold for any weights."""

import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from koschei.config import PriorityConfig
from koschei.errors import ConfigError
from koschei.rules.priority import (
    Priority,
    Weights,
    build_priority_after,
    dependency_priority,
    hours_until_due,
    time_priority,
)
from koschei.rules.states import BuildState

DEFAULTS = Weights()
DAY = 24.0

hours = st.floats(min_value=0, max_value=100_000)
bonus = st.integers(min_value=-5000, max_value=5000)
distances = st.lists(st.none() | st.integers(min_value=1, max_value=4), max_size=60)
weights = st.builds(
    lambda threshold, t0, factor: Weights(build_threshold=threshold, t0=t0, t1=t0 * factor),
    st.integers(min_value=1, max_value=10_000),
    st.floats(min_value=0.01, max_value=1000),
    st.floats(min_value=1.5, max_value=1000),
)
priorities = st.builds(
    Priority,
    manual=bonus,
    static=bonus,
    dependency=st.integers(min_value=0, max_value=5000),
    build=st.integers(min_value=0, max_value=3000),
    time=st.floats(min_value=-30, max_value=600),
    coefficient=st.floats(min_value=-2, max_value=4),
)


def at(age, *, manual=0, static=0, dependency=0, build=0, coefficient=1.0, weights=DEFAULTS):
    return Priority(manual, static, dependency, build, time_priority(age, weights), coefficient)


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0, -30),
        (1, -30),
        (4.06, -30),
        (4.07, -29.82),
        (6, 0),
        (10, 39.24),
        (24, 106.50),
        (34, 133.26),
        (72, 190.91),
        (168, 256),
        (14 * DAY, 309.25),
        (30 * DAY, 367.80),
        (30 * DAY + 10, 368.86),
        (365 * DAY, 559.76),
    ],
)
def test_elapsed_time_is_worth_what_people_are_used_to(age, expected):
    assert time_priority(age, DEFAULTS) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("age", [0.0, -0.0, -1.0, -1e9, 1e-300])
def test_a_build_in_the_future_or_just_now_is_worth_the_floor(age):
    assert time_priority(age, DEFAULTS) == -30


@given(weights)
def test_time_is_worth_exactly_nothing_at_t0_and_exactly_the_threshold_at_t1(some):
    assert time_priority(some.t0, some) == 0
    assert time_priority(some.t1, some) == some.build_threshold


@given(weights, hours, hours)
def test_time_never_counts_less_when_more_of_it_has_passed(some, one, other):
    earlier, later = sorted((one, other))
    assert -30 <= time_priority(earlier, some) <= time_priority(later, some)


@given(weights, hours)
@example(Weights(build_threshold=1, t0=1000.0, t1=1e6), 0.0)
def test_the_curve_is_the_documented_formula(some, age):
    a = some.build_threshold / (math.log10(some.t1) - math.log10(some.t0))
    b = -a * math.log10(some.t0)
    expected = max(a * math.log10(max(0.000001, age)) + b, -30)
    assert time_priority(age, some) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([], 0),
        ([1], 256),
        ([2], 128),
        ([3], 85),
        ([4], 64),
        ([None], 32),
        ([1, 1], 512),
        ([3, 3], 170),
        ([3, 3, 3], 256),
        ([1, 2, 3, 4, None], 565),
    ],
)
def test_dependency_changes_are_worth_less_the_farther_they_are(changes, expected):
    assert dependency_priority(changes, DEFAULTS) == expected


def test_two_changes_at_distance_two_are_worth_twenty_when_an_update_is():
    assert dependency_priority([2, 2], Weights(package_update=20)) == 20


def test_a_negative_weight_of_an_update_is_rounded_towards_zero_as_well():
    assert dependency_priority([3], Weights(package_update=-256)) == -85


@given(distances, st.randoms())
def test_the_order_of_changes_plays_no_part(changes, random):
    shuffled = list(changes)
    random.shuffle(shuffled)
    assert dependency_priority(iter(shuffled), DEFAULTS) == dependency_priority(changes, DEFAULTS)


@given(distances, distances)
def test_more_changes_are_never_worth_less(some, more):
    assert dependency_priority(some, DEFAULTS) <= dependency_priority(some + more, DEFAULTS)


@given(distances)
def test_the_sum_is_that_of_the_formula_to_less_than_one(changes):
    exact = sum(256 / (distance or 8) for distance in changes)
    assert -1e-6 <= exact - dependency_priority(changes, DEFAULTS) < 1


@pytest.mark.parametrize(
    ("state", "previous", "expected"),
    [
        (BuildState.FAILED, None, 200),
        (BuildState.FAILED, BuildState.COMPLETE, 200),
        (BuildState.FAILED, BuildState.FAILED, 0),
        (BuildState.COMPLETE, None, 0),
        (BuildState.COMPLETE, BuildState.FAILED, 0),
        (BuildState.COMPLETE, BuildState.COMPLETE, 0),
    ],
)
def test_a_first_failure_is_to_be_confirmed(state, previous, expected):
    assert build_priority_after(state, previous, DEFAULTS) == expected


@pytest.mark.parametrize("state", [BuildState.FAILED, BuildState.COMPLETE])
def test_a_build_that_nothing_can_be_compared_with_is_to_be_followed_by_another(state):
    assert build_priority_after(state, None, DEFAULTS, comparable=False) == DEFAULTS.newly_added


@pytest.mark.parametrize("state", [BuildState.RUNNING, BuildState.CANCELED, BuildState.SPOILED])
def test_no_bonus_follows_from_a_build_that_does_not_count(state):
    with pytest.raises(ValueError, match=f"a {state.word} build does not count"):
        build_priority_after(state, None, DEFAULTS)


def test_the_coefficient_scales_all_but_what_people_set():
    priority = Priority(manual=10, static=20, dependency=100, build=40, time=60.0, coefficient=0.5)
    assert priority.total == 10 + 20 + 0.5 * (100 + 40 + 60)


def test_the_threshold_itself_is_enough():
    assert Priority(256, 0, 0, 0, 0.0, 1.0).reaches(DEFAULTS)
    assert not Priority(255, 0, 0, 0, 0.99, 1.0).reaches(DEFAULTS)


@pytest.mark.parametrize(
    ("age", "parts", "due"),
    [
        (5.9, {"dependency": 256}, False),
        (6.0, {"dependency": 256}, True),
        (0.0, {"dependency": 512}, True),
        (12.3, {"build": 200}, False),
        (12.5, {"build": 200}, True),
        (0.0, {"build": 3000}, True),
        (167.9, {}, False),
        (168.0, {}, True),
        (168.0, {"coefficient": 0.5}, False),
    ],
)
def test_what_is_built_when(age, parts, due):
    assert at(age, **parts).reaches(DEFAULTS) is due


@given(priorities)
def test_the_terms_together_are_the_total(priority):
    terms = priority.terms()
    assert [term.name for term in terms] == ["manual", "static", "dependency", "build", "time"]
    assert math.fsum(term.value for term in terms) == pytest.approx(priority.total, abs=1e-6)


@given(priorities)
def test_every_term_is_explained(priority):
    assert all(term.explanation for term in priority.terms())


def test_terms_say_whether_there_is_anything_to_say_and_name_the_coefficient():
    nothing = {term.name: term.explanation for term in Priority(0, 0, 0, 0, 0.0, 0.5).terms()}
    something = {term.name: term.explanation for term in Priority(5, 7, 256, 200, 106.5, 0.5).terms()}
    assert all(nothing[name] != something[name] for name in nothing)
    assert something["dependency"].endswith("(256, times the collection's coefficient 0.5)")
    assert something["time"] == "time since the last build (106.5, times the collection's coefficient 0.5)"
    assert "coefficient" not in something["manual"] + something["static"]
    assert "coefficient" not in at(24, dependency=256).terms()[2].explanation


def test_a_package_without_news_is_due_after_a_week():
    assert hours_until_due(at(0), 0, DEFAULTS) == pytest.approx(168)
    assert hours_until_due(at(100), 100, DEFAULTS) == pytest.approx(68)


def test_a_direct_change_is_due_six_hours_after_the_last_build():
    assert hours_until_due(at(2, dependency=256), 2, DEFAULTS) == pytest.approx(4)


def test_half_the_coefficient_means_half_a_year():
    due = hours_until_due(at(0, coefficient=0.5), 0, DEFAULTS)
    assert due is not None
    assert due / DAY == pytest.approx(196, abs=0.1)


def test_what_is_over_the_threshold_is_due_now():
    assert hours_until_due(at(0, dependency=512), 0, DEFAULTS) == 0
    assert hours_until_due(at(0, manual=1000, coefficient=0.0), 0, DEFAULTS) == 0


def test_what_elapsed_time_cannot_bring_about_within_a_century_is_never_due():
    assert hours_until_due(at(0, coefficient=0.0), 0, DEFAULTS) is None
    assert hours_until_due(at(0, coefficient=-1.0), 0, DEFAULTS) is None
    assert hours_until_due(at(0, manual=-1000), 0, DEFAULTS) is None
    assert hours_until_due(at(0, coefficient=1e-6), 0, DEFAULTS) is None


def test_the_recorded_time_term_plays_no_part_in_when_it_is_due():
    priority = at(50, build=30)
    assert hours_until_due(replace(priority, time=10_000.0), 50, DEFAULTS) == hours_until_due(priority, 50, DEFAULTS)


@given(priorities, hours, weights)
def test_the_threshold_is_crossed_when_it_was_foretold(priority, age, some):
    due = hours_until_due(priority, age, some)
    now = replace(priority, time=time_priority(age, some))
    if due is None:
        in_a_century = replace(priority, time=time_priority(870_000, some))
        assert not now.reaches(some)
        assert not in_a_century.reaches(some)
    elif due == 0:
        assert now.total >= some.build_threshold - 1e-6
    else:
        then = replace(priority, time=time_priority(age + due, some))
        assert not now.reaches(some)
        assert then.total == pytest.approx(some.build_threshold, abs=1e-5)


def test_the_defaults_are_those_of_the_configuration():
    assert Weights.of(PriorityConfig()) == DEFAULTS


def test_weights_are_taken_from_a_configuration():
    settings = PriorityConfig(
        newly_added=1, build_threshold=2, package_update=3, failed_build_priority=4, t0=5.0, t1=6.0
    )
    assert Weights.of(settings) == Weights(1, 2, 3, 4, 5.0, 6.0)


@pytest.mark.parametrize(
    ("t0", "t1"), [(0.0, 168.0), (-1.0, 168.0), (6.0, 6.0), (168.0, 6.0), (6.0, math.inf), (math.nan, 168.0)]
)
def test_times_that_give_no_rising_curve_are_refused(t0, t1):
    with pytest.raises(ConfigError, match=r"priorities\.t0 .* priorities\.t1"):
        Weights(t0=t0, t1=t1)


def test_a_threshold_of_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"priorities\.build_threshold \(0\)"):
        Weights(build_threshold=0)
