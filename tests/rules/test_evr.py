"""Versions: RPM's order, checked by a table of our own and against libsolv, the solver's own comparison."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
import solv
from hypothesis import given
from hypothesis import strategies as st

from koschei.errors import InvalidInputError
from koschei.rules.evr import LONGEST_PART, compare, differing_part, display, key_of, sort_key


@dataclass(frozen=True)
class Version:
    epoch: int | None
    version: str
    release: str = "1"


class Libsolv:
    """Compares versions as the solver does."""

    def __init__(self):
        self._pool = solv.Pool()
        self._pool.setdisttype(solv.Pool.DISTTYPE_RPM)
        repo = self._pool.add_repo("versions")
        self._one, self._other = repo.add_solvable(), repo.add_solvable()

    def compare(self, a, b):
        self._one.evr, self._other.evr = (display(v.epoch, v.version, v.release) for v in (a, b))
        order = self._one.evrcmp(self._other)
        return (order > 0) - (order < 0)


@pytest.fixture(scope="module")
def libsolv():
    return Libsolv()


# Versions (or releases) of one row: older, sign, newer.
TABLE = [
    row.split()
    for row in """
    1           =  1
    1           <  2
    1.0         =  1.0
    1.0         <  2.0
    2.0         <  2.0.1
    2.0.1       =  2.0.1
    2.0.1       <  2.0.1a
    2.0.1a      =  2.0.1a
    2.0.1a      <  2.0.1b
    1.9         <  1.10
    1.09        =  1.9
    1.009       =  1.9
    1.0010      <  1.0011
    001         =  1
    0           =  00
    0           <  1
    10          <  9999
    9           <  10
    20261122    <  20261123
    5.5p1       <  5.5p2
    5.5p2       <  5.5p10
    5.5p1       <  5.5p10
    10xyz       <  10.1xyz
    xyz10       =  xyz10
    xyz10       <  xyz10.1
    xyz.4       <  8
    xyz.4       <  2
    abc         <  1
    a           <  0
    a           <  b
    A           <  a
    Z           <  a
    aa          <  aaa
    1a          <  1b
    1a          <  1.1
    1           <  1a
    1.a         =  1a
    1a          <  11
    5.6.0       <  6.5.0
    5.6.1       <  6.0
    1_0         =  1.0
    1+0         =  1.0
    1.0.        =  1.0
    .1.0        =  1.0
    1..0        =  1.0
    1._+0       =  1.0
    1.0+        =  1.0
    1.a.0       <  1.0
    1.1.b1.1z1.2  <  1.1.1
    1.0a.1      <  1.0.1
    2a          <  2.0
    fc4         <  fc5
    fc.4        =  fc4
    fc4         =  fc_4
    5.fc9       <  5.fc10
    5.fc41      <  5.fc41.1
    5.el9       <  5.fc9
    1.0~rc1     =  1.0~rc1
    1.0~rc1     <  1.0
    1.0~rc1     <  1.0~rc2
    1.0~rc9     <  1.0~rc10
    1.0~rc1~git123  <  1.0~rc1
    1.0~        <  1.0
    1.0~~       <  1.0~
    1.0~~a      <  1.0~a
    ~1          <  1
    ~1          <  a
    1~          <  1
    1.0~rc1     <  1.0arc1
    1.0~2       <  1.0.1
    1.0^        =  1.0^
    1.0         <  1.0^
    1.0         <  1.0^git1
    1.0^git1    <  1.0^git2
    1.0^git1    <  1.01
    1.0^git1    <  1.1
    1.0^git1    <  1.0.1
    1.0^git1    <  1.0a
    1.0^a       <  1.0a
    1.0^        <  1.0^^
    1.0^20240501  <  1.0^20240601
    1.0^20240501  <  1.0.1
    1.0^20240501^git1  =  1.0^20240501^git1
    1.0^20240501  <  1.0^20240501^git1
    1.0~rc1     <  1.0~rc1^git1
    1.0~rc1^git1  <  1.0
    1.0^git1~pre  <  1.0^git1
    1.0^git1~pre  =  1.0^git1~pre
    1.0~rc1^git1  <  1.0~rc2
    1.0~^       <  1.0
    """.strip().splitlines()
]


@pytest.mark.parametrize(("older", "sign", "newer"), TABLE)
def test_the_table_of_versions_holds_here_and_in_libsolv(libsolv, older, sign, newer):
    expected = {"<": -1, "=": 0}[sign]
    for a, b in (
        (Version(None, older), Version(None, newer)),
        (Version(3, "1.2", older), Version(3, "1.2", newer)),
    ):
        assert compare(a, b) == expected
        assert compare(b, a) == -expected
        assert libsolv.compare(a, b) == expected
        assert libsolv.compare(b, a) == -expected


def test_epoch_comes_before_version_and_version_before_release():
    ascending = [
        Version(None, "1", "1"),
        Version(None, "1", "2"),
        Version(None, "1.1", "1"),
        Version(None, "9999", "9999"),
        Version(1, "0~", "0~"),
        Version(2, "0", "0"),
        Version(256, "0", "0"),
        Version(65536, "0", "0"),
        Version(2**31 - 1, "0", "0"),
        Version(2**32 - 1, "0", "0"),
    ]
    assert all(compare(a, b) == -1 for a, b in pairwise(ascending))


def test_no_epoch_is_epoch_zero():
    assert sort_key(None, "1.2", "3") == sort_key(0, "1.2", "3") < sort_key(1, "1.2", "3")


def test_the_end_of_a_version_is_not_mistaken_for_its_release():
    assert sort_key(0, "1", "2.3") < sort_key(0, "1.2", "3")
    assert sort_key(0, "1~a", "9") < sort_key(0, "1", "0")


part = st.text(alphabet="0123459abzAZ.~^_+", min_size=1, max_size=12)
versions = st.builds(Version, st.none() | st.integers(0, 3), part, part)
# Versions that look alike differ where it matters.
close = st.builds(Version, st.just(None), st.text(alphabet="01a.~^", min_size=1, max_size=5), st.sampled_from("12"))


def signed(a, b):
    key_a, key_b = key_of(a), key_of(b)
    return (key_a > key_b) - (key_a < key_b)


@given(a=versions, b=versions)
def test_the_order_of_keys_is_libsolvs_order_of_any_versions(libsolv, a, b):
    assert signed(a, b) == compare(a, b) == libsolv.compare(a, b)


@given(a=close, b=close)
def test_the_order_of_keys_is_libsolvs_order_of_versions_that_look_alike(libsolv, a, b):
    assert signed(a, b) == compare(a, b) == libsolv.compare(a, b)


@given(close, close, close)
def test_versions_are_totally_ordered(a, b, c):
    assert compare(a, a) == 0
    assert compare(a, b) == -compare(b, a)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@given(st.text(), st.text())
def test_any_text_has_a_key(version, release):
    assert isinstance(sort_key(None, version, release), bytes)


def test_absurdly_long_versions_have_a_key_that_an_index_can_hold():
    longest = "1." * 5000
    assert len(sort_key(0, longest, longest)) < 2700
    assert sort_key(0, "9" * LONGEST_PART, "1") < sort_key(1, "9" * 100_000, "1")
    assert sort_key(0, "1" * (LONGEST_PART - 1), "1") < sort_key(0, "1" * LONGEST_PART, "1")


@pytest.mark.parametrize("epoch", [-1, 2**32])
def test_an_epoch_that_rpm_cannot_store_is_refused_by_its_value(epoch):
    with pytest.raises(InvalidInputError, match=str(epoch)):
        sort_key(epoch, "1", "1")


@pytest.mark.parametrize(("epoch", "text"), [(None, "1.2-3.fc42"), (0, "1.2-3.fc42"), (7, "7:1.2-3.fc42")])
def test_only_an_epoch_that_says_something_is_displayed(epoch, text):
    assert display(epoch, "1.2", "3.fc42") == text


@pytest.mark.parametrize(
    ("text", "other", "expected"),
    [
        ("1.2.3-4", "1.3.0-1", ("1.", "2.3-4")),
        ("1.3.0-1", "1.2.3-4", ("1.", "3.0-1")),
        ("1.12-1", "1.13-1", ("1.", "12-1")),
        ("1.2-3.fc42", "1.2-4.fc42", ("1.2-", "3.fc42")),
        ("1.2-3", "1.2-3", ("1.2-3", "")),
        ("1.2-3", "1:1.2-3", ("", "1.2-3")),
        ("1:1.2-3", "1.2-3", ("", "1:1.2-3")),
        ("2:1.2-3", "2:1.3-3", ("2:1.", "2-3")),
        ("1.2", "1.2.1", ("1.2", "")),
        ("1.2.1", "1.2", ("1.2", ".1")),
        ("1.0~rc1-1", "1.0-1", ("1.0", "~rc1-1")),
        ("2_0", "2_1", ("2_", "0")),
        ("1.0^git1-1", "1.0^git2-1", ("1.0^", "git1-1")),
        ("", "1.2-3", ("", "")),
        ("1.2-3", "", ("", "1.2-3")),
    ],
)
def test_what_differs_begins_with_the_first_component_that_does(text, other, expected):
    assert differing_part(text, other) == expected


@given(st.text(alphabet="01a.-~:", max_size=10), st.text(alphabet="01a.-~:", max_size=10))
def test_the_two_parts_are_the_text_and_the_first_is_shared(text, other):
    same, differing = differing_part(text, other)
    assert same + differing == text
    assert other.startswith(same)
    assert same == differing_part(other, text)[0]
