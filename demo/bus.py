"""The demo's message bus: a private RabbitMQ, Koji's messages on their way to it, and somebody who listens to Koschei.

Without RabbitMQ the demo goes on, and says so: polling sees everything, and events wait in the outbox.
"""

from __future__ import annotations

import json
import queue
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pika  # type: ignore[import-untyped]
from fedora_messaging.exceptions import ValidationError
from fedora_messaging.message import get_message
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped]
from pika.exceptions import AMQPError  # type: ignore[import-untyped]

from demo.hub import Hub
from demo.rabbitmq import Rabbit, RabbitError, find_server, install
from demo.settings import toml

EXCHANGE, PREFIX = "amq.topic", "org.fedoraproject.prod"
WATCHER, LISTENER = "koschei", "listener"
PERSISTENT = 2
LOOK_SECONDS = 1.0


class Bus:
    """A running bus. `close` leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        """Starts RabbitMQ, without waiting for it. Raises RabbitError when there is none."""
        self._rabbit = Rabbit(folder)
        self._letters: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._postman = threading.Thread(target=self._run, name="koji-messages", daemon=True)
        self._rabbit.start(wait=False)

    def open(self, hub: Hub, config_file: Path) -> None:
        """Wait for RabbitMQ, have the hub's messages sent to it, and write the configuration file of fedora-messaging.

        Raises RabbitError when it does not come.
        """
        self._rabbit.wait()
        connection, channel = self._connect()
        for name, keys in ((WATCHER, f"{PREFIX}.buildsys.#"), (LISTENER, f"{PREFIX}.koschei.#")):
            channel.queue_declare(name, durable=True)
            channel.queue_bind(name, EXCHANGE, keys)
        connection.close()
        settings = {
            "amqp_url": self._rabbit.url,
            "passive_declares": True,
            "topic_prefix": PREFIX,
            "publish_exchange": EXCHANGE,
            "bindings": [],
            "queues": {WATCHER: {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}},
        }
        config_file.write_text(toml(settings))
        hub.bus.on_message = lambda topic, body: self._letters.put((topic, dict(body)))
        self._postman.start()

    def heard(self) -> list[str]:
        """The summaries of what Koschei has sent since the last time, read with the classes of koschei-messages."""
        try:
            connection, channel = self._connect()
        except AMQPError:
            return []
        summaries = []
        while True:
            method, properties, body = channel.basic_get(LISTENER, auto_ack=True)
            if method is None:
                break
            try:
                summaries.append(str(get_message(method.routing_key, properties, body).summary))
            except ValidationError as error:
                summaries.append(f"a message on {method.routing_key} that makes no sense: {error}")
        connection.close()
        return summaries

    def close(self) -> None:
        """End it and delete what it kept."""
        self._closing.set()
        if self._postman.is_alive():
            self._postman.join(5)
        self._rabbit.remove()

    def _connect(self) -> tuple[pika.BlockingConnection, BlockingChannel]:
        connection = pika.BlockingConnection(pika.URLParameters(self._rabbit.url))
        return connection, connection.channel()

    def _run(self) -> None:
        """Send what the hub says. Messages are lost when RabbitMQ is away, as those of a real hub are."""
        while not self._closing.is_set():
            try:
                connection, channel = self._connect()
                while not self._closing.is_set():
                    connection.process_data_events(0)
                    self._send_one(channel)
                connection.close()
            except AMQPError:
                self._closing.wait(LOOK_SECONDS)

    def _send_one(self, channel: BlockingChannel) -> None:
        try:
            topic, body = self._letters.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            return
        properties = pika.BasicProperties(
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=PERSISTENT,
            message_id=str(uuid.uuid4()),
            headers={"fedora_messaging_schema": "base.message", "fedora_messaging_severity": 20},
        )
        channel.basic_publish(EXCHANGE, f"{PREFIX}.{topic}", json.dumps(body).encode(), properties)


def started(folder: Path, tell: Callable[[str], None]) -> Bus | None:
    """A bus, or None when there cannot be one; `tell` hears why, and what that means."""
    try:
        try:
            find_server()
        except RabbitError:
            tell("installing RabbitMQ, if we may")
            install()
        return Bus(folder)
    except RabbitError as error:
        tell(f"there is no message bus here: events are queued, and none is sent. {error}")
        return None
