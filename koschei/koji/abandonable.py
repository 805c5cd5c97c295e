"""Calls that can be abandoned: a service must be able to stop while Koji is thinking, or dripping.

A socket read cannot be interrupted from outside. So the call runs on a thread of its own, and the caller stops waiting
for it; the thread is a daemon, so that it does not keep the process from ending.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")

LOOK_INTERVAL = 0.25
"""Seconds between two looks at the stop event."""


class Abandoned(Exception):  # noqa: N818 - it is the call's state, not a fault
    """The call was still running when its time was up or the process was told to stop; its message says which."""


def run(call: Callable[[], T], *, seconds: float, stop: threading.Event | None = None) -> T:
    """What `call` returns or raises, unless it takes more than `seconds` or `stop` is set: then Abandoned.

    An abandoned call goes on by itself: whatever it uses must not be used any more.
    """
    if stop is not None and stop.is_set():
        raise Abandoned("the service is stopping")
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # whatever it is belongs to the caller, who gets it from the future
            future.set_exception(error)

    threading.Thread(target=work, name="koji-call", daemon=True).start()
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        if wait([future], timeout=max(0.0, min(LOOK_INTERVAL, left))).done:
            return future.result()
        if left <= 0:
            raise Abandoned(f"no answer within {seconds:g} seconds")
        if stop is not None and stop.is_set():
            raise Abandoned("the service is stopping")
