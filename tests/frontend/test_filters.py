"""How values are written."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from frontend import filters
from koschei.queries.changes import Binary
from tests.world import NOW


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86399, "23 hours ago"),
        (86400, "1 day ago"),
        (30 * 86400 - 1, "29 days ago"),
        (30 * 86400, "1 month ago"),
        (365 * 86400 - 1, "12 months ago"),
        (365 * 86400, "1 year ago"),
        (-5, "in a moment"),
        (-60, "in 1 minute"),
        (-7200, "in 2 hours"),
    ],
)
def test_times_are_relative(seconds: int, words: str) -> None:
    assert filters.relative(NOW - timedelta(seconds=seconds), NOW) == words


def test_a_time_tells_its_exact_moment() -> None:
    assert filters.when(NOW - timedelta(hours=2), NOW) == (
        '<time datetime="2026-05-14T10:00:00Z" title="2026-05-14 10:00:00 UTC">2 hours ago</time>'
    )
    assert "never" in filters.when(None, NOW)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (12000, "3 h 20 min"),
        (187200, "2 d 4 h"),
    ],
)
def test_durations_are_short(seconds: int, words: str) -> None:
    assert filters.duration(timedelta(seconds=seconds)) == words
    assert filters.duration(None) == "–"


def test_numbers_are_grouped_and_signed() -> None:
    assert filters.number(1234567.4) == "1\u202f234\u202f567"
    assert [filters.signed(value) for value in (3, 0, -1200)] == ["+3", "0", "−1\u202f200"]
    assert [filters.plural(count, "box", "boxes") for count in (0, 1, 2)] == ["0 boxes", "1 box", "2 boxes"]


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_version_keeps_its_text_and_is_escaped(text: str, other: str) -> None:
    mine, theirs = Binary("x", 0, text, "1", "noarch"), Binary("x", 0, other, "1", "noarch")
    shown = filters.differing(mine, theirs)
    bare = re.sub(r"</?b>", "", str(shown))
    assert "<" not in bare
    assert ">" not in bare
    assert Markup(bare).unescape() == filters.version(mine)


def test_what_differs_is_bold() -> None:
    old, new = Binary("gcc", 0, "15.1", "1.fc44", "x86_64"), Binary("gcc", 0, "15.2", "1.fc44", "x86_64")
    assert filters.differing(new, old) == "15.<b>2-1.fc44</b>"
    assert filters.differing(new, None) == "15.2-1.fc44"
    assert filters.differing(new, new) == "15.2-1.fc44"
