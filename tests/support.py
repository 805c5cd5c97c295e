"""What tests share and fixtures do not fit: waiting for a condition with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value], timeout: float = 10, message: str = "the condition to hold") -> Value:
    """Call `condition` until it answers something true, and return that; fail after `timeout` seconds.

    An exception of `condition` ends the wait: catch in it what may happen on the way.
    """
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {message}; the last answer was {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
