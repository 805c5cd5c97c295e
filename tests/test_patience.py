"""What fails is left alone for a while that grows, and its error is told again meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from koschei.errors import RepositoryError, RepositoryGone
from koschei.patience import LONGEST, Patience


class Clock:
    """Time at will."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def attempt(patience: Patience[int], key: int, done: list[int], *, fail: bool = True) -> None:
    with patience.over(key):
        done.append(key)
        if fail:
            raise RepositoryGone("404")


def test_work_that_failed_is_left_alone_and_its_error_told_again() -> None:
    clock, done = Clock(), list[int]()
    patience = Patience[int](RepositoryError, clock)
    for _ in range(3):
        with pytest.raises(RepositoryGone, match="404"):
            attempt(patience, 1, done)
    assert done == [1]
    attempt(patience, 2, done, fail=False)
    assert done == [1, 2], "other work goes on"


def test_pauses_double_up_to_ten_minutes() -> None:
    clock, done = Clock(), list[int]()
    patience = Patience[int](RepositoryError, clock)
    tried = []
    begin = clock.now
    while clock.now < begin + timedelta(hours=1):
        before = len(done)
        with pytest.raises(RepositoryGone):
            attempt(patience, 1, done)
        if len(done) > before:
            tried.append((clock.now - begin).total_seconds())
        clock.now += timedelta(seconds=5)
    assert tried[:5] == [0, 5, 15, 35, 75]
    assert tried[-1] - tried[-2] == LONGEST.total_seconds()


def test_success_ends_the_patience() -> None:
    clock, done = Clock(), list[int]()
    patience = Patience[int](RepositoryError, clock)
    with pytest.raises(RepositoryGone):
        attempt(patience, 1, done)
    clock.now += timedelta(seconds=5)
    attempt(patience, 1, done, fail=False)
    with pytest.raises(RepositoryGone):
        attempt(patience, 1, done)
    clock.now += timedelta(seconds=5)
    attempt(patience, 1, done, fail=False)
    assert len(done) == 4


def test_errors_of_another_kind_are_not_remembered() -> None:
    patience = Patience[int](RepositoryError, Clock())
    for _ in range(2):
        with pytest.raises(ValueError, match="mistake"), patience.over(1):
            raise ValueError("mistake")
