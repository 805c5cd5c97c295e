"""What becomes of a message: handled, ignored, held through an outage, given back, or parked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fedora_messaging.exceptions import Nack
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from koschei.errors import DatabaseError, KojiOutage, MessageError, ServiceError
from koschei.messaging.receiver import (
    HOLD_SECONDS,
    LONGEST_BODY,
    LONGEST_PAUSE,
    Outcome,
    Parked,
    Receiver,
    Unreadable,
)
from tests.support import wait_until


@dataclass
class Message:
    topic: str = "org.fedoraproject.prod.buildsys.tag"
    body: Any = field(default_factory=lambda: {"name": "foo"})
    id: str = "7"


class Desk:
    """A receiver whose time passes only by its own pauses; `answers` are what the handler returns or raises."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[str, Mapping[str, Any]]] = []
        self.outcomes: list[Outcome] = []
        self.pauses: list[float] = []
        self.stop_after: int | None = None
        self.parked: list[Parked] = []
        self.refusals: list[Exception] = []
        self.receiver = Receiver(
            self.handle, self.outcomes.append, park=self.park, clock=lambda: sum(self.pauses), wait=self.wait
        )

    def park(self, message: Parked) -> None:
        if self.refusals:
            raise self.refusals.pop()
        self.parked.append(message)

    def handle(self, topic: str, body: Mapping[str, Any]) -> bool:
        self.seen.append((topic, body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        if self.stop_after is not None and len(self.pauses) >= self.stop_after:
            self.receiver.stop()
            return True
        return False


@pytest.mark.parametrize(("concerned", "outcome"), [(True, Outcome.HANDLED), (False, Outcome.IGNORED)])
def test_a_message_that_was_dealt_with_is_acknowledged(concerned: bool, outcome: Outcome) -> None:
    desk = Desk(concerned)
    desk.receiver(Message())
    assert desk.seen == [("org.fedoraproject.prod.buildsys.tag", {"name": "foo"})]
    assert desk.outcomes == [outcome]
    assert desk.pauses == []


@pytest.mark.parametrize("body", [None, "text", ["name"], 7])
def test_a_body_that_is_no_object_is_parked_and_does_not_reach_the_handler(body: object) -> None:
    desk = Desk(True)
    desk.receiver(Message(body=body))
    assert (desk.seen, desk.outcomes) == ([], [Outcome.PARKED])
    assert desk.parked == [
        Parked(Message.topic, "7", json.dumps(body), f"its body is no object but {type(body).__name__}")
    ]


def test_a_message_that_cannot_be_read_is_parked_as_text() -> None:
    desk = Desk(True)
    desk.receiver(Unreadable("8", "a.topic", b"\xff\x00{" * 20_000, "no JSON"))
    (parked,) = desk.parked
    assert (parked.message_id, parked.reason) == ("8", "it cannot be read: no JSON")
    assert parked.body.startswith("\\xff\\x00{")
    assert len(parked.body) == LONGEST_BODY
    assert (desk.seen, desk.outcomes) == ([], [Outcome.PARKED])


@given(body=st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists), topic=st.text(), id=st.text())
def test_what_is_parked_can_be_stored(body: object, topic: str, id: str) -> None:
    desk = Desk(ValueError("\0\ud800"))
    desk.receiver(Message(topic, {"x": body}, id))
    for text in (desk.parked[0].topic, desk.parked[0].message_id, desk.parked[0].body, desk.parked[0].reason):
        assert "\0" not in text
        text.encode()


def test_a_message_that_cannot_be_parked_during_an_outage_is_held() -> None:
    desk = Desk(MessageError("no id"))
    desk.refusals = [DatabaseError("PostgreSQL is away")] * 3
    desk.receiver(Message())
    assert desk.outcomes == [Outcome.HELD, Outcome.PARKED]
    assert len(desk.pauses) == 3
    assert len(desk.parked) == 1


def test_a_message_that_can_never_be_parked_does_not_come_for_ever() -> None:
    desk = Desk(MessageError("no id"))
    desk.refusals = [ValueError("a mistake of ours")]
    desk.receiver(Message())
    assert (desk.outcomes, desk.parked) == ([Outcome.PARKED], [])


@pytest.mark.parametrize("outage", [KojiOutage("Koji is away"), DatabaseError("PostgreSQL is away")])
def test_a_message_is_held_with_growing_pauses_until_an_outage_is_over(outage: ServiceError) -> None:
    desk = Desk(*[outage] * 8, True)
    with capture_logs() as logs:
        desk.receiver(Message())
    assert len(desk.seen) == 9
    assert desk.outcomes == [Outcome.HELD, Outcome.HANDLED]
    assert len(logs) == 1, "an outage is told of once"
    assert desk.pauses[0] >= 0.75
    assert desk.pauses[-1] >= 0.75 * LONGEST_PAUSE
    assert max(desk.pauses) <= 1.25 * LONGEST_PAUSE


def test_a_message_held_for_long_is_given_back_rather_than_lost() -> None:
    desk = Desk(KojiOutage("Koji is away"))
    with pytest.raises(Nack):
        desk.receiver(Message())
    assert HOLD_SECONDS <= sum(desk.pauses) <= HOLD_SECONDS + 2 * LONGEST_PAUSE
    assert desk.outcomes == [Outcome.HELD, Outcome.RETURNED]


def test_stopping_gives_back_what_is_held_and_what_still_comes() -> None:
    desk = Desk(KojiOutage("Koji is away"))
    desk.stop_after = 2
    with pytest.raises(Nack):
        desk.receiver(Message())
    assert len(desk.seen) == 2
    with pytest.raises(Nack):
        desk.receiver(Message())
    assert len(desk.seen) == 2


@pytest.mark.parametrize("mistake", [RuntimeError("bug"), KeyError("x"), ValueError("NUL"), AssertionError()])
def test_a_message_that_makes_us_fail_is_parked_and_the_next_one_is_dealt_with(mistake: Exception) -> None:
    desk = Desk(mistake, True)
    with capture_logs() as logs:
        desk.receiver(Message())
        desk.receiver(Message())
    assert desk.outcomes == [Outcome.PARKED, Outcome.HANDLED]
    assert [(entry["log_level"], entry["message"]) for entry in logs] == [("error", "7")]


def test_messages_that_come_on_two_channels_are_dealt_with_one_at_a_time() -> None:
    inside, most = 0, 0
    go = threading.Event()

    def handle(topic: str, body: Mapping[str, Any]) -> bool:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        go.wait(60)
        inside -= 1
        return True

    outcomes: list[Outcome] = []
    receiver = Receiver(handle, outcomes.append)
    call: Callable[[], None] = lambda: receiver(Message())  # noqa: E731
    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: inside)
    go.set()
    for thread in threads:
        thread.join(60)
    assert (most, outcomes) == (1, [Outcome.HANDLED] * 4)
