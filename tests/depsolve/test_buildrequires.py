"""BuildRequires as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.depsolve.buildrequires import (
    MalformedError,
    Plain,
    Rich,
    TooComplexError,
    clauses,
    leaves,
    parse,
    wanted,
)


def names(plain: object) -> list[str]:
    return [leaf.name for leaf in plain]  # type: ignore[attr-defined]


def test_a_name_a_version_and_a_file_are_plain() -> None:
    assert parse("gcc") == Plain("gcc")
    assert parse("foo >= 1:2-3") == Plain("foo", ">=", "1:2-3")
    assert parse("foo == 2") == Plain("foo", "=", "2")
    assert parse(" perl(Foo::Bar)  >  1 ") == Plain("perl(Foo::Bar)", ">", "1")
    assert parse("/usr/bin/perl") == Plain("/usr/bin/perl")


def test_every_rich_operator_is_understood() -> None:
    assert parse("(a or b or c)") == Rich("or", (Plain("a"), Plain("b"), Plain("c")))
    assert parse("(a >= 1 with a < 2)") == Rich("with", (Plain("a", ">=", "1"), Plain("a", "<", "2")))
    assert parse("(a if b else c)") == Rich("if", (Plain("a"), Plain("b"), Plain("c")))
    assert parse("(a unless (b and c))") == Rich("unless", (Plain("a"), Rich("and", (Plain("b"), Plain("c")))))
    assert parse("(perl(Foo) without bar(x86-64))") == Rich("without", (Plain("perl(Foo)"), Plain("bar(x86-64)")))
    assert parse("(a)") == Plain("a")
    assert parse("(or)") == Plain("or")  # a package may have that name


NONSENSE = ["", " ", "a b", "a >= ", ">= 1", "a ~ 1", "a >= 1 b", "a\nb", "(", "()", "(a", "(a or)", "(a or b"]
NONSENSE += ["(a or b))", "(a xor b)", "(a or b and c)", "(a if b if c)", "(a else b)", "(a if b else c else d)"]
NONSENSE += ["(a,b)", "(a or b) c", "(a >= )", "(a <> 1)", "(a or (b)"]


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "(" * 5_000 + "a" + ")" * 5_000,
        "(" + " or ".join(["a"] * 5_000) + ")",
        "(" + " or ".join(f"(a{n} and b{n})" for n in range(40)) + ")",
        "(x if (" + " and ".join(f"(a{n} or b{n})" for n in range(40)) + "))",
        "x" * 100_000,
    ],
)
def test_what_would_exhaust_a_solver_is_too_complex(text: str) -> None:
    with pytest.raises(TooComplexError):
        parse(text)


def test_conditions_are_leaves_but_not_wanted() -> None:
    requirement = parse("((a if b else c) and (d without e) and (f unless g))")
    assert names(leaves(requirement)) == ["a", "b", "c", "d", "e", "f", "g"]
    assert names(wanted(requirement)) == ["a", "c", "d", "f"]


def test_clauses_are_counted_as_normal_forms_grow() -> None:
    assert clauses(parse("((a and b) or (c and d))")) == (4, 2)
    assert clauses(parse("((a or b) and (c or d))")) == (2, 4)
    assert clauses(parse("(a if (b or c))")) == (2, 2)


@given(st.text("ab ()<>=,/orandifelse", max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        understood = parse(text)
    except MalformedError:
        return
    assert all(leaf.name for leaf in leaves(understood))
    assert min(clauses(understood)) >= 1
