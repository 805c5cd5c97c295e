"""Code of any age judges a database of any age rightly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.db.revisions import Applied, Fit, Phase, Revision, judge, needed, pre_half

PRE, POST = Phase.PRE, Phase.POST


def line(*phases: Phase) -> list[Revision]:
    return [Revision(f"{i:04}", phase, "") for i, phase in enumerate(phases, 1)]


def record(revisions: list[Revision], version: str = "9.9") -> list[Applied]:
    return [Applied(one.name, str(one.phase), version) for one in revisions]


def test_code_needs_its_last_pre_revision_and_lives_without_the_post_half() -> None:
    assert needed(line(PRE, PRE, POST)) == "0002"
    assert needed(line(PRE, POST, PRE, POST, POST)) == "0003"


def test_the_pre_half_ends_where_something_is_taken_away() -> None:
    assert [one.name for one in pre_half(line(PRE, PRE, POST, PRE))] == ["0001", "0002"]
    assert pre_half(line(POST, PRE)) == ()


@pytest.mark.parametrize(
    ("found", "fit", "usable"),
    [
        (None, Fit.EMPTY, False),
        ("0001", Fit.OLDER, False),
        ("0002", Fit.RIGHT, True),
        ("0003", Fit.RIGHT, True),
        ("0004", Fit.FOREIGN, False),
    ],
)
def test_a_revision_that_is_known_needs_no_record(found: str | None, fit: Fit, usable: bool) -> None:
    state = judge(line(PRE, PRE, POST), found, ())
    assert (state.fit, state.usable) == (fit, usable)


def test_old_code_goes_on_until_something_that_it_uses_is_taken_away() -> None:
    whole = line(PRE, PRE, PRE, POST, PRE)
    old = whole[:1]
    assert judge(old, "0003", record(whole[:3])).fit is Fit.NEWER
    state = judge(old, "0005", record(whole[:4], "2.0") + record(whole[4:], "3.0"))
    assert state.fit is Fit.TOO_NEW
    assert "0004 took away what this code (revision 0001) uses: run the image of Koschei 3.0 or newer" in state.words


def test_a_half_of_which_nobody_knows_is_taken_for_the_worst() -> None:
    applied = [Applied("0001", "pre", "1"), Applied("0002", "sideways", "2")]
    assert judge(line(PRE), "0002", applied).fit is Fit.TOO_NEW


def test_another_line_of_development_is_not_ours() -> None:
    applied = [Applied("0001", "pre", "1"), Applied("0002b", "pre", "2")]
    assert judge(line(PRE, PRE), "0002b", applied).fit is Fit.FOREIGN
    assert judge(line(PRE), "c3e9459e893f", ()).fit is Fit.FOREIGN


@given(st.lists(st.sampled_from(Phase), max_size=8), st.integers(1, 9), st.integers(1, 9))
def test_code_is_admitted_exactly_when_it_has_what_it_needs_and_nothing_is_gone(
    phases: list[Phase], known: int, applied: int
) -> None:
    whole = line(PRE, *phases)
    ours, theirs = whole[:known], whole[:applied]
    state = judge(ours, theirs[-1].name, record(theirs))
    has_all = needed(ours) in [one.name for one in theirs]
    gone = any(one.phase is POST for one in theirs[len(ours) :])
    assert state.usable == (has_all and not gone)
    assert [one.name for one in state.pending] == [one.name for one in ours[len(theirs) :]]
    assert state.words
