"""What becomes of a message: handled, ignored, held back during an outage, or parked because it makes us fail.

fedora-messaging acknowledges a message when its callback returns, gives it back at once on Nack, and ends consuming
for good on any other exception (platform.md): only the first two are allowed to happen.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol

import structlog
from fedora_messaging.exceptions import Nack

from koschei.errors import ServiceError

log = structlog.get_logger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
HOLD_SECONDS = 600.0
"""A message is held this long at most before it is given back: a broker closes the channel of one who holds it longer
(RabbitMQ's consumer_timeout is 30 minutes), and gives it to us again at once."""

Handler = Callable[[str, Mapping[str, Any]], bool]
"""Called with topic and body; returns whether the message concerned us. ServiceError: trying again later can help."""


class Outcome(StrEnum):
    """What became of a message."""

    HANDLED = "handled"
    IGNORED = "ignored"
    HELD = "held"
    RETURNED = "returned"
    PARKED = "parked"


class Received(Protocol):
    """What is needed of the library's message."""

    id: str
    topic: str
    body: Any


class Receiver:
    """Calls `handler` with one message after the other and tells `observe` what became of each.

    While the handler says that something outside does not work, the message is held and tried again with growing
    pauses: nothing is lost, nothing overtakes, and the broker keeps what comes behind it.
    """

    def __init__(
        self,
        handler: Handler,
        observe: Callable[[Outcome], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`wait` sleeps some seconds and says whether to stop; it and `clock` are for tests."""
        self._handler = handler
        self._observe = observe
        self._clock = clock
        self._stopping = threading.Event()
        self._wait = wait or self._stopping.wait
        # After a channel is lost while a message is held, the library may read on two channels for a while.
        self._one_at_a_time = threading.Lock()

    def stop(self) -> None:
        """Give back what is held, and what still comes."""
        self._stopping.set()

    def __call__(self, message: Received) -> None:
        """Return: the message is done with. Nack: it is to be delivered again."""
        with self._one_at_a_time:
            self._receive(message)

    def _receive(self, message: Received) -> None:
        deadline = self._clock() + HOLD_SECONDS
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                concerned = self._handle(message)
            except ServiceError as error:
                if pause == FIRST_PAUSE:
                    self._observe(Outcome.HELD)
                    log.warning("a message is held until it can be dealt with", topic=message.topic, reason=str(error))
                if self._clock() >= deadline or self._wait(pause * random.uniform(0.75, 1.25)):  # noqa: S311
                    break
                pause = min(LONGEST_PAUSE, pause * 2)
            except Exception:  # it would be delivered for ever; polling sees whatever it was about
                log.exception("a message is parked: dealing with it failed", topic=message.topic, message=message.id)
                self._observe(Outcome.PARKED)
                return
            else:
                self._observe(Outcome.HANDLED if concerned else Outcome.IGNORED)
                return
        self._observe(Outcome.RETURNED)
        raise Nack

    def _handle(self, message: Received) -> bool:
        body = message.body
        return isinstance(body, Mapping) and self._handler(message.topic, body)
