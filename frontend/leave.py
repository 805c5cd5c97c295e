"""Leaving without losing a request: first say so, serve on while whatever stands in front notices, then stop.

At SIGTERM a server that stops at once refuses what a router, which does not know yet, still sends.
"""

from __future__ import annotations

import mmap
import signal
from types import FrameType


class Leave:
    """Whether the server is about to stop; known to all its processes when made before they are forked."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long to serve on after the first SIGTERM; a second one stops at once."""
        self._seconds = seconds
        self._shared = mmap.mmap(-1, 1)

    def begun(self) -> bool:
        """Whether the server has been told to stop."""
        return self._shared[0] == 1

    def install(self) -> None:
        """Come before the handler of SIGTERM that is there. For the main thread of the parent process.

        A timer of the system and not a thread: the parent process may have to fork meanwhile.
        """
        stop = signal.getsignal(signal.SIGTERM)
        assert callable(stop), "gunicorn has a handler when it is ready"

        def begin(number: int, frame: FrameType | None) -> None:
            self._shared[0] = 1
            signal.signal(signal.SIGTERM, stop)
            if self._seconds:
                signal.setitimer(signal.ITIMER_REAL, self._seconds)
            else:
                stop(number, frame)

        signal.signal(signal.SIGALRM, lambda _number, frame: stop(signal.SIGTERM, frame))
        signal.signal(signal.SIGTERM, begin)
