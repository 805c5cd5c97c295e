"""Our messages as consumers know them: bodies, headers, topics and ids, against fixed copies and recorded ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from koschei_messages.collection import CollectionStateChange
from koschei_messages.package import PackageStateChange

from koschei.errors import EventError
from koschei.messaging import events
from koschei.messaging.bus import Outgoing, envelope

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
PACKAGE_BODY = {
    "name": "rnv",
    "old": "ok",
    "new": "failing",
    "koji_instance": "primary",
    "repo": "f43",
    "collection": "f43",
    "collection_name": "Fedora 43",
    "groups": ["c", "foo/xml"],
}
COLLECTION_BODY = {
    "old": "unresolved",
    "new": "ok",
    "koji_instance": "primary",
    "collection": "f43",
    "collection_name": "Fedora 43",
    "repo_id": "4",
}
HEADERS = {
    "PackageStateChange": {
        "fedora_messaging_group_c": True,
        "fedora_messaging_group_foo/xml": True,
        "fedora_messaging_rpm_rnv": True,
        "fedora_messaging_schema": "koschei.package.state.change",
        "fedora_messaging_schema_package": "koschei_messages",
        "fedora_messaging_severity": 20,
        "priority": 0,
    },
    "CollectionStateChange": {
        "fedora_messaging_schema": "koschei.collection.state.change",
        "fedora_messaging_schema_package": "koschei_messages",
        "fedora_messaging_severity": 20,
        "priority": 0,
    },
}


def package_event() -> events.Event:
    return events.package_state_change(
        name="rnv", old="ok", new="failing", collection="f43", collection_name="Fedora 43", groups=("c", "foo/xml")
    )


def collection_event() -> events.Event:
    return events.collection_state_change(
        old="unresolved", new="ok", collection="f43", collection_name="Fedora 43", repo_id=4
    )


def sent(event: events.Event, modname: str = "koschei") -> Any:
    return envelope(Outgoing(event.kind, event.body, "ed3c13f6-3758-4dcc-8c9e-a915406e93d4", modname, "primary"))


BOTH = [
    ("PackageStateChange", package_event, PACKAGE_BODY, "koschei.package.state.change"),
    ("CollectionStateChange", collection_event, COLLECTION_BODY, "koschei.collection.state.change"),
]


@pytest.mark.parametrize(("name", "make", "body", "topic"), BOTH)
def test_a_message_is_what_consumers_know(name: str, make: Any, body: dict[str, Any], topic: str) -> None:
    message = sent(make())
    message.validate()
    assert message.body == body
    assert message.topic == topic
    headers = dict(message._properties.headers)
    assert headers.pop("sent-at")
    assert headers == HEADERS[name]


@pytest.mark.parametrize(("name", "make", "body", "topic"), BOTH)
def test_a_message_is_what_was_recorded(name: str, make: Any, body: dict[str, Any], topic: str) -> None:
    recording = RECORDINGS / "messages_koschei.json"
    if not recording.exists():
        pytest.skip("../shared/recordings is not here")
    recorded = json.loads(recording.read_text())
    message = sent(make())
    assert message.body == recorded[name]["body"]
    assert message.topic == recorded[name]["topic"]
    assert message.priority == recorded[name]["priority"]
    assert message._properties.headers.keys() == recorded[name]["headers"].keys()
    jsonschema.validate(message.body, recorded["schemas"][name])


def test_the_id_of_an_event_is_the_id_of_its_message() -> None:
    assert sent(package_event()).id == "ed3c13f6-3758-4dcc-8c9e-a915406e93d4"
    assert sent(package_event()).id == sent(package_event()).id


def test_the_first_part_of_the_topic_is_configured() -> None:
    assert sent(package_event(), "koschei-staging").topic == "koschei-staging.package.state.change"


def test_the_classes_are_those_of_the_message_library() -> None:
    assert isinstance(sent(package_event()), PackageStateChange)
    assert isinstance(sent(collection_event()), CollectionStateChange)
    assert sent(package_event()).summary == "rnv's builds started to fail in f43"


def test_a_kind_that_nobody_knows_is_refused() -> None:
    with pytest.raises(EventError, match=r"'copr\.end' is not a kind of event.*package\.state\.change"):
        envelope(Outgoing("copr.end", {}, "1", "koschei", "primary"))


def test_an_event_that_fits_no_schema_is_refused_where_it_is_made() -> None:
    with pytest.raises(EventError, match=r"package\.state\.change"):
        events.package_state_change(
            name=None,
            old="ok",
            new="failing",
            collection="f43",
            collection_name="Fedora 43",
            groups=(),  # type: ignore[arg-type]
        )


def test_the_repository_id_is_text_as_the_schema_wants_it() -> None:
    assert collection_event().body["repo_id"] == "4"
