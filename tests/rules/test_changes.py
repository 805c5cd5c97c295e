"""Dependency changes: a lossless description of how one set of packages became another."""

from collections import Counter
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from koschei.rules import evr
from koschei.rules.changes import ChangeKind, dependency_changes, nevra


@dataclass(frozen=True)
class Package:
    name: str
    version: str
    release: str = "1"
    epoch: int | None = None
    arch: str = "x86_64"


packages = st.builds(
    Package,
    name=st.sampled_from(["gcc", "glibc", "make", "kernel"]),
    version=st.sampled_from(["1", "1.0", "1.00", "1~rc", "2", "10"]),
    release=st.sampled_from(["1", "2"]),
    epoch=st.sampled_from([None, 0, 1]),
    arch=st.sampled_from(["x86_64", "i686", "noarch"]),
)
package_sets = st.frozensets(packages, max_size=14)


def rows(changes):
    return [
        (change.kind, change.name, change.prev and change.prev.version, change.curr and change.curr.version)
        for change in changes
    ]


def test_what_was_updated_added_and_removed_is_named_in_the_order_of_names():
    prev = [Package("gcc", "15.1"), Package("make", "4.4"), Package("sed", "4.9"), Package("zlib", "1.3")]
    curr = [Package("gcc", "15.2"), Package("ninja", "1.12"), Package("sed", "4.8"), Package("zlib", "1.3")]
    assert rows(dependency_changes(prev, curr, {})) == [
        ("upgraded", "gcc", "15.1", "15.2"),
        ("removed", "make", "4.4", None),
        ("added", "ninja", None, "1.12"),
        ("downgraded", "sed", "4.9", "4.8"),
    ]


def test_the_distance_is_that_of_the_current_dependency():
    prev = [Package("gcc", "1"), Package("make", "1"), Package("sed", "1")]
    curr = [Package("gcc", "2"), Package("ninja", "1"), Package("sed", "2")]
    changes = dependency_changes(prev, curr, {"gcc": 1, "make": 2, "ninja": 3})
    assert {change.name: change.distance for change in changes} == {"gcc": 1, "make": None, "ninja": 3, "sed": None}


def test_an_unknown_set_gives_no_changes():
    assert dependency_changes(None, [Package("gcc", "1")], {}) == []
    assert dependency_changes([Package("gcc", "1")], None, {}) == []
    assert dependency_changes(None, None, {}) == []


def test_an_empty_set_is_compared_as_it_is():
    assert rows(dependency_changes([], [Package("gcc", "1")], {})) == [("added", "gcc", None, "1")]
    assert rows(dependency_changes([Package("gcc", "1")], [], {})) == [("removed", "gcc", "1", None)]
    assert dependency_changes([], [], {}) == []


def test_an_epoch_decides_what_is_newer():
    (change,) = dependency_changes([Package("gcc", "9")], [Package("gcc", "1", epoch=1)], {})
    assert change.kind is ChangeKind.UPGRADED


def test_no_epoch_and_epoch_zero_are_no_difference():
    assert dependency_changes([Package("gcc", "1", epoch=None)], [Package("gcc", "1", epoch=0)], {}) == []


def test_another_architecture_of_the_same_version_is_a_change_of_its_own_kind():
    (change,) = dependency_changes([Package("data", "1", arch="x86_64")], [Package("data", "1", arch="noarch")], {})
    assert change.kind is ChangeKind.CHANGED
    assert (change.prev.arch, change.curr.arch) == ("x86_64", "noarch")


def test_several_versions_of_one_name_have_a_row_each_in_the_order_of_versions():
    prev = [Package("kernel", "6.10"), Package("kernel", "6.9")]
    curr = [Package("kernel", "6.12"), Package("kernel", "6.11"), Package("kernel", "6.2")]
    assert rows(dependency_changes(prev, curr, {})) == [
        ("downgraded", "kernel", "6.9", "6.2"),
        ("upgraded", "kernel", "6.10", "6.11"),
        ("added", "kernel", None, "6.12"),
    ]


def test_packages_of_one_architecture_are_paired_with_each_other():
    prev = [Package("glibc", "1", arch="x86_64")]
    curr = [Package("glibc", "2", arch="i686"), Package("glibc", "2", arch="x86_64")]
    changes = dependency_changes(prev, curr, {})
    assert [(change.prev and change.prev.arch, change.curr.arch) for change in changes] == [
        ("x86_64", "x86_64"),
        (None, "i686"),
    ]


@given(package_sets, package_sets)
def test_the_changes_applied_to_the_previous_set_give_the_current_one(prev, curr):
    changes = dependency_changes(prev, curr, {})
    removed = [nevra(change.prev) for change in changes if change.prev]
    added = [nevra(change.curr) for change in changes if change.curr]
    before, after = {nevra(dep) for dep in prev}, {nevra(dep) for dep in curr}
    assert max(Counter(removed + added).values(), default=1) == 1
    assert set(removed) == before - after
    assert (before - set(removed)) | set(added) == after
    assert set(added) == after - before


@given(package_sets)
def test_a_set_does_not_differ_from_itself(same):
    assert dependency_changes(same, same, {}) == []
    assert dependency_changes(same, [replace(dep) for dep in same], {}) == []


@given(package_sets, package_sets, st.randoms())
def test_the_order_of_packages_plays_no_part(prev, curr, random):
    one_epoch = [[replace(dep, epoch=dep.epoch or 0) for dep in some] for some in (prev, curr)]
    shuffled = [random.sample(some, len(some)) for some in one_epoch]
    assert dependency_changes(*shuffled, {"gcc": 1}) == dependency_changes(*one_epoch, {"gcc": 1})


@given(package_sets, package_sets)
def test_every_name_has_as_few_rows_as_possible_and_never_both_an_addition_and_a_removal(prev, curr):
    kinds = {}
    for change in dependency_changes(prev, curr, {}):
        assert {dep.name for dep in (change.prev, change.curr) if dep} == {change.name}
        kinds.setdefault(change.name, set()).add(change.kind)
    assert all(not {ChangeKind.ADDED, ChangeKind.REMOVED} <= seen for seen in kinds.values())


@given(package_sets, package_sets)
def test_the_kind_tells_the_order_of_the_two_versions(prev, curr):
    for change in dependency_changes(prev, curr, {}):
        if change.prev and change.curr:
            expected = {-1: "upgraded", 0: "changed", 1: "downgraded"}[evr.compare(change.prev, change.curr)]
        else:
            expected = "added" if change.curr else "removed"
        assert change.kind == expected


@given(package_sets, package_sets)
def test_the_way_back_is_the_same_changes_reversed(prev, curr):
    opposite = {"added": "removed", "removed": "added", "upgraded": "downgraded", "downgraded": "upgraded"}
    there = Counter((change.name, change.kind) for change in dependency_changes(prev, curr, {}))
    back = Counter(
        (change.name, opposite.get(change.kind, change.kind)) for change in dependency_changes(curr, prev, {})
    )
    assert there == back
