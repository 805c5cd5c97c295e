"""What is to happen when: the hub's own time.

Things due are run late but as if in time: while an action runs, `now()` is the moment it was due. So it makes no
difference whether a thread runs the agenda every few milliseconds or a call catches up on an hour at once.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Callable

Action = Callable[[], None]

log = logging.getLogger(__name__)


class Agenda:
    """Actions by due time. `clock` gives seconds since 1970. Not thread-safe: the hub's lock guards it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._running_at: float | None = None

    def now(self) -> float:
        return self._clock() if self._running_at is None else self._running_at

    def after(self, delay: float, action: Action) -> None:
        heapq.heappush(self._heap, (self.now() + delay, next(self._order), action))

    def next_due(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> None:
        if self._running_at is not None:
            return  # an action asked for the state of things: it is up to date already
        until = self._clock()
        try:
            while self._heap and self._heap[0][0] <= until:
                self._running_at, _, action = heapq.heappop(self._heap)
                try:
                    action()
                except Exception:
                    # What failed (a full disk, say) is nobody's answer, and must not keep the rest from happening.
                    log.exception("the hub could not do what was due")
        finally:
            self._running_at = None
