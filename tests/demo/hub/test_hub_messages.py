"""What the hub publishes, held against what the real plugin published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from demo.hub import Hub, Outcome, SourcePackage
from tests.support import wait_until

RECORDED = Path(__file__).resolve().parents[4] / "shared" / "recordings" / "60_messages_from_real_plugin.json"
SRC = "../packages/bash/5.2.37/1.fc43/src/bash-5.2.37-1.fc43.src.rpm"
Messages = list[tuple[str, dict[str, Any]]]


def scratch(hub: Hub) -> int:
    with hub.locked():
        return hub.submit(SRC, "f43", {"scratch": True}, 2, 30).id


def changes(messages: Messages) -> list[tuple[str, str]]:
    return [(body["old"], body["new"]) for topic, body in messages if topic == "buildsys.task.state.change"]


def everything(hub: Hub, messages: Messages) -> Messages:
    """One of each kind of message."""
    hub.wait_task(scratch(hub))
    hub.outcome = lambda context: Outcome("buildroot")
    hub.wait_task(scratch(hub))
    hub.outcome = None
    hub.wait_task(hub.start_build("f43", SourcePackage("rnv", "2", "1")))
    hub.untag_build("f43", "rnv-2-1")
    hub.new_repo("f43-build", wait=True)
    wait_until(lambda: any(topic == "buildsys.repo.done" for topic, _ in messages))
    return messages


def test_a_scratch_build_tells_of_each_state_but_not_of_its_creation(hub: Hub, messages: Messages) -> None:
    task = scratch(hub)
    hub.wait_task(task)
    wait_until(lambda: len(changes(messages)) == 3)
    assert changes(messages) == [("FREE", "ASSIGNED"), ("ASSIGNED", "OPEN"), ("OPEN", "CLOSED")]
    body = messages[-1][1]
    assert (body["id"], body["owner"], body["srpm"]) == (task, "koschei", "bash-5.2.37-1.fc43.src.rpm")
    assert len(body["info"]["children"]) == 3


def test_children_real_builds_and_newrepo_tasks_tell_nothing_of_their_tasks(hub: Hub, messages: Messages) -> None:
    hub.wait_task(hub.start_build("f43", SourcePackage("rnv", "2", "1")))
    hub.new_repo("f43-build", wait=True)
    wait_until(lambda: any(topic == "buildsys.repo.done" for topic, _ in messages))
    assert [topic for topic, _ in messages] == [
        "buildsys.build.state.change",
        "buildsys.build.state.change",
        "buildsys.tag",
        "buildsys.repo.init",
        "buildsys.repo.done",
    ]
    assert [(body["old"], body["new"]) for _, body in messages[:2]] == [(None, 0), (0, 1)]


@pytest.mark.skipif(not RECORDED.is_file(), reason=f"no recording {RECORDED}")
def test_bodies_have_the_keys_and_types_of_the_real_ones(hub: Hub, messages: Messages) -> None:
    recorded: dict[str, list[dict[str, Any]]] = {}
    for message in json.loads(RECORDED.read_text())["messages"]:
        recorded.setdefault(message["topic"], []).append(message["body"])
    ours: dict[str, list[dict[str, Any]]] = {}
    for topic, body in everything(hub, messages):
        ours.setdefault(topic, []).append(body)
    assert ours.keys() == recorded.keys()
    for topic, bodies in ours.items():
        for body in bodies:
            assert body.keys() == recorded[topic][0].keys()
            for part in ("info", "task"):
                if body.get(part):
                    assert body[part].keys() == recorded[topic][0][part].keys()
                    child_keys = {frozenset(c) for each in recorded[topic] for c in each[part]["children"]}
                    assert {frozenset(child) for child in body[part]["children"]} <= child_keys
            types = {key: {type(each[key]) for each in recorded[topic]} for key in body}
            assert all(type(value) in types[key] for key, value in body.items() if value is not None)


def test_messages_leave_after_the_lock_is_free(hub: Hub) -> None:
    seen = []

    def listen(topic: str, body: dict[str, Any]) -> None:
        # Another thread could not take the lock if the hub still held it.
        seen.append((topic, hub._owned()))

    hub.bus.on_message = listen
    hub.wait_task(scratch(hub))
    wait_until(lambda: len(seen) == 3)
    assert not any(owned for _, owned in seen)


def test_a_listener_may_use_the_hub(hub: Hub) -> None:
    ids = []
    hub.bus.on_message = lambda topic, body: ids.append(hub.new_repo("f43-build")) if "tag" in topic else None
    hub.untag_build("f43", "rnv-1.7.11-33.fc43")
    wait_until(lambda: ids == [2])


def test_a_failing_listener_loses_its_message_and_nothing_else(hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
    def listen(topic: str, body: dict[str, Any]) -> None:
        raise RuntimeError("bus is gone")

    hub.bus.on_message = listen
    hub.wait_task(scratch(hub))
    wait_until(lambda: hub.bus.lost == 3)
    assert "bus is gone" in caplog.text


def test_messages_can_come_twice_and_out_of_order(hub: Hub, messages: Messages) -> None:
    hub.bus.duplicates, hub.bus.reorder = 1.0, True
    with hub.locked():
        for name in ("rnv-1.7.11-33.fc43", "bash-5.2.37-1.fc43"):
            for _ in range(10):
                hub.untag_build("f43", name)
                hub.tag_build("f43", name)
    wait_until(lambda: len(messages) == 80)
    topics = [topic for topic, _ in messages]
    assert topics != ["buildsys.untag", "buildsys.untag", "buildsys.tag", "buildsys.tag"] * 20
