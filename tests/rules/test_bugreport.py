"""The template of a bug report."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.rules.bugreport import COMMENT, VARIABLES, check, filled


def test_every_variable_may_be_used() -> None:
    template = " ".join(f"{{{name}}}" for name in VARIABLES)
    assert check(template) == template
    assert filled(template, {name: name.upper() for name in VARIABLES}) == " ".join(name.upper() for name in VARIABLES)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{nmae}", "knows no {nmae}: it may use {name}, {version}"),
        ("{}", "knows no {}"),
        ("{name.__class__}", "knows no {name.__class__}"),
        ("{name!r}", "takes {name} as it is"),
        ("{name:>1000000000}", "takes {name} as it is"),
        ("{name", "cannot be read"),
        ("}", "cannot be read"),
    ],
)
def test_what_cannot_be_filled_is_refused(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".*") as caught:
        check(template)
    assert message in str(caught.value)


def test_a_value_that_is_missing_makes_the_whole_missing() -> None:
    assert filled("{name} {url}", {"name": "x", "url": None}) is None
    assert filled("{name}", {"name": "x", "url": None}) == "x"


def test_indented_templates_lose_their_indentation_and_values_keep_theirs() -> None:
    assert filled("\n    One\n      {name}\n    Two\n", {"name": "a\n  b"}) == "One\n  a\n  b\nTwo"


@given(st.text(), st.text())
def test_values_are_never_read_as_templates(before: str, value: str) -> None:
    text = before.replace("{", "{{").replace("}", "}}")
    found = filled(f"x{text}x{{name}}x", {"name": value})
    assert found is not None
    assert found.endswith(f"x{value}x")


def test_our_own_comment_can_be_filled() -> None:
    assert check(COMMENT) == COMMENT
