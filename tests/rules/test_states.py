"""States: facts about a package, a build or a collection -> the one word people see."""

import itertools

import pytest

from koschei.rules.states import (
    BuildState,
    CollectionState,
    PackageState,
    SkipReason,
    collection_state,
    message_state,
    package_state,
)

LAST_BUILDS = (None, *BuildState)


@pytest.mark.parametrize(
    ("blocked", "tracked", "resolved", "last_complete", "expected"),
    [
        (False, True, True, BuildState.COMPLETE, "ok"),
        (False, True, True, BuildState.FAILED, "failing"),
        (False, True, True, None, "unknown"),
        (False, True, None, BuildState.COMPLETE, "ok"),
        (False, True, None, BuildState.FAILED, "failing"),
        (False, True, None, None, "unknown"),
        (False, True, False, BuildState.COMPLETE, "unresolved"),
        (False, True, False, BuildState.FAILED, "unresolved"),
        (False, True, False, None, "unresolved"),
        (False, False, True, BuildState.COMPLETE, "untracked"),
        (False, False, False, BuildState.FAILED, "untracked"),
        (True, True, True, BuildState.COMPLETE, "blocked"),
        (True, False, False, BuildState.FAILED, "blocked"),
    ],
)
def test_the_first_rule_that_applies_gives_the_state_of_a_package(blocked, tracked, resolved, last_complete, expected):
    state = package_state(blocked=blocked, tracked=tracked, resolved=resolved, last_complete=last_complete)
    assert state == expected
    assert state is PackageState(expected)


def test_only_counted_builds_make_a_package_ok_or_failing():
    for last in (BuildState.RUNNING, BuildState.CANCELED, BuildState.SPOILED):
        assert package_state(blocked=False, tracked=True, resolved=True, last_complete=last) is PackageState.UNKNOWN


def test_every_combination_of_facts_has_a_state_and_every_state_occurs():
    seen = {
        package_state(blocked=blocked, tracked=tracked, resolved=resolved, last_complete=last)
        for blocked, tracked, resolved, last in itertools.product(
            (True, False), (True, False), (True, False, None), LAST_BUILDS
        )
    }
    assert seen == set(PackageState)


@pytest.mark.parametrize(
    ("state", "number", "counted", "finished", "word"),
    [
        (BuildState.RUNNING, 2, False, False, "running"),
        (BuildState.COMPLETE, 3, True, True, "complete"),
        (BuildState.CANCELED, 4, False, True, "canceled"),
        (BuildState.FAILED, 5, True, True, "failed"),
        (BuildState.SPOILED, 6, False, True, "spoiled"),
    ],
)
def test_build_states_keep_their_numbers_and_only_complete_and_failed_count(state, number, counted, finished, word):
    assert (int(state), state.counted, state.finished, state.word) == (number, counted, finished, word)


def test_there_are_no_other_build_states():
    assert len(BuildState) == 5


@pytest.mark.parametrize(
    ("resolved", "state"),
    [(True, CollectionState.OK), (False, CollectionState.UNRESOLVED), (None, CollectionState.UNKNOWN)],
)
def test_a_collection_is_as_good_as_its_base_buildroot(resolved, state):
    assert collection_state(resolved) is state


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (PackageState.OK, "ok"),
        (PackageState.FAILING, "failing"),
        (PackageState.UNRESOLVED, "unresolved"),
        (PackageState.BLOCKED, "ignored"),
        (PackageState.UNTRACKED, "ignored"),
        (PackageState.UNKNOWN, "ignored"),
    ],
)
def test_messages_know_four_states(state, word):
    assert message_state(state) == word
    assert type(message_state(state)) is str


def test_skip_reasons_keep_their_numbers():
    assert {reason.name: int(reason) for reason in SkipReason} == {"NO_SRPM": 1, "NO_ARCH": 2, "NOT_TOLD": 3}
