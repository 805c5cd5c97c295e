"""Remembers which calls were made, for assertions."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any


class CallLog:
    """`count[method]` and the last calls as (method, arguments); calls inside a multiCall are counted one by one."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.count: Counter[str] = Counter()
        self.requests = 0
        self.log: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=100_000)

    def add(self, method: str, args: tuple[Any, ...]) -> None:
        self.count[method] += 1
        self.log.append((method, args))

    def of(self, method: str) -> list[tuple[Any, ...]]:
        """The arguments of each logged call of the method, oldest first."""
        return [args for name, args in self.log if name == method]
