"""Names and texts that people type."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.rules.names import LONGEST_NAME, LONGEST_TEXT, flaw, listed, quoted, shown, suggestion


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Fedora 44", None),
        ("Fedora – “Rawhide” 💚", None),
        ("", "is empty"),
        (" \t", "is empty"),
        ("x" * LONGEST_TEXT, None),
        ("x" * (LONGEST_TEXT + 1), f"has {LONGEST_TEXT + 1} characters, but may have {LONGEST_TEXT}"),
        ("a\nb", r"has a character that cannot be shown: '\n'"),
        ("a\0", r"has a character that cannot be shown: '\x00'"),
        ("\x9b", r"has a character that cannot be shown: '\x9b'"),
        ("\udc80", r"has a character that cannot be shown: '\udc80'"),
    ],
)
def test_a_text_has_a_flaw_or_none(text: str, words: str | None) -> None:
    assert flaw(text) == words


def test_some_texts_may_have_lines_and_tabs_but_no_more() -> None:
    assert flaw("a\n\tb", lines=True) is None
    assert flaw("a\rb", lines=True) is not None


@given(st.text(max_size=500))
def test_whatever_is_shown_is_short_and_does_nothing_to_a_terminal(name: str) -> None:
    for text in (shown(name), quoted(name)):
        assert text
        assert not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def test_names_are_shown_as_they_are_unless_they_are_strange() -> None:
    assert (shown("python-foo"), shown(""), shown("a b"), shown("a\n")) == ("python-foo", "''", "'a b'", r"'a\n'")
    assert len(shown("x" * 1000)) == 60
    assert quoted("foo") == "'foo'"


def test_lists_of_names_end_somewhere() -> None:
    assert listed(["b", "a"]) == "b, a"
    assert listed(str(number) for number in range(25)).endswith("18, 19 and 5 more")


def test_names_that_look_like_it_are_suggested() -> None:
    known = ["bash", "bison", "zlib"]
    assert suggestion("bsh", known) == "Did you mean bash?"
    assert suggestion("qqq", known) == ""
    assert suggestion("qqq", known, "There are three") == "There are three"
    assert suggestion("bash" * LONGEST_NAME, known, "no") == "no"
    assert suggestion("f2", ["f27", "f28"]) in ("Did you mean f28 or f27?", "Did you mean f27 or f28?")
