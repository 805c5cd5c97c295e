"""Suspects: which change is named first, and in which words."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.rules.changes import dependency_changes
from koschei.rules.suspects import describe, suspects


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    release: str = "1"
    epoch: int | None = None
    arch: str = "x86_64"


def changes_between(prev, curr, distances=None):
    return dependency_changes(prev, curr, distances or {})


def mixed():
    prev = [Package(name, "2") for name in ("base", "far", "near", "older", "gone")]
    curr = [
        Package("base", "3"),
        Package("far", "3"),
        Package("near", "3"),
        Package("older", "1"),
        Package("fresh", "1"),
    ]
    return changes_between(prev, curr, {"far": 3, "near": 1, "older": 1, "fresh": 1})


def test_the_nearest_come_first_upgrades_before_the_rest_and_unknown_distances_last():
    assert [change.name for change in suspects(mixed())] == ["near", "older", "fresh", "far", "base", "gone"]


@pytest.mark.parametrize(("limit", "count"), [(0, 0), (1, 1), (3, 3), (100, 6), (-1, 0), (None, 6)])
def test_there_are_no_more_than_wanted(limit, count):
    assert suspects(mixed(), limit) == suspects(mixed())[:count]


packages = st.builds(Package, st.sampled_from("abc"), st.sampled_from("123"), arch=st.sampled_from(["i686", "noarch"]))


@given(
    st.frozensets(packages),
    st.frozensets(packages),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 4)),
    st.randoms(),
)
def test_the_same_changes_in_any_order_give_the_same_answer(prev, curr, distances, random):
    changes = changes_between(prev, curr, distances)
    shuffled = random.sample(changes, len(changes))
    assert suspects(shuffled) == suspects(changes)


@given(st.frozensets(packages), st.frozensets(packages), st.dictionaries(st.sampled_from("abc"), st.integers(1, 4)))
def test_distances_never_decrease_along_the_suspects(prev, curr, distances):
    ordered = [change.distance or 99 for change in suspects(changes_between(prev, curr, distances))]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize(
    ("prev", "curr", "words"),
    [
        ([Package("gcc", "15.1")], [Package("gcc", "15.2")], "gcc 15.1-1 -> 15.2-1"),
        ([Package("gcc", "15.2")], [Package("gcc", "15.1")], "gcc 15.2-1 -> 15.1-1"),
        ([Package("gcc", "9")], [Package("gcc", "1", epoch=1)], "gcc 9-1 -> 1:1-1"),
        ([], [Package("gcc", "15.2", "3")], "gcc 15.2-3 added"),
        ([Package("gcc", "15.1")], [], "gcc 15.1-1 removed"),
        ([Package("gcc", "1", arch="i686")], [Package("gcc", "1", arch="x86_64")], "gcc 1-1 i686 -> x86_64"),
        ([Package("gcc", "1.0")], [Package("gcc", "1.00")], "gcc 1.0-1 -> 1.00-1"),
    ],
)
def test_a_change_is_said_in_words(prev, curr, words):
    changes = changes_between(prev, curr)
    assert describe(changes[0]) == words
