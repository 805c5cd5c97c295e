"""Patience with what fails again and again: left alone for a while that grows, its error being told meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST = timedelta(seconds=5)
LONGEST = timedelta(minutes=10)


@dataclass(frozen=True)
class Trouble:
    """What went wrong last, how long it is left alone since then, and until when."""

    error: Exception
    pause: timedelta
    until: datetime


class Patience(Generic[K]):
    """Remembers, for this process only, which work failed with an error of `kind`; `clock` tells UTC time."""

    def __init__(self, kind: type[Exception], clock: Callable[[], datetime]) -> None:
        self._kind = kind
        self._clock = clock
        self._troubles: dict[K, Trouble] = {}

    @contextmanager
    def over(self, key: K) -> Iterator[None]:
        """Do work that may fail; while it is to be left alone, raise its last error again instead of doing it.

        The pause is 5 seconds at first, and twice as long each time in a row, at most 10 minutes.
        """
        trouble = self._troubles.get(key)
        if trouble is not None and self._clock() < trouble.until:
            raise trouble.error.with_traceback(None)
        try:
            yield
        except self._kind as error:
            self._remember(key, error)
            raise
        self._troubles.pop(key, None)

    def _remember(self, key: K, error: Exception) -> None:
        now = self._clock()
        before = self._troubles.get(key)
        pause = FIRST if before is None else min(LONGEST, 2 * before.pause)
        old = [other for other, trouble in self._troubles.items() if trouble.until + 2 * LONGEST < now]
        for other in old:
            del self._troubles[other]
        self._troubles[key] = Trouble(error, pause, now + pause)
