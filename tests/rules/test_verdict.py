"""Verdicts: what a finished Koji task says about the package."""

import inspect
from datetime import timedelta

import koji
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.rules.states import BuildState
from koschei.rules.verdict import (
    BREAKDOWN_CODES,
    KNOWN_CODES,
    Blame,
    TaskState,
    blame,
    is_koji_fault,
    spoiled_retry_delay,
    verdict,
)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("FREE", None),
        ("OPEN", None),
        ("ASSIGNED", None),
        ("CLOSED", BuildState.COMPLETE),
        ("CANCELED", BuildState.CANCELED),
        ("FAILED", BuildState.FAILED),
    ],
)
def test_a_task_state_by_name_or_number_gives_the_verdict(state, expected):
    assert verdict(state, 1005) is expected
    assert verdict(koji.TASK_STATES[state], 1005) is expected
    assert verdict(TaskState[state], 1005) is expected


@pytest.mark.parametrize("state", ["BUILDING", "closed", "", 6, -1])
def test_a_state_that_koji_does_not_have_is_refused_by_name(state):
    with pytest.raises(ValueError, match=r"is not the state of a Koji task.*CLOSED \(2\)"):
        verdict(state)


def test_the_task_states_are_kojis():
    assert {state.name: state.value for state in TaskState} == dict(koji.TASK_STATES.items())


def test_the_known_fault_codes_are_those_of_kojis_own_exceptions():
    exceptions = [kind for _, kind in inspect.getmembers(koji, inspect.isclass) if issubclass(kind, koji.GenericError)]
    assert {kind.faultCode for kind in exceptions} == KNOWN_CODES
    assert BREAKDOWN_CODES < KNOWN_CODES


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1000, BuildState.FAILED),  # GenericError
        (1001, BuildState.SPOILED),  # LockError
        (1002, BuildState.SPOILED),  # AuthError
        (1003, BuildState.FAILED),  # TagError
        (1004, BuildState.SPOILED),  # ActionNotAllowed
        (1005, BuildState.FAILED),  # BuildError
        (1007, BuildState.SPOILED),  # AuthExpired
        (1008, BuildState.SPOILED),  # SequenceError
        (1012, BuildState.FAILED),  # BuildrootError
        (1014, BuildState.SPOILED),  # ServerOffline
        (1, BuildState.SPOILED),  # a traceback
        (0, BuildState.SPOILED),
        (9999, BuildState.SPOILED),
        (None, BuildState.FAILED),
    ],
)
def test_a_failed_task_is_the_packages_failure_only_if_the_fault_is(code, expected):
    assert verdict("FAILED", code) is expected


@pytest.mark.parametrize("code", [1000, 1003, 1004, 1005, 1012, None])
def test_a_task_that_failed_before_it_had_any_child_is_our_mistake(code):
    assert verdict("FAILED", code, has_children=False) is BuildState.SPOILED
    assert blame(code, has_children=False) is Blame.OURS


def test_not_being_allowed_is_our_mistake_whenever_it_comes():
    assert blame(1004, has_children=True) is Blame.OURS


@pytest.mark.parametrize("has_children", [True, False])
@pytest.mark.parametrize("code", [1, 1001, 1014])
def test_a_breakdown_is_kojis_fault_however_far_it_came(code, has_children):
    assert blame(code, has_children=has_children) is Blame.KOJI


@given(st.none() | st.integers(), st.booleans())
def test_a_failed_task_is_spoiled_exactly_if_somebody_is_to_blame(code, has_children):
    spoiled = verdict("FAILED", code, has_children=has_children) is BuildState.SPOILED
    assert spoiled is (blame(code, has_children=has_children) is not None)
    assert not is_koji_fault(code) or spoiled


@given(st.sampled_from([state for state in TaskState if state is not TaskState.FAILED]), st.integers(), st.booleans())
def test_a_fault_matters_only_when_the_task_failed(state, code, has_children):
    assert verdict(state, code, has_children=has_children) == verdict(state)


@pytest.mark.parametrize(
    ("consecutive", "minutes"), [(-1, 0), (0, 0), (1, 15), (2, 30), (3, 60), (4, 120), (7, 960), (8, 1440), (900, 1440)]
)
def test_the_wait_after_spoiled_builds_doubles_up_to_a_day(consecutive, minutes):
    assert spoiled_retry_delay(consecutive, 900) == timedelta(minutes=minutes)


@given(st.integers(1, 10_000), st.floats(0.001, 1e9))
def test_the_wait_never_shrinks_with_another_spoiled_build_and_never_exceeds_a_day(consecutive, base):
    now, then = spoiled_retry_delay(consecutive, base), spoiled_retry_delay(consecutive + 1, base)
    assert timedelta(0) < now <= then <= timedelta(hours=24)
