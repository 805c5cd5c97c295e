"""When Koji's list is too short to be believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koschei.rules.doubt import plausible_loss


@pytest.mark.parametrize(
    ("lost", "known", "plausible"),
    [(0, 0, True), (0, 5, True), (1, 1, False), (4, 5, True), (5, 5, False), (10, 24000, True), (1200, 24000, True),
     (1201, 24000, False), (24000, 24000, False)],
)  # fmt: skip
def test_a_few_may_vanish_and_a_twentieth_of_many_but_never_all(lost: int, known: int, plausible: bool) -> None:
    assert plausible_loss(lost, known) is plausible


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_less_loss_is_never_less_plausible(known: int, lost: int) -> None:
    if plausible_loss(lost, known):
        assert all(plausible_loss(fewer, known) for fewer in (0, lost // 2, max(0, lost - 1)))
