"""What becomes of a message: handled, ignored, held back during an outage, or parked because it makes no sense.

fedora-messaging acknowledges a message when its callback returns, gives it back at once on Nack, and ends consuming
for good on any other exception (see its `api.consume`): only the first two are allowed to happen.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import structlog
from fedora_messaging.exceptions import Nack

from koschei.errors import MessageError, ServiceError

log = structlog.get_logger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
HOLD_SECONDS = 600.0
"""A message is held this long at most before it is given back: a broker closes the channel of one who holds it longer
(RabbitMQ's consumer_timeout is 30 minutes), and gives it to us again at once."""

LONGEST_BODY = 20_000
"""Characters of a message that makes no sense that are kept."""
LONGEST_REASON = 500

Handler = Callable[[str, Mapping[str, Any]], bool]
"""Called with topic and body; returns whether the message concerned us. ServiceError: trying again later can help.
MessageError, and any mistake of ours: the message is parked."""


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


@dataclass
class Unreadable:
    """A message that is not JSON, or not what its schema promises. The library notes from which `queue` it came."""

    id: str
    topic: str
    body: bytes
    error: str
    queue: str | None = None


@dataclass(frozen=True)
class Parked:
    """A message that is put aside for people to look at; its texts are such as PostgreSQL takes."""

    topic: str
    message_id: str
    body: str
    reason: str


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
        park: Callable[[Parked], None] = lambda parked: None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`park` keeps a message that makes no sense. `wait` sleeps some seconds and says whether to stop; it and
        `clock` are for tests."""
        self._handler = handler
        self._observe = observe
        self._park = park
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
                outcome = self._deal(message)
            except ServiceError as error:
                if pause == FIRST_PAUSE:
                    self._observe(Outcome.HELD)
                    log.warning("a message is held until it can be dealt with", topic=message.topic, reason=str(error))
                if self._clock() >= deadline or self._wait(pause * random.uniform(0.75, 1.25)):  # noqa: S311
                    break
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                self._observe(outcome)
                return
        self._observe(Outcome.RETURNED)
        raise Nack

    def _deal(self, message: Received) -> Outcome:
        try:
            if isinstance(message, Unreadable):
                raise MessageError(f"it cannot be read: {message.error}")
            if not isinstance(message.body, Mapping):
                raise MessageError(f"its body is no object but {type(message.body).__name__}")
            concerned = self._handler(message.topic, message.body)
        except ServiceError:
            raise
        except Exception as error:  # it would be delivered for ever; polling sees whatever it was about
            self._put_aside(message, error)
            return Outcome.PARKED
        return Outcome.HANDLED if concerned else Outcome.IGNORED

    def _put_aside(self, message: Received, error: Exception) -> None:
        if isinstance(error, MessageError):
            reason = str(error)
            log.warning("a message is parked", topic=message.topic, message=message.id, reason=reason)
        else:
            reason = f"{type(error).__name__}: {error}"
            log.exception("a message is parked: dealing with it failed", topic=message.topic, message=message.id)
        try:
            self._park(
                Parked(
                    _plain(message.topic, LONGEST_REASON),
                    _plain(str(message.id), LONGEST_REASON),
                    _text(message.body),
                    _plain(reason, LONGEST_REASON),
                )
            )
        except ServiceError:  # there is nowhere to put it: it is held, and dealt with again
            raise
        except Exception:  # what we cannot keep must not come again for ever either
            log.exception("a message could not be kept", topic=message.topic, message=message.id)


def _text(body: Any) -> str:
    if isinstance(body, bytes):
        # Four characters for a byte at most, so that no more is decoded than is kept.
        return _plain(body[:LONGEST_BODY].decode("utf-8", "backslashreplace"), LONGEST_BODY)
    try:
        return _plain(json.dumps(body), LONGEST_BODY)
    except (TypeError, ValueError, RecursionError) as error:
        return f"(not to be written down: {error})"


def _plain(text: str, longest: int) -> str:
    """Text that PostgreSQL takes: no NUL, no half of a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")[:longest]
