"""The message bus: one connection that finds its way back, a receiver that loses nothing, publishing with confirmation.

All of Twisted is on a thread of its own (crochet's); a process has one such thread and may have one Bus at a time.
Delivery is at least once in both directions: handlers are idempotent, and our messages have ids that never change.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import crochet
import structlog
from fedora_messaging.config import conf
from fedora_messaging.exceptions import (
    ConfigurationException,
    ConnectionException,
    PublishException,
    ValidationError,
)
from fedora_messaging.message import INFO, get_message
from fedora_messaging.twisted import consumer as library_consumer
from fedora_messaging.twisted.service import FedoraMessagingServiceV2
from twisted.internet import defer, reactor, task

from koschei.errors import BusError, ConfigError, EventError
from koschei.messaging.events import KINDS, complete, message_class
from koschei.messaging.receiver import Receiver, Unreadable

log = structlog.get_logger(__name__)
_reactor: Any = reactor

LONGEST_RECONNECT = 3
"""Seconds between attempts to connect. The library's own back-off grows to an hour."""
CONSUME_AGAIN = 5.0
"""Seconds before consuming is tried again when the broker refused or ended it."""
PATIENCE_AT_START = 10.0
"""Seconds that a first connection may take before it is called an outage."""
CLOSE_SECONDS = 5.0
# The first complains of each message whose class is not installed (Koji's are not), and five times of one that is
# junk; the second tells of each message, and once of junk.
CHATTY = {"fedora_messaging.message": logging.CRITICAL, "fedora_messaging.twisted.consumer": logging.WARNING}


@dataclass(frozen=True)
class Outgoing:
    """A message of ours: `<modname>.<kind>` is its topic (behind the configured topic_prefix), `message_id` its id."""

    kind: str
    body: Mapping[str, Any]
    message_id: str
    modname: str
    koji_instance: str


@dataclass(frozen=True)
class BusState:
    """How the bus is: `outage` says in words what does not work (None: nothing known), `since` when that began."""

    connected: bool
    since: datetime
    outage: str | None


class Bus:
    """A connection to the broker of fedora-messaging's configuration file `config_file`.

    `receiver` is called with each message, one at a time, outside the reactor's thread; `on_connected` each time that
    the broker is reached, on the reactor's thread: it must not wait.
    """

    def __init__(
        self,
        config_file: Path,
        receiver: Receiver,
        *,
        clock: Callable[[], datetime] | None = None,
        on_connected: Callable[[], None] = lambda: None,
    ) -> None:
        """Connects to nothing yet. Raises ConfigError if the file is not there or makes no sense."""
        self._clock = clock or (lambda: datetime.now(UTC))
        self._on_connected = on_connected
        self._receiver = receiver
        self._settings = _load(config_file)
        self._lock = threading.Lock()
        self._connected = False
        self._since = self._clock()
        self._refused: str | None = None
        self._trouble: str | None = None
        self._closing = False
        self._service: Any = None
        self._lost: defer.Deferred[None] | None = None

    def start(self) -> None:
        """Begin to connect, in the background. Raises BusError when it cannot even begin (unreadable certificates)."""
        for name, level in CHATTY.items():
            logging.getLogger(name).setLevel(level)
        # The library drops what it cannot read without a word to us, and what it did not think of ends its consuming:
        # the message would come again for ever, and nothing behind it.
        library_consumer.get_message = _readable  # type: ignore[attr-defined,assignment]
        crochet.setup()
        try:
            self._in_reactor(self._start, seconds=CLOSE_SECONDS)
        except Exception as error:
            raise BusError(f"The connection to the message broker cannot be set up: {error}") from error

    def state(self) -> BusState:
        """How the bus is now."""
        with self._lock:
            outage = self._refused
            if not self._connected:
                waited = (self._clock() - self._since).total_seconds()
                known = self._trouble is not None or waited > PATIENCE_AT_START
                outage = f"bus unreachable since {self._since:%Y-%m-%d %H:%M:%S} UTC" if known else None
                if outage and self._trouble:
                    outage += f": {self._trouble}"
            return BusState(self._connected, self._since, outage)

    def publish(self, message: Outgoing, timeout: float = 15.0) -> None:
        """Send a message; returns when the broker has confirmed it. `timeout` is in seconds.

        Raises EventError when the message does not fit its schema (repeating it is no use), BusError when the broker
        is away, refuses it or does not confirm it in time: it may or may not have been sent then.
        """
        state = self.state()
        if not state.connected:
            raise BusError(state.outage or "not connected to the message broker yet")
        ours = envelope(message)
        exchange = self._settings["publish_exchange"]
        try:
            self._in_reactor(lambda: self._service.factory.publish(ours, exchange), seconds=timeout)
        except ValidationError as error:
            raise EventError(f"{message.kind} {message.message_id}: {error}") from error
        except TimeoutError as error:
            raise BusError(f"the broker did not confirm a message within {timeout:g} s") from error
        except (PublishException, ConnectionException) as error:
            raise BusError(f"the broker did not take a message: {_words(error)}") from error
        except Exception as error:  # the library lets anything through when a connection dies under it
            raise BusError(f"a message could not be sent: {_words(error)}") from error

    def close(self) -> None:
        """Finish the message at hand (or give it back), then disconnect; a few seconds at most."""
        self._closing = True
        self._receiver.stop()
        if self._service is None:
            return
        try:
            self._in_reactor(self._service.stopService, seconds=CLOSE_SECONDS)
        except Exception as error:  # whatever is not acknowledged is delivered again
            log.info("the bus was not left in order", reason=_words(error))

    def _in_reactor(self, call: Callable[[], Any], seconds: float) -> Any:
        """Do it on the reactor's thread and wait; what takes too long is cancelled, and TimeoutError."""
        answer: Future[Any] = Future()
        begun: list[defer.Deferred[Any]] = []

        def begin() -> None:
            begun.append(defer.maybeDeferred(call))
            begun[0].addCallbacks(answer.set_result, lambda failure: answer.set_exception(failure.value))

        _reactor.callFromThread(begin)
        try:
            return answer.result(seconds)
        except TimeoutError:
            _reactor.callFromThread(lambda: begun[0].cancel())
            raise

    # --- On the reactor's thread

    def _start(self) -> None:
        self._service = FedoraMessagingServiceV2(self._settings["amqp_url"])
        factory = self._service.factory
        factory.maxDelay = LONGEST_RECONNECT
        # Twisted's two hooks of a client factory: how it ends, and how it does not even begin.
        factory.clientConnectionLost = self._noting(factory.clientConnectionLost)
        factory.clientConnectionFailed = self._noting(factory.clientConnectionFailed)
        self._service.startService()
        self._follow().addErrback(self._broken)
        if self._settings["queues"]:
            self._consume().addErrback(self._broken)

    def _noting(self, hook: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def noted(connector: Any, reason: Any) -> Any:
            with self._lock:
                if self._connected:
                    self._connected, self._since = False, self._clock()
                    if not self._closing:
                        log.warning("the connection to the message broker was lost", reason=_words(reason.value))
                self._trouble = _words(reason.value)
            lost, self._lost = self._lost, None
            if lost is not None:
                lost.callback(None)
            return hook(connector, reason)

        return noted

    @defer.inlineCallbacks
    def _follow(self) -> Generator[Any, Any, None]:
        """Note each time that the broker is reached."""
        factory = self._service.factory
        while not self._closing:
            try:
                client = yield factory.when_connected()
            except Exception as error:  # a handshake that failed; the library goes on connecting
                self._note_trouble(error)
                client = None
            if client is None or client.is_closed:  # None: somebody else's waiting was cancelled, which ends ours
                yield _pause(0.2)
                continue
            self._lost = defer.Deferred()
            with self._lock:
                self._connected, self._since, self._trouble = True, self._clock(), None
            log.info("connected to the message broker")
            self._on_connected()
            yield self._lost

    @defer.inlineCallbacks
    def _consume(self) -> Generator[Any, Any, None]:
        """Consume for ever: the library does so across connections, we when it gives up (a queue that is not there)."""
        factory = self._service.factory
        while not self._closing:
            try:
                consumers = yield factory.consume(self._receiver, self._settings["bindings"], self._settings["queues"])
                self._note_refusal(None)
                yield defer.gatherResults([consumer.result for consumer in consumers], consumeErrors=True)
            except defer.FirstError as error:
                self._note_refusal(error.subFailure.value)
            except Exception as error:  # whatever it was, there is no other way to hear messages than to try again
                if self._connected:
                    self._note_refusal(error)
            yield _pause(CONSUME_AGAIN)

    def _note_trouble(self, error: BaseException) -> None:
        with self._lock:
            self._trouble = _words(error)

    def _note_refusal(self, error: BaseException | None) -> None:
        text = None if error is None else f"the broker does not let us consume: {_words(error)}"
        with self._lock:
            if text and text != self._refused and not self._closing:
                log.warning("consuming ended; trying again", reason=text)
            self._refused = text

    def _broken(self, failure: Any) -> None:
        log.error("the bus stopped by a mistake of ours", error=failure.getTraceback())
        self._note_refusal(failure.value)


def envelope(message: Outgoing) -> Any:
    """The message as the library sends it. Raises EventError for a kind that nobody knows."""
    if message.kind not in KINDS:
        raise EventError(f"{message.kind!r} is not a kind of event; there are {', '.join(KINDS)}")
    ours = message_class(message.kind)(
        topic=f"{message.modname}.{message.kind}",
        body=complete(message.kind, message.body, message.koji_instance),
        severity=INFO,
    )
    ours.id = message.message_id
    return ours


def _readable(topic: str, properties: Any, body: bytes) -> Any:
    """The library's message, or what is known of one that makes no sense."""
    try:
        return get_message(topic, properties, body)
    except Exception as error:  # an encoding nobody knows, a body too deep, headers of strange types: whatever it is
        return Unreadable(str(properties.message_id), topic, body, _words(error))


def _load(config_file: Path) -> Mapping[str, Any]:
    """The library's settings, which are one per process. The library itself takes a missing file for an empty one."""
    if not config_file.is_file():
        raise ConfigError(f"fedmsg.config_file: there is no file {config_file}; correct the path, or unset it")
    conf.clear()  # a key that was wrong in a file read before would stay wrong for ever
    try:
        loaded: Mapping[str, Any] = conf.load_config(str(config_file))
    except (ConfigurationException, OSError) as error:
        raise ConfigError(f"fedmsg.config_file: {config_file} cannot be used: {_words(error)}") from error
    return loaded


def _pause(seconds: float) -> Any:
    return task.deferLater(_reactor, seconds, lambda: None)


def _words(error: BaseException) -> str:
    """An error of Twisted, pika or the library in one line."""
    reason = getattr(error, "reason", None) or getattr(error, "message", None)
    text = str(reason or error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
