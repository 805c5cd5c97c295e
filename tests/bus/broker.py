"""What tests of the bus use to talk to the broker without any of our code: plain AMQP."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika  # type: ignore[import-untyped]
from pika.adapters.blocking_connection import BlockingChannel  # type: ignore[import-untyped]
from pika.exceptions import ChannelClosedByBroker  # type: ignore[import-untyped]

from demo.rabbitmq import Rabbit
from demo.settings import toml

EXCHANGE = "amq.topic"
PREFIX = "org.fedoraproject.prod"
KOJI = f"{PREFIX}.buildsys"
SCHEMAS = {
    "task.state.change": "koji_fedoramessaging.task.TaskStateChangeV1",
    "build.state.change": "koji_fedoramessaging.build.BuildStateChangeV1",
    "tag": "koji_fedoramessaging.tag.TagV1",
    "untag": "koji_fedoramessaging.tag.UntagV1",
    "repo.init": "koji_fedoramessaging.repo.InitV1",
    "repo.done": "koji_fedoramessaging.repo.DoneV1",
}


@contextmanager
def channel(url: str) -> Iterator[BlockingChannel]:
    """A connection's one channel, on which publishing waits for the broker's confirmation."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        made = connection.channel()
        made.confirm_delivery()
        yield made
    finally:
        if connection.is_open:
            connection.close()


def headers_of(topic: str) -> dict[str, Any]:
    """Headers as Koji's plugin gives them to a message of that topic."""
    schema = SCHEMAS.get(topic.removeprefix(f"{KOJI}."), "base.message")
    return {
        "fedora_messaging_schema": schema,
        "fedora_messaging_schema_package": "koji_fedoramessaging_messages",
        "fedora_messaging_severity": 20,
        "priority": 0,
        "sent-at": "2026-11-22T09:02:42+00:00",
    }


@dataclass
class Post:
    """The watcher's queue, as Koji and an operator of the broker see it."""

    rabbit: Rabbit
    queue: str

    def declare(self) -> None:
        """Make the queue that Koji's messages go to."""
        with channel(self.rabbit.url) as bus:
            bus.queue_declare(self.queue, durable=True)
            bus.queue_bind(self.queue, EXCHANGE, f"{KOJI}.#")

    def delete(self) -> None:
        """Take it away."""
        with channel(self.rabbit.url) as bus:
            bus.queue_delete(self.queue)

    def send(self, *messages: tuple[str, Mapping[str, Any]]) -> None:
        """Publish Koji's messages, as (topic below Koji's, body), in this order."""
        with channel(self.rabbit.url) as bus:
            for topic, body in messages:
                publish(bus, f"{KOJI}.{topic}", json.dumps(body).encode())

    def send_raw(self, topic: str, body: bytes, **properties: Any) -> None:
        """Publish any bytes with any properties."""
        with channel(self.rabbit.url) as bus:
            bus.basic_publish(EXCHANGE, topic, body, pika.BasicProperties(**properties))

    def waiting(self) -> int | None:
        """Messages that wait to be delivered; None when there is no such queue."""
        try:
            with channel(self.rabbit.url) as bus:
                return int(bus.queue_declare(self.queue, passive=True).method.message_count)
        except ChannelClosedByBroker:
            return None


def publish(bus: BlockingChannel, topic: str, body: bytes) -> None:
    """Publish a persistent message with the properties that Koji's plugin gives it."""
    properties = pika.BasicProperties(
        content_type="application/json",
        content_encoding="utf-8",
        delivery_mode=2,
        priority=0,
        message_id=str(uuid.uuid4()),
        headers=headers_of(topic),
    )
    bus.basic_publish(EXCHANGE, topic, body, properties)


def write_config(path: Path, url: str, queue: str | None, prefetch: int = 25) -> Path:
    """fedora-messaging's configuration, as an installation has it: what is there already is used."""
    settings: dict[str, Any] = {
        "amqp_url": url,
        "passive_declares": True,
        "topic_prefix": PREFIX,
        "publish_exchange": EXCHANGE,
        "client_properties": {"app": "Koschei"},
        "qos": {"prefetch_size": 0, "prefetch_count": prefetch},
        "exchanges": {
            EXCHANGE: {"type": "topic", "durable": True, "auto_delete": False, "arguments": {}},
        },
        "queues": {},
        "bindings": [],
    }
    if queue is not None:
        settings["queues"][queue] = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
    text = toml(settings).replace(f"[exchanges.{EXCHANGE}", f'[exchanges."{EXCHANGE}"')
    path.write_text(text.replace(f".{EXCHANGE}.arguments]", f'."{EXCHANGE}".arguments]'))
    return path
